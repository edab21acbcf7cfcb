"""Compiled kernels: kept on disk, loaded without the compiler, used from threads and from other processes."""

import ctypes
import math
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
import torch
from torch import Tensor

from helpers import modules_after, run_python
from qmoe.circuits import AngleEncoding, Circuit
from qmoe.compiled import addresses, cache
from qmoe.engines import NativeEngine, calling
from qmoe.engines.native import layout as at
from qmoe.engines.native.kernels import large_state as large
from qmoe.engines.native.kernels import names as kernels
from qmoe.errors import PerformanceWarning
from qmoe.routers.sums.product_sums import KERNELS as SUMS_OF_PRODUCTS
from qmoe.testing import random_inputs
from qmoe.training.compiled.step import KERNELS as TRAINING

CHEAP = "finish_large"  # compiles in a second
ALL = (*kernels.KERNELS.values(), *TRAINING, *SUMS_OF_PRODUCTS)


@pytest.fixture(scope="module")
def code() -> bytes:
    """The object code of the cheap kernel."""
    return addresses.compile_object(getattr(large, CHEAP), 8, kernels.KERNELS[CHEAP].n_integers, f"qmoe_{CHEAP}")


def _forget() -> None:
    """No kernel is left in memory."""
    cache.machine_code.cache_clear()
    cache.kernel.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder of compiled kernels, and none in memory."""
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "kernels"))
    _forget()
    yield tmp_path / "kernels"
    _forget()


@pytest.fixture
def compilations(code: bytes, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the compiler, which has the code at hand."""
    asked: list[str] = []

    def compile_object(function: Callable[..., None], itemsize: int, n_integers: int, symbol: str) -> bytes:
        assert (function.__name__, itemsize, n_integers) == (CHEAP, 8, 4)
        asked.append(symbol)
        return code

    monkeypatch.setattr(addresses, "compile_object", compile_object)
    return asked


def sums_of_parts() -> list[float]:
    """Runs the cheap kernel on one qubit: the expectation values of three samples, summed over the parts of a state."""
    lanes, n_here = 8, 3
    parts = np.zeros((at.N_PARTS, lanes))
    parts[:, :n_here] = np.arange(at.N_PARTS)[:, None] + [0.5, 10, -1]
    sums, out = np.zeros(lanes), np.full(n_here + 1, np.nan)
    # Offsets from address 0, so that sections may be arrays of their own.
    shared = at.Scratch(sums=sums.ctypes.data)
    own = [at.PartScratch(0, row.ctypes.data, 0, 0, 0, 0, 0) for row in parts]
    places = np.array([*shared, *(place for one in own for place in one)], dtype=np.int64)
    header, call = at.as_array(at.Header(n_qubits=1)), np.zeros(calling.CALL_SIZE, dtype=np.int64)
    call[calling.PLACE.out], call[calling.PLACE.n_batch] = out.ctypes.data, n_here
    kernels.kernel(CHEAP, 8)(header.ctypes.data, places.ctypes.data, call.ctypes.data, 0)
    assert np.isnan(out[n_here]), "the kernel writes beyond the last sample"
    return out[:n_here].tolist()


def is_cached(itemsize: int = 8) -> bool:
    return not cache.missing([kernels.KERNELS[CHEAP]], itemsize)


SUMS = [32.0, 108.0, 20.0]  # 0 + 1 + ... + 7, and 8 times each sample's share


# --- on disk ---------------------------------------------------------------------------------------------------------


def test_kernel_is_compiled_once_and_kept(folder: Path, compilations: list[str]) -> None:
    assert not is_cached()
    for _ in range(3):
        assert sums_of_parts() == SUMS
        _forget()
    assert compilations == [f"qmoe_{CHEAP}"]
    assert is_cached()
    assert not is_cached(4)
    (file,) = folder.iterdir()
    assert file.name.endswith(f"-{CHEAP}-f64.o")


def test_kept_kernel_is_loaded_without_numba(folder: Path, compilations: list[str]) -> None:
    kernels.kernel(CHEAP, 8)
    assert len(compilations) == 1
    loaded = run_python(
        f"import sys; from qmoe.engines.native.kernels.names import kernel; kernel({CHEAP!r}, 8)\n"
        "print('numba' in sys.modules, 'qmoe.engines.native.kernels.large_state' in sys.modules)"
    )
    assert loaded == "False False"


