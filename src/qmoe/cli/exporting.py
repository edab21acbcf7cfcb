"""Results for other programs: tables, MLflow, TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from qmoe.cli.console import make_console, say
from qmoe.cli.jobs import STORE
from qmoe.data.tables.text import for_spreadsheet
from qmoe.errors import QMoEError, count, unknown
from qmoe.safe_files import own_folder, write_whole
from qmoe.studies.export import to_mlflow, to_tensorboard
from qmoe.studies.store import Store

#: Programs that show runs, and the command that shows what was written for them.
_SHOWN_BY = {"mlflow": "mlflow ui --backend-store-uri sqlite:///{}/mlflow.db", "tensorboard": "tensorboard --logdir {}"}
_FORMATS = ("csv", "parquet", *_SHOWN_BY)


def export_job(folder: Path, to: str, out: Path) -> None:
    """Writes the results in ``folder`` to ``out``, as tables or as runs of another program."""
    if to not in _FORMATS:
        raise unknown("format", to, _FORMATS)
    with Store(folder / STORE, create=False) as store:
        if to in _SHOWN_BY:
            _write_runs(store, to, out)
        else:
            _write_tables(store, to, out)


def _write_runs(store: Store, to: str, out: Path) -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing goes out to a network unasked
    write: Callable[..., Iterator[str]] = to_mlflow if to == "mlflow" else to_tensorboard
    studies = (store.load(name) for name in store.study_names() if store.asked(name) is not None)
    _make_folder(out)
    console = make_console()
    n_written = sum(1 for _ in write(studies, out))
    say(console, f"{out}: {count(n_written, 'run')} written; those that were there are kept.")
    say(console, f"To see them: {_SHOWN_BY[to].format(out)}")


def _make_folder(out: Path) -> None:
    try:
        own_folder(out)
    except OSError as error:
        raise QMoEError(f"The folder {out} cannot be made: {error.strerror}; choose another with --out.") from None


def _write_tables(store: Store, to: str, out: Path) -> None:
    """Writes ``trials``, ``history`` and ``measurements``, a file each."""
    import pandas

    measured = [
        {"quantity": quantity, "name": name, "draw": draw, "value": value}
        for quantity, named in store.measurements().items()
        for name, values in named.items()
        for draw, value in enumerate(values.tolist())
    ]
    frames = {
        "trials": store.frame(),
        "history": store.frame(history=True),
        "measurements": pandas.DataFrame(measured),
    }
    _make_folder(out)
    console = make_console()
    for name, frame in frames.items():
        path = out / f"{name}.{to}"
        try:
            if to == "csv":
                write_whole(path, frame.rename(columns=for_spreadsheet).map(for_spreadsheet).to_csv(index=False))
            else:
                write_whole(path, frame.to_parquet(index=False))
        except ImportError as error:
            raise QMoEError(f"Parquet needs pyarrow: pip install pyarrow ({error}).") from None
        except OSError as error:
            raise QMoEError(f"{path} cannot be written: {error.strerror}; choose another folder with --out.") from None
        say(console, f"{path}: {len(frame):,} rows")
