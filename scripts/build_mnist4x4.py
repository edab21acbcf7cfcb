"""Builds the bundled MNIST 4x4 from the original IDX files.

    python scripts/build_mnist4x4.py --source DIR --out src/qmoe/data/mnist4x4.npz

Every image is resized to 4x4 with Pillow's bilinear filter on 8-bit grey values, which averages over the whole
footprint of a pixel (what torchvision's Resize does to Pillow images). Pillow computes it in whole numbers, so the
arrays are the same on every machine; the bytes of the compressed file can differ between versions of zlib. The
script prints the SHA-256 of the file, which belongs into qmoe/data/mnist.py and mnist4x4.md when it is replaced.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from qmoe.data.idx import read_digit_folder

SIDE = 4


def shrink(images: np.ndarray) -> np.ndarray:
    """Returns ``(N, H, W)`` uint8 images as ``(N, 4, 4)`` uint8."""
    small = np.empty((len(images), SIDE, SIDE), dtype=np.uint8)
    for index, image in enumerate(images):
        small[index] = np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return small


def build(source: Path, out: Path) -> str:
    """Writes the resized images of ``source`` to ``out`` and returns the SHA-256 of the file."""
    full = read_digit_folder(source)
    with out.open("wb") as file:
        np.savez_compressed(
            file,
            x_train=shrink(full.x_train),
            y_train=full.y_train,
            x_test=shrink(full.x_test),
            y_test=full.y_test,
        )
    return hashlib.sha256(out.read_bytes()).hexdigest()


def main() -> None:
    """Reads the command line and builds."""
    parser = argparse.ArgumentParser(description="Builds the bundled MNIST 4x4 from the original IDX files.")
    parser.add_argument("--source", type=Path, required=True, help="folder with the four IDX files, gzipped or not")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    arguments = parser.parse_args()
    digest = build(arguments.source, arguments.out)
    print(f"{digest}  {arguments.out} ({arguments.out.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
