"""Executors on more than one machine: Dask, Slurm by Dask's job queue, MPI."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from qmoe.errors import ConfigError, QMoEError, unknown
from qmoe.studies.run.executors import SizedExecutor, default_workers, sparing_children

P = ParamSpec("P")
Result = TypeVar("Result")

#: The page of a scheduler shows everybody who can reach it what runs, and on which data.
_NO_PAGE = {"dashboard": False}
#: Seconds that a scheduler has to answer, or the first worker to come.
_PATIENCE = 60


class DaskExecutor(SizedExecutor):
    """The workers of a Dask cluster, each thread of which runs one task.

    Args:
        client: what is connected to the scheduler.
        cluster: what was started for this executor and ends with it; None for a scheduler of somebody else.
        keep: how many workers the cluster is to have, whatever they die of; None to leave that to it.
    """

    def __init__(self, client: Any, cluster: Any = None, keep: int | None = None) -> None:
        self._client, self._cluster, self._keep = client, cluster, keep
        # A function of no arguments may be asked for twice and give two results, so nothing is known to be the same.
        self._executor: Executor = client.get_executor(pure=False)

    @property
    def n(self) -> int:
        """Threads of all workers that there are now."""
        found = self._client.nthreads()
        if self._keep is not None and len(found) < self._keep:
            # A local cluster gives a worker up that has not come back after 15 s, which takes longer where much runs beside
            # it. Without workers a study would wait for ever.
            self._cluster.scale(self._keep)
        return max(1, sum(found.values()))

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """A future of ``fn(*args, **kwargs)`` on one of the workers."""
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the scheduler, and ends the cluster if it was started here."""
        self._executor.shutdown(wait=wait)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


class MPIExecutor(SizedExecutor):
    """The ranks of an MPI program started as ``mpiexec -n N python -m mpi4py.futures -m qmoe run ...``; rank 0 plans."""

    def __init__(self) -> None:
        futures, mpi = _package("mpi4py.futures", "mpi4py"), _package("mpi4py.MPI", "mpi4py")
        self._n = mpi.COMM_WORLD.Get_size() - 1
        if self._n < 1:
            raise ConfigError(
                "The executor 'mpi' found one rank; start qmoe by `mpiexec -n N python -m mpi4py.futures -m qmoe ...` with "
                "N of at least 2."
            )
        self._executor: Executor = futures.MPIPoolExecutor()

    @property
    def n(self) -> int:
        """Ranks but the one that plans."""
        return self._n

    def submit(self, fn: Callable[P, Result], /, *args: P.args, **kwargs: P.kwargs) -> Future[Result]:
        """A future of ``fn(*args, **kwargs)`` on one of the other ranks."""
        return self._executor.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the ranks."""
        self._executor.shutdown(wait=wait, cancel_futures=cancel_futures)


def open_cluster(kind: str, where: str, workers: int | None) -> Executor:
    """The executor ``dask:where``, ``slurm`` or ``mpi``; see `qmoe.studies.run.executors.open_executor`."""
    name = f"{kind}:{where}" if where else kind
    if where and kind != "dask":
        raise unknown("executor", name, ("local", "dask:ADDRESS", "dask:local", "slurm", "mpi"))
    if workers is not None and (kind == "mpi" or (kind == "dask" and where != "local")):
        raise ConfigError(f"workers is {workers}, but the executor {name!r} has workers of its own; drop --workers.")
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}, expected at least 1 with the executor {name!r}.")
    if kind == "mpi":
        return MPIExecutor()
    distributed = _package("distributed", "distributed")
    if kind == "slurm":
        made = _package("dask_jobqueue", "dask-jobqueue").SLURMCluster
        told = _package("dask", "distributed").config.get("jobqueue.slurm.scheduler-options", {})
        cluster = made(scheduler_options={**_NO_PAGE, **(told or {})})  # all else by Dask's own configuration
        cluster.scale(jobs=workers or 1)
        return _connected(distributed, cluster)
    if where == "local":
        n = workers or default_workers()
        # On this machine alone: the page of the scheduler would be open to everybody who can reach it.
        with sparing_children():
            cluster = distributed.LocalCluster(
                n_workers=n, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=40,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # its health is told at any port that is free
            )  # fmt: skip
        return _connected(distributed, cluster, keep=n)
    if not where:
        raise ConfigError(
            "dask needs the address of a scheduler or its file, as in dask:tcp://10.0.0.1:8786 or dask:sched.json, or "
            "dask:local."
        )
    return _connected(distributed, None, where)


def _connected(distributed: Any, cluster: Any, address: str | None = None, keep: int | None = None) -> DaskExecutor:
    try:
        by_file = address is not None and address.endswith(".json")
        place = {"scheduler_file": address} if by_file else {"address": cluster if address is None else address}
        client = distributed.Client(**place, timeout=_PATIENCE)
        client.wait_for_workers(1, timeout=_PATIENCE)
    except (OSError, TimeoutError) as error:
        raise QMoEError(
            f"No Dask worker answers at {address or 'the cluster'}: {error}. Start one by `dask worker ADDRESS`, in an "
            "environment with qmoe."
        ) from error
    return DaskExecutor(client, cluster, keep)


def _package(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise QMoEError(f"This executor needs {package}: pip install 'qmoe[cluster]' ({error}).") from None
