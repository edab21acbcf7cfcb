"""Executors on more than one machine, as far as one machine can show: Dask by threads and by TCP, MPI by two ranks."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import distributed
import pytest

from qmoe.errors import ConfigError, QMoEError
from qmoe.studies import Store, make_trials, parse_study, run_studies
from qmoe.studies.run import clusters
from qmoe.studies.run.dispatch import results
from qmoe.studies.run.executors import ending, n_at_once, open_executor
from tiny_study import TINY_TOML, tiny_values


@pytest.fixture(scope="module")
def scheduler():
    """The address of a Dask scheduler with two workers of one thread."""
    # In threads of this process, which start at once; the protocol is the one between machines.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The numbers of the tiny study from this process."""
    study = parse_study(tiny_values())
    path = tmp_path_factory.mktemp("here") / "s.sqlite"
    with Store(path) as store:
        run_studies([study], store)
    return numbers(path)


def numbers(path):
    with Store(path, create=False) as store:
        found = store.load("tiny").records
    return {digest: (record.metrics, record.history, record.state) for digest, record in found.items()}


def test_a_dask_scheduler_gives_the_same_numbers(scheduler, here, tiny, tmp_path):
    with ending(open_executor(f"dask:{scheduler}")) as executor, Store(tmp_path / "s.sqlite") as store:
        assert n_at_once(executor) == 2
        assert run_studies([tiny], store, executor).ran == 12
    assert numbers(tmp_path / "s.sqlite") == here


def test_a_scheduler_is_found_by_its_file(scheduler, tmp_path):
    (tmp_path / "sched.json").write_text(json.dumps({"address": scheduler}))
    with ending(open_executor(f"dask:{tmp_path / 'sched.json'}")) as executor:
        assert list(results(executor, abs, [-2])) == [2]


def test_the_same_task_may_be_asked_for_twice(scheduler):
    with ending(open_executor(f"dask:{scheduler}")) as executor:
        assert list(results(executor, abs, [-1, -1, -1])) == [1, 1, 1]


def test_an_error_of_a_task_comes_back_from_dask(scheduler):
    with ending(open_executor(f"dask:{scheduler}")) as executor, pytest.raises(ValueError, match="invalid literal"):
        list(results(executor, int, ["x"]))


def test_what_cannot_be_reached_is_told(monkeypatch):
    monkeypatch.setattr(clusters, "_PATIENCE", 0.2)
    with pytest.raises(QMoEError, match=r"No Dask worker answers at tcp://127\.0\.0\.1:9"):
        open_executor("dask:tcp://127.0.0.1:9")
    with pytest.raises(ConfigError, match="address of a scheduler"):
        open_executor("dask:")


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(QMoEError, match=r"needs distributed: pip install 'qmoe\[cluster\]'"):
        open_executor("dask:local")


def test_one_rank_is_too_few():
    with pytest.raises(ConfigError, match="mpiexec -n N"):
        open_executor("mpi")


def test_mpi_ranks_give_the_same_numbers_by_the_command_line(here, tiny, tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY_TOML)
    mpiexec = Path(sys.executable).with_name("mpiexec")
    command = [str(mpiexec), "-n", "2", sys.executable, "-m", "mpi4py.futures", "-m", "qmoe", "run", "tiny.toml"]
    done = subprocess.run(
        [*command, "--out", "results", "--executor", "mpi"], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = numbers(tmp_path / "results" / "store.sqlite")
    assert found == here
    assert found.keys() == {member.trial.hash for member in make_trials(tiny)}


@pytest.mark.parametrize(("there", "asked"), [(0, [2]), (1, [2]), (2, [])])
def test_workers_that_a_local_cluster_gave_up_are_asked_for_again(there, asked):
    # A local cluster gives up a worker that is not back in time, at moments that no test can choose.
    said = []
    client = SimpleNamespace(
        get_executor=lambda pure: None, nthreads=lambda: {f"tcp://127.0.0.1:{k}": 1 for k in range(there)}
    )
    executor = clusters.DaskExecutor(client, SimpleNamespace(scale=said.append), keep=2)
    assert executor.n == max(1, there)
    assert said == asked


def test_a_local_cluster_is_held_to_its_number_of_workers(monkeypatch):
    client = SimpleNamespace(wait_for_workers=lambda n, timeout: None, get_executor=lambda pure: None)
    dask = SimpleNamespace(LocalCluster=lambda **given: SimpleNamespace(**given), Client=lambda **given: client)
    monkeypatch.setattr(clusters, "_package", lambda module, package: dask)
    assert open_executor("dask:local", 3)._keep == 3
