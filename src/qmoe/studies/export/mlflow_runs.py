"""Trials as runs of MLflow: an experiment for each study, by MLflow's own client."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qmoe.errors import QMoEError
from qmoe.safe_files import own_folder, refuse_odd
from qmoe.studies.export.run_facts import RunFacts, facts_of, needed
from qmoe.studies.store import StudyResults

#: Numbers, runs and options that MLflow takes or gives at once.
_AT_ONCE, _PARAMS_AT_ONCE = 1000, 100
#: Characters that it takes of a value; it says no to more.
_LONGEST = 5000


def to_mlflow(studies: Iterable[StudyResults], out: Path) -> Iterator[str]:
    """Writes the trials of studies as runs into the database ``mlflow.db`` in ``out``.

    A run that is there already is not written again, so the same call goes on where it was interrupted. Options are
    parameters, final numbers and histories (by epoch) metrics. ``mlflow ui --backend-store-uri sqlite:///out/mlflow.db``
    shows them.

    Yields:
        The names of runs as they are written.

    Raises:
        QMoEError: when MLflow is not installed, or cannot write.
    """
    mlflow = needed("mlflow", "mlflow")
    needed("sqlalchemy", "mlflow")  # mlflow-skinny comes without what its databases need
    entities = needed("mlflow.entities", "mlflow")
    own_folder(out)
    refuse_odd(out / "mlflow.db")
    try:
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{(out / 'mlflow.db').resolve()}")
        for results in studies:
            known = client.get_experiment_by_name(results.study.name)
            place = (out / "artifacts" / results.study.name).resolve().as_uri()
            experiment = (
                client.create_experiment(results.study.name, artifact_location=place)
                if known is None
                else known.experiment_id
            )
            there = set(_written(client, experiment))
            for facts in facts_of(results):
                if facts.tags["qmoe.hash"] not in there:
                    _write(client, entities, experiment, facts)
                    yield facts.name
    except mlflow.exceptions.MlflowException as error:
        raise QMoEError(
            f"MLflow cannot write to {out / 'mlflow.db'}: {error}; choose another folder with --out."
        ) from None


def _written(client: Any, experiment: str) -> Iterator[str]:
    """Hashes of the trials whose runs ended; one that an interruption left half written is deleted."""
    token = None
    while True:
        page = client.search_runs([experiment], max_results=_AT_ONCE, page_token=token)
        for run in page:
            if run.info.status == "RUNNING":
                client.delete_run(run.info.run_id)
            else:
                yield run.data.tags.get("qmoe.hash", "")
        token = page.token
        if not token:
            return


def _write(client: Any, entities: Any, experiment: str, facts: RunFacts) -> None:
    ended = _milliseconds(facts.ended)
    tags = {name: value[:_LONGEST] for name, value in facts.tags.items()}
    run = client.create_run(experiment, start_time=_milliseconds(facts.began), tags=tags, run_name=facts.name)
    params = [entities.Param(name, str(value)[:_LONGEST]) for name, value in facts.params.items()]
    metrics = [entities.Metric(name, value, ended, 0) for name, value in facts.metrics.items()]
    metrics += [
        entities.Metric(name, value, ended, epoch)
        for name, values in facts.courses.items()
        for epoch, value in enumerate(values, 1)
    ]
    for part in _parts(params, _PARAMS_AT_ONCE):
        client.log_batch(run.info.run_id, params=part)
    for part in _parts(metrics, _AT_ONCE):
        client.log_batch(run.info.run_id, metrics=part)
    client.set_terminated(run.info.run_id, "FAILED" if facts.error else "FINISHED", ended)


def _parts(values: list[Any], size: int) -> Iterator[list[Any]]:
    for first in range(0, len(values), size):
        yield values[first : first + size]


def _milliseconds(time: datetime.datetime) -> int:
    return round(time.timestamp() * 1000)
