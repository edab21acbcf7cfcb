"""Compiled kernels by name: made by Numba once, kept on disk as machine code, called without it.

Loading Numba and its cache takes half a second in every process; loading the object code of a kernel takes milliseconds.
Kernels are functions of addresses alone, so a file holds nothing but code; it is bound to the sources of this package, the
versions of the compilers and the features of the processor by its name, and to its content by a checksum.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib
import os
import tempfile
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
from platformdirs import user_cache_path

#: kernel -> module that defines it and number of integers that it takes after the number ``one``.
KERNELS = {
    "evaluate": ("pure", 4),
    "differentiate": ("pure", 4),
    "evaluate_noisy": ("noisy", 4),
    "differentiate_noisy": ("noisy", 4),
    "prepare_large": ("large", 5),
    "advance_large": ("large", 5),
    "undo_large": ("large", 6),
    "read_large": ("large", 5),
    "finish_large": ("large", 3),
    "seed_large": ("large", 6),
    "collect_large": ("large", 4),
}
#: Environment variable that names another folder for compiled kernels.
CACHE_VARIABLE = "QMOE_CACHE_DIR"

_LOCK = threading.Lock()
_DIGEST = 32


@functools.lru_cache(maxsize=64)
def kernel(name: str, itemsize: int) -> Callable[..., None]:
    """The compiled kernel of that name for floats of ``itemsize`` bytes: from memory, disk, or the compiler.

    Raises:
        RuntimeError: from the kernel itself, if it should fail.
    """
    with _LOCK:
        engine, address = _load(_object_code(name, itemsize), _symbol(name))
    scalar = ctypes.c_float if itemsize == 4 else ctypes.c_double
    # Numba's convention: status = f(place of the result, place of the error, arguments); there is no result.
    integers = [ctypes.c_int64] * KERNELS[name][1]
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, scalar, *integers)(address)
    result, error = ctypes.c_void_p(), ctypes.c_void_p()
    places = ctypes.addressof(result), ctypes.addressof(error)

    def call(*arguments: int) -> None:
        status = function(*places, 1.0, *arguments)
        if status != 0:
            raise RuntimeError(
                f"The kernel {name!r} ended with status {status}; this is a bug in qmoe, please report it."
            )

    # The code lives as long as its engine, and writes to the two places.
    call.keeps = (engine, result, error)  # type: ignore[attr-defined]
    return call


def names_for(noisy: bool) -> tuple[str, ...]:
    """The kernels that training circuits of common size takes."""
    return ("evaluate_noisy", "differentiate_noisy") if noisy else ("evaluate", "differentiate")


def compile_missing(noisy: bool, itemsize: int) -> None:
    """Has the kernels compiled and kept that are not on disk, so that other processes only load them."""
    for name in names_for(noisy):
        if not is_cached(name, itemsize):
            kernel(name, itemsize)


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("qmoe") / "kernels"


def is_cached(name: str, itemsize: int) -> bool:
    """Whether the kernel is on disk."""
    return _read(_path(name, itemsize)) is not None


def _symbol(name: str) -> str:
    return f"qmoe_{name}"


@functools.cache
def _key() -> str:
    """Names everything that the machine code depends on."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    features = llvm.get_host_cpu_features().flatten()
    for part in (version("numba"), version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name(), features):
        digest.update(part.encode())
    return digest.hexdigest()[:24]


def _path(name: str, itemsize: int) -> Path:
    return cache_folder() / f"{_key()}-{name}-f{8 * itemsize}.o"


def _object_code(name: str, itemsize: int) -> bytes:
    path = _path(name, itemsize)
    code = _read(path)
    if code is None:
        # Numba and the kernels' sources are imported only to compile.
        compiling = importlib.import_module("qmoe.engines.native.compiling")
        module = importlib.import_module(f"qmoe.engines.native.{KERNELS[name][0]}")
        code = compiling.compile_object(getattr(module, name), itemsize, KERNELS[name][1], _symbol(name))
        _write(path, code)
    return code


def _read(path: Path) -> bytes | None:
    """The code in the file; None if there is none, or not the one that was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    code = data[_DIGEST:]
    return code if hashlib.sha256(code).digest() == data[:_DIGEST] else None


def _write(path: Path, code: bytes) -> None:
    """Keeps the code where that is possible; elsewhere every process compiles for itself."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(code).digest() + code)
        os.replace(file.name, path)  # other processes see the whole file or none
    except OSError:
        return


def _load(code: bytes, symbol: str) -> tuple[Any, int]:
    """Object code to an engine that holds it in memory, and the address of the function."""
    _initialize()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address(symbol)


@functools.cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