def test_kernel_is_compiled_in_one_process_and_used_in_the_next(folder: Path) -> None:
    code = (
        "import sys; from qmoe.compiled import cache; from qmoe.engines.native.kernels.names import KERNELS\n"
        f"one = [KERNELS[{CHEAP!r}]]; before = len(cache.missing(one, 4)); cache.compile_kernels(one, 4)\n"
        "print(before, len(cache.missing(one, 4)), 'numba' in sys.modules)"
    )
    assert run_python(code) == "1 0 True"
    assert run_python(code) == "0 0 False"
    assert len(list(folder.iterdir())) == 1


def flip(data: bytes) -> bytes:
    """One bit in the middle, as bad memory would."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "one bit flipped": flip,
    "checksum flipped": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "truncated": lambda data: data[:-100],
    "cut to the checksum": lambda data: data[:32],
    "cut within the checksum": lambda data: data[:7],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damaged_file_is_noticed_and_written_anew(folder: Path, compilations: list[str], damage: str) -> None:
    kernels.kernel(CHEAP, 8)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert not is_cached()
    _forget()
    assert sums_of_parts() == SUMS
    assert len(compilations) == 2
    assert file.read_bytes() == whole
    assert list(folder.iterdir()) == [file]


def test_folder_that_cannot_be_made_costs_a_compilation_and_no_error(
    tmp_path: Path, folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "file" / "kernels"))
    for _ in range(2):
        assert sums_of_parts() == SUMS
        _forget()
    assert len(compilations) == 2
    assert not folder.exists()


def test_folder_that_cannot_be_written_costs_a_compilation_and_no_error(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    folder.mkdir()
    monkeypatch.setattr(cache.tempfile, "TemporaryDirectory", refuse)
    assert sums_of_parts() == SUMS
    assert len(compilations) == 1
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_costs_a_compilation_and_no_error(folder: Path, compilations: list[str]) -> None:
    folder.mkdir(mode=0o500)
    assert sums_of_parts() == SUMS
    assert len(compilations) == 1


def test_whole_code_under_the_name_of_another_kernel_is_not_run(folder: Path, compilations: list[str]) -> None:
    kernels.kernel(CHEAP, 8)
    (file,) = folder.iterdir()
    other = cache._path(next(one for name, one in kernels.KERNELS.items() if name != CHEAP), 8)
    file.rename(other)
    assert cache._read(other) is None
    assert not is_cached()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes")
@pytest.mark.parametrize("place", ["a link to the code", "a pipe", "a folder"])
def test_code_is_read_from_a_file_alone(folder: Path, tmp_path: Path, compilations: list[str], place: str) -> None:
    kernels.kernel(CHEAP, 8)
    (file,) = folder.iterdir()
    whole = file.rename(tmp_path / "elsewhere.o")
    if place == "a pipe":
        os.mkfifo(file)
    elif place == "a folder":
        file.mkdir()
    else:
        file.symlink_to(whole)
    assert not is_cached()
    _forget()
    assert sums_of_parts() == SUMS
    assert len(compilations) == 2
    assert whole.stat().st_size > 0


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows keeps rights elsewhere")
@pytest.mark.parametrize("danger", ["others may write", "the group may write", "a link", "somebody else's"])
def test_a_folder_that_others_can_write_to_is_not_used(
    folder: Path, tmp_path: Path, compilations: list[str], danger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    kernels.kernel(CHEAP, 8)  # what stands there would do
    if danger == "a link":
        folder.rename(tmp_path / "other")
        folder.symlink_to(tmp_path / "other")
    elif danger == "somebody else's":
        true = cache._is_ours
        monkeypatch.setattr(cache, "_is_ours", lambda found: found.st_ino != folder.stat().st_ino and true(found))
    else:
        folder.chmod(0o777 if danger == "others may write" else 0o775)
    cache._safe_folder.cache_clear()
    _forget()
    with pytest.warns(PerformanceWarning, match="others may write to it, so no machine code from it is run"):
        assert sums_of_parts() == SUMS
    assert len(compilations) == 2
    instead = tmp_path / "scratch" / f"qmoe-kernels-{os.getuid()}"
    assert cache.cache_folder() == instead
    assert instead.stat().st_mode & 0o777 == 0o700
    assert len(list(instead.iterdir())) == 1
    cache._safe_folder.cache_clear()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows keeps rights elsewhere")
def test_where_even_the_temporary_folder_is_taken_a_new_one_is_made(
    folder: Path, tmp_path: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (tmp_path / f"qmoe-kernels-{os.getuid()}").symlink_to(folder)
    with pytest.warns(PerformanceWarning, match="kernels are kept in"):
        assert sums_of_parts() == SUMS
    assert list(folder.iterdir()) == []
    assert len(compilations) == 1
    cache._safe_folder.cache_clear()


def test_a_new_folder_is_the_users_alone(folder: Path, compilations: list[str]) -> None:
    before = os.umask(0)
    try:
        kernels.kernel(CHEAP, 8)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o022 == 0
    assert is_cached()


@pytest.mark.parametrize("part", ["numba", "llvmlite", "cpu", "features", "triple"])
def test_file_is_named_after_what_the_code_depends_on(
    folder: Path, compilations: list[str], part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels.kernel(CHEAP, 8)
    version, features = cache.version, llvm.get_host_cpu_features()

    class Fewer:
        def flatten(self) -> str:
            return features.flatten() + ",-avx2"

    if part in ("numba", "llvmlite"):
        monkeypatch.setattr(cache, "version", lambda name: "0.0.1" if name == part else version(name))
    else:
        name = {"cpu": "get_host_cpu_name", "features": "get_host_cpu_features", "triple": "get_process_triple"}[part]
        other = Fewer if part == "features" else (lambda: "another")
        monkeypatch.setattr(llvm, name, other)
    cache._key.cache_clear()
    try:
        assert not is_cached()
    finally:
        monkeypatch.undo()
        cache._key.cache_clear()


def test_file_is_named_after_the_sources_at_import(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qmoe_test_kernels.py").write_text("layout = 1")
    monkeypatch.syspath_prepend(tmp_path)
    (one,) = cache.declare("qmoe_test_kernels", ("nothing", 1))
    (tmp_path / "qmoe_test_kernels.py").write_text("layout = 2")  # as an upgrade does beside a running program
    (again,) = cache.declare("qmoe_test_kernels", ("nothing", 1))
    assert one == again
    assert cache._path(one, 8).name.endswith("-nothing-f64.o")
    cache._digest_of.cache_clear()
    (after,) = cache.declare("qmoe_test_kernels", ("nothing", 1))
    assert cache._path(one, 8) != cache._path(after, 8)


@pytest.mark.parametrize("kernel", ALL, ids=lambda kernel: kernel.name)
def test_a_change_of_any_module_of_a_kernel_changes_its_name(
    kernel: cache.Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = cache._source
    modules = cache.modules_of(kernel.module)
    assert {kernel.module, "qmoe.compiled.addresses"} <= set(modules)
    digest = cache._digest_of.__wrapped__
    assert digest(kernel.module) == kernel.sources
    for changed in modules:
        other = tmp_path / f"{changed}.py"
        other.write_bytes(read(changed).read_bytes() + b"#")
        monkeypatch.setattr(cache, "_source", lambda name: other if name == changed else read(name))  # noqa: B023
        assert digest(kernel.module) != kernel.sources, changed


def test_modules_of_a_kernel_are_all_that_it_imports() -> None:
    modules = sorted({kernel.module for kernel in ALL})
    rooms = [module.rpartition(".")[0] for module in modules]
    found = modules_after(*(f"import {name}" for name in (*rooms, *modules)))
    for module, before, after in zip(modules, found[: len(modules)], found[len(modules) :], strict=True):
        imported = {name for name in after - before if name.startswith("qmoe")}
        assert module in imported
        assert imported <= set(cache.modules_of(module))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="this system keeps permissions elsewhere")
@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_machine_code_that_others_may_have_written_is_not_run(folder: Path, compilations: list[str], mode: int) -> None:
    assert sums_of_parts() == SUMS
    (file,) = folder.iterdir()
    assert not file.stat().st_mode & 0o022
    file.chmod(mode)
    _forget()
    with pytest.warns(PerformanceWarning, match="may have been written by others"):
        assert sums_of_parts() == SUMS
    assert len(compilations) == 2


def test_folder_may_be_named_from_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, "~/kernels")
    assert cache.cache_folder() == Path.home() / "kernels"


def test_precision_and_kernel_are_in_the_name(folder: Path) -> None:
    assert len({cache._path(one, size) for one in kernels.KERNELS.values() for size in (4, 8)}) == 2 * len(
        kernels.KERNELS
    )


def test_code_that_needs_more_than_the_c_library_is_refused() -> None:
    def error_function(one, place):  # type: ignore[no-untyped-def]
        addresses.put_double(place, 0, math.erf(addresses.double(place, 0)) * one)

    with pytest.raises(RuntimeError, match="'error_function' needs erf at run time"):
        addresses.compile_object(error_function, 8, 1, "qmoe_error_function")


# --- threads ---------------------------------------------------------------------------------------------------------

MODELS = (
    Circuit(2, 3),
    Circuit(3, 2, AngleEncoding("Y", uploads=2), readout="born"),
    Circuit(2, 1, noise=0.1),
    Circuit(4, 1, "amplitude"),
)


def step(circuit: Circuit, seed: int) -> list[Tensor]:
    x, weights = random_inputs(circuit, seed, batch=(40,), dtype=torch.float32, requires_grad=True)
    out = NativeEngine().evaluate(circuit, x, weights)
    return [out.detach(), *torch.autograd.grad(out.sin().sum(), (x, weights))]


def test_threads_of_python_get_the_numbers_of_one_after_another() -> None:
    expected = [step(circuit, 1) for circuit in MODELS]
    wrong: list[object] = []
    start = threading.Barrier(len(MODELS))

    def work(circuit: Circuit, want: list[Tensor]) -> None:
        try:
            start.wait()
            for _ in range(150):
                if not all(map(torch.equal, step(circuit, 1), want)):
                    wrong.append(circuit)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(MODELS, expected, strict=True)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []


FIRST_USE = """
import threading
import torch
from qmoe.circuits import Circuit
from qmoe.engines import NativeEngine
from qmoe.errors import PerformanceWarning
from qmoe.routers.sums.product_sums import KERNELS as SUMS_OF_PRODUCTS
from qmoe.testing import random_inputs

def step(circuit):
    x, weights = random_inputs(circuit, 1, batch=(20,), dtype=torch.float32, requires_grad=True)
    out = NativeEngine().evaluate(circuit, x, weights)
    return [out.detach(), *torch.autograd.grad(out.sin().sum(), (x, weights))]

circuits = [Circuit(2, 1), Circuit(3, 2), Circuit(2, 1, noise=0.1), Circuit(3, 1, noise=0.2)]
results, start = {}, threading.Barrier(len(circuits))

def work(circuit):
    start.wait()
    results[circuit] = step(circuit)

threads = [threading.Thread(target=work, args=(c,)) for c in circuits]
for t in threads: t.start()
for t in threads: t.join()
print(all(torch.equal(a, b) for c in circuits for a, b in zip(results[c], step(c))))
"""


def test_first_use_of_a_kernel_by_several_threads_at_once() -> None:
    assert run_python(FIRST_USE) == "True"


def test_kernel_asked_for_by_several_threads_at_once_is_compiled_once(folder: Path, compilations: list[str]) -> None:
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait()
        kernels.kernel(CHEAP, 8)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compilations) == 1
    assert sums_of_parts() == SUMS


# --- other processes -------------------------------------------------------------------------------------------------

WORKERS = """
import multiprocessing, sys
import torch
from qmoe.circuits import Circuit
from qmoe.engines import NativeEngine
from qmoe.engines.native.run import calls
from qmoe.errors import PerformanceWarning
from qmoe.routers.sums.product_sums import KERNELS as SUMS_OF_PRODUCTS
from qmoe.testing import random_inputs

CIRCUITS = [Circuit(2, 3), Circuit(2, 1, noise=0.1), Circuit(8, 1)]

def work(index):
    torch.set_num_threads(2)
    calls.THREAD_OPERATIONS = 0  # threads for anything
    circuit = CIRCUITS[index % len(CIRCUITS)]
    x, weights = random_inputs(circuit, index, batch=(300,), dtype=torch.float32, requires_grad=True)
    out = NativeEngine().evaluate(circuit, x, weights)
    # No other operations of torch: its OpenMP threads do not survive a fork.
    gradients = torch.autograd.grad(out, (x, weights), torch.ones_like(out))
    return [t.detach().numpy().tobytes() for t in (out, *gradients)]

if __name__ == "__main__":
    expected = [work(i) for i in range(6)]
    with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
        results = pool.map_async(work, range(6)).get(timeout=60)
    print(results == expected)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_get_the_numbers_of_their_parent(method: str, tmp_path: Path) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    script = tmp_path / "workers.py"
    script.write_text(WORKERS)
    # From Python 3.12 on, forking a process that has had threads warns; in a process of its own that is no error.
    command = [sys.executable, str(script), method]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.stdout.strip() == "True", result.stderr


def test_kernel_that_fails_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = ctypes.CFUNCTYPE(
        ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, *[ctypes.c_int64] * 4
    )(lambda *_: 3)
    address = ctypes.cast(failing, ctypes.c_void_p).value
    monkeypatch.setattr(cache, "_object_code", lambda source, itemsize: b"")
    monkeypatch.setattr(cache, "_load", lambda code, symbol: (None, address))
    with pytest.raises(RuntimeError, match="'finish_large' ended with status 3; this is a bug in qmoe"):
        kernels.kernel(CHEAP, 8)(0, 0, 0, 0)
