"""Compiled kernels by name: made by Numba once, kept on disk as machine code, called without it.

Loading Numba and its cache takes half a second in every process; loading the object code of a kernel takes milliseconds.
Kernels are functions of addresses alone, so a file holds nothing but code; it is bound to the sources of this package, the
versions of the compilers and the features of the processor by its name, and to its content by a checksum.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib
import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_cache_path


class Kernel(NamedTuple):
    """Where a kernel is written.

    Attributes:
        module: the module, by its full name.
        name: the function in it.
        n_integers: how many integers it takes after the number ``one``.
    """

    module: str
    name: str
    n_integers: int


_PURE, _NOISY, _LARGE = (f"qmoe.engines.native.{room}" for room in ("pure", "noisy", "large"))
#: The kernels of this engine, by name.
KERNELS = {
    one.name: one
    for one in (
        Kernel(_PURE, "evaluate", 4),
        Kernel(_PURE, "differentiate", 4),
        Kernel(_NOISY, "evaluate_noisy", 4),
        Kernel(_NOISY, "differentiate_noisy", 4),
        Kernel(_LARGE, "prepare_large", 5),
        Kernel(_LARGE, "advance_large", 5),
        Kernel(_LARGE, "undo_large", 6),
        Kernel(_LARGE, "read_large", 5),
        Kernel(_LARGE, "finish_large", 3),
        Kernel(_LARGE, "seed_large", 6),
        Kernel(_LARGE, "collect_large", 4),
    )
}
#: Environment variable that names another folder for compiled kernels.
CACHE_VARIABLE = "QMOE_CACHE_DIR"

_LOCK = threading.Lock()
_DIGEST = 32


@functools.lru_cache(maxsize=64)
def kernel(which: str | Kernel, itemsize: int) -> Callable[..., None]:
    """A compiled kernel, for floats of ``itemsize`` bytes: from memory, disk, or the compiler.

    Args:
        which: a name in `KERNELS`, or a kernel of another room.
        itemsize: 4 or 8.

    Raises:
        RuntimeError: from the kernel itself, if it should fail.
    """
    source = KERNELS[which] if isinstance(which, str) else which
    with _LOCK:
        engine, address = _load(_object_code(source, itemsize), _symbol(source.name))
    scalar = ctypes.c_float if itemsize == 4 else ctypes.c_double
    # Numba's convention: status = f(place of the result, place of the error, arguments); there is no result.
    integers = [ctypes.c_int64] * source.n_integers
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, scalar, *integers)(address)
    result, error = ctypes.c_void_p(), ctypes.c_void_p()
    places = ctypes.addressof(result), ctypes.addressof(error)

    def call(*arguments: int) -> None:
        status = function(*places, 1.0, *arguments)
        if status != 0:
            raise RuntimeError(
                f"The kernel {source.name!r} ended with status {status}; this is a bug in qmoe, please report it."
            )

    # The code lives as long as its engine, and writes to the two places.
    call.keeps = (engine, result, error)  # type: ignore[attr-defined]
    return call


def kernels_for(noisy: bool) -> tuple[Kernel, ...]:
    """The kernels that training circuits of common size takes."""
    names = ("evaluate_noisy", "differentiate_noisy") if noisy else ("evaluate", "differentiate")
    return tuple(KERNELS[name] for name in names)


def missing(kernels: Iterable[Kernel], itemsize: int) -> list[Kernel]:
    """Those that are not on disk."""
    return [one for one in kernels if _read(_path(one, itemsize)) is None]


def compile_kernels(kernels: Iterable[Kernel], itemsize: int) -> None:
    """Compiles and keeps the kernels that are not on disk, so that other processes only load them."""
    for one in missing(kernels, itemsize):
        kernel(one, itemsize)


def cache_folder() -> Path:
    """Where compiled kernels are kept."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("qmoe") / "kernels"


def _symbol(name: str) -> str:
    return f"qmoe_{name}"


@functools.cache
def _key(module: str) -> str:
    """Names everything that the machine code of a module depends on."""
    digest = hashlib.sha256()
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    for source in (*sorted(Path(__file__).parent.glob("*.py")), Path(spec.origin)):
        digest.update(source.read_bytes())
    llvm = _llvm()
    features = llvm.get_host_cpu_features().flatten()
    for part in (version("numba"), version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name(), features):
        digest.update(part.encode())
    return digest.hexdigest()[:24]


def _path(source: Kernel, itemsize: int) -> Path:
    return cache_folder() / f"{_key(source.module)}-{source.name}-f{8 * itemsize}.o"


def _object_code(source: Kernel, itemsize: int) -> bytes:
    path = _path(source, itemsize)
    code = _read(path)
    if code is None:
        # Numba and the kernels' sources are imported only to compile.
        compiling = importlib.import_module("qmoe.engines.native.compiling")
        function = getattr(importlib.import_module(source.module), source.name)
        code = compiling.compile_object(function, itemsize, source.n_integers, _symbol(source.name))
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
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            file = Path(folder) / path.name
            file.write_bytes(hashlib.sha256(code).digest() + code)
            os.replace(file, path)  # other processes see the whole file or none


def _load(code: bytes, symbol: str) -> tuple[Any, int]:
    """Object code to an engine that holds it in memory, and the address of the function."""
    llvm = _llvm()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address(symbol)


@functools.cache
def _llvm() -> Any:
    # Takes 0.1 s to import, which who never runs a kernel need not wait for.
    llvm = importlib.import_module("llvmlite.binding")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm
