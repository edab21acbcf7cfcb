"""Compiled kernels by name: made by Numba once, kept on disk as machine code, called without it.

Loading Numba and its cache takes half a second in every process; loading the object code of a kernel takes milliseconds.
Kernels are functions of addresses alone, so a file holds nothing but code; it is bound to the sources of the kernel, the
versions of the compilers and the features of the processor by its name, and to name and content by a checksum. Whoever can
write to the folder can run code, so it must belong to the user alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib
import importlib.util
import logging
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from platformdirs import user_cache_path

from qmoe.errors import PerformanceWarning, warn_caller
from qmoe.safe_files import open_regular

#: What modules import of this package, in the forms that kernels use.
_IMPORTED = re.compile(r"^(?:from|import) (qmoe[\w.]*) (?:import|as) ", re.MULTILINE)


def modules_of(module: str) -> list[str]:
    """The modules that a kernel is made of: the one that it stands in, and those of qmoe that they import, sorted."""
    found, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _IMPORTED.findall(_source(name).read_text(encoding="utf-8"))
    return sorted(found)


def _source(module: str) -> Path:
    """The file of a module, which is not imported: a kernel's modules need the compiler."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


@functools.cache
def _digest_of(module: str) -> str:
    """Names the sources of a kernel as they are when they are declared: what calls it must fit what is compiled."""
    digest = hashlib.sha256()
    for name in modules_of(module):
        digest.update(name.encode() + b"\0" + _source(name).read_bytes())
    return digest.hexdigest()


class Kernel(NamedTuple):
    """Where a kernel is written.

    Attributes:
        module: the module, by its full name.
        name: the function in it.
        n_integers: how many integers it takes after the number ``one``.
        sources: names the sources that it was read from.
    """

    module: str
    name: str
    n_integers: int
    sources: str


def declare(module: str, *kernels: tuple[str, int]) -> tuple[Kernel, ...]:
    """Kernels of one module: their names and numbers of integers. To be called where their callers are imported."""
    return tuple(Kernel(module, name, n_integers, _digest_of(module)) for name, n_integers in kernels)


#: Environment variable that names another folder for compiled kernels.
CACHE_VARIABLE = "QMOE_CACHE_DIR"

_LOCK = threading.Lock()
_LOGGER = logging.getLogger(__name__)


def _renew_lock() -> None:
    # The thread that held it does not exist in a forked child.
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)

_DIGEST = 32
#: Part of every name, raised when files are written in another way: two versions of qmoe must not undo each other's.
_FORMAT = b"2"


class MachineCode(NamedTuple):
    """A kernel in memory.

    Attributes:
        engine: what holds it there.
        address: where it begins; other kernels may call it by `qmoe.compiled.addresses.run_kernel`.
    """

    engine: Any
    address: int


@functools.lru_cache(maxsize=64)
def machine_code(source: Kernel, itemsize: int) -> MachineCode:
    """A kernel for floats of ``itemsize`` bytes (4 or 8): from memory, disk, or the compiler."""
    with _LOCK:
        return MachineCode(*_load(_object_code(source, itemsize), _symbol(source.name)))


@functools.lru_cache(maxsize=64)
def kernel(source: Kernel, itemsize: int) -> Callable[..., None]:
    """The same as a function of integers.

    Raises:
        RuntimeError: from the kernel itself, if it should fail.
    """
    code = machine_code(source, itemsize)
    scalar = ctypes.c_float if itemsize == 4 else ctypes.c_double
    # Numba's convention: status = f(place of the result, place of the error, arguments); there is no result.
    integers = [ctypes.c_int64] * source.n_integers
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, scalar, *integers)(code.address)
    result, error = ctypes.c_void_p(), ctypes.c_void_p()
    places = ctypes.addressof(result), ctypes.addressof(error)

    def call(*arguments: int) -> None:
        status = function(*places, 1.0, *arguments)
        if status != 0:
            raise RuntimeError(
                f"The kernel {source.name!r} ended with status {status}; this is a bug in qmoe, please report it."
            )

    # The code lives as long as its engine, and writes to the two places.
    call.keeps = (code, result, error)  # type: ignore[attr-defined]
    return call


def missing(kernels: Iterable[Kernel], itemsize: int) -> list[Kernel]:
    """Those that are not on disk."""
    return [one for one in kernels if _read(_path(one, itemsize)) is None]


def compile_kernels(kernels: Iterable[Kernel], itemsize: int) -> None:
    """Compiles and keeps the kernels that are not on disk, so that other processes only load them."""
    for one in missing(kernels, itemsize):
        _object_code(one, itemsize)


def cache_folder() -> Path:
    """Where compiled kernels are kept: a folder that nobody else can write to."""
    named = os.environ.get(CACHE_VARIABLE)
    return _safe_folder(Path(named).expanduser() if named else user_cache_path("qmoe") / "kernels")


def _symbol(name: str) -> str:
    return f"qmoe_{name}"


@functools.cache
def _key(sources: str) -> str:
    """Names everything that machine code depends on."""
    digest, llvm = hashlib.sha256(_FORMAT + sources.encode()), _llvm()
    features = llvm.get_host_cpu_features().flatten()
    for part in (version("numba"), version("llvmlite"), llvm.get_process_triple(), llvm.get_host_cpu_name(), features):
        digest.update(part.encode())
    return digest.hexdigest()[:24]


def _path(source: Kernel, itemsize: int) -> Path:
    return cache_folder() / f"{_key(source.sources)}-{source.name}-f{8 * itemsize}.o"


def _object_code(source: Kernel, itemsize: int) -> bytes:
    path = _path(source, itemsize)
    code = _read(path)
    if code is None:
        _announce(itemsize, str(path.parent))
        # Numba and the kernels' sources are imported only to compile.
        addresses = importlib.import_module("qmoe.compiled.addresses")
        function = getattr(importlib.import_module(source.module), source.name)
        code = addresses.compile_object(function, itemsize, source.n_integers, _symbol(source.name))
        _write(path, code)
    return code


@functools.cache
def _announce(itemsize: int, folder: str) -> None:
    """Says once what takes seconds and would look like a hang."""
    numbers = "float32" if itemsize == 4 else "float64"
    _LOGGER.warning("Compiling kernels for %s, which takes some seconds; later runs find them in %s.", numbers, folder)


def _read(path: Path) -> bytes | None:
    """The code in the file; None if there is none, or not the one that was written there, or not by someone we may trust."""
    try:
        with open_regular(path, follow=False) as file:
            if not _is_ours(os.fstat(file.fileno())):
                warn_caller(
                    f"{path} may have been written by others, so its machine code is not run, and compiled again by every "
                    f"process; delete it, or name a folder of your own in {CACHE_VARIABLE}.",
                    PerformanceWarning,
                )
                return None
            data = file.read()
    except OSError:
        return None
    code = data[_DIGEST:]
    return code if _checksum(path, code) == data[:_DIGEST] else None


def _checksum(path: Path, code: bytes) -> bytes:
    """Over the code and its name: under another kernel's name it would be run with that one's arguments."""
    return hashlib.sha256(path.name.encode() + b"\0" + code).digest()


def _is_ours(file: os.stat_result) -> bool:
    """Whether only this user or the machine's owner can have written it; Windows keeps that elsewhere."""
    if not hasattr(os, "getuid"):
        return True
    return file.st_uid in (os.getuid(), 0) and not file.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_safe(folder: Path) -> bool:
    """Whether nobody else can put files into a folder, which may still be missing, and it is no link to another one."""
    try:
        found = folder.lstat()
    except OSError:
        return True
    return stat.S_ISDIR(found.st_mode) and _is_ours(found)


@functools.cache
def _safe_folder(named: Path) -> Path:
    """The folder, or one of the user's own among the temporary files where others could put machine code into it."""
    if _is_safe(named):
        return named
    own = Path(tempfile.gettempdir()) / f"qmoe-kernels-{os.getuid() if hasattr(os, 'getuid') else 'own'}"
    with contextlib.suppress(OSError):
        own.mkdir(mode=0o700)
    instead = own if own.exists() and _is_safe(own) else Path(tempfile.mkdtemp(prefix="qmoe-kernels-"))
    warn_caller(
        f"{named} is a link, or others may write to it, so no machine code from it is run; kernels are kept in {instead}. "
        f"Take their rights away (chmod go-w), or name a folder of your own in {CACHE_VARIABLE}.",
        PerformanceWarning,
    )
    return instead


def _write(path: Path, code: bytes) -> None:
    """Keeps the code where that is possible; elsewhere every process compiles for itself."""
    with contextlib.suppress(OSError):
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            file = Path(folder) / path.name
            file.write_bytes(_checksum(path, code) + code)
            file.chmod(0o644)  # a generous umask would make it worthless
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
