"""Trials as event files of TensorBoard, by torch's own writer."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from qmoe.safe_files import own_folder
from qmoe.studies.export.run_facts import RunFacts, facts_of, needed
from qmoe.studies.store import StudyResults


def to_tensorboard(studies: Iterable[StudyResults], out: Path) -> Iterator[str]:
    """Writes a folder of event files for each trial of studies: ``out/STUDY/RUN``.

    Histories are scalars by epoch, options and final numbers the hyperparameters of the run. A run that is there already is
    not written again. ``tensorboard --logdir out`` shows them.

    Yields:
        The names of runs as they are written.

    Raises:
        QMoEError: when TensorBoard is not installed.
    """
    needed("tensorboard", "tensorboard")
    tensorboard = needed("torch.utils.tensorboard", "tensorboard")
    for results in studies:
        own_folder(out / results.study.name)
        for facts in facts_of(results):
            folder = out / results.study.name / facts.name
            if folder.exists():
                continue
            half = folder.with_name(f".{facts.name}")  # what an interruption leaves is begun anew
            if half.is_symlink():
                half.unlink()
            elif half.exists():
                shutil.rmtree(half)
            with tensorboard.SummaryWriter(str(half)) as writer:
                _write(writer, facts)
            half.rename(folder)
            yield facts.name


def _write(writer: Any, facts: RunFacts) -> None:
    time = facts.ended.timestamp()
    for name, values in facts.courses.items():
        for epoch, value in enumerate(values, 1):
            writer.add_scalar(name, value, epoch, walltime=time)
    last = {name: values[-1] for name, values in facts.courses.items() if values}
    for name, text in facts.tags.items():
        writer.add_text(name, text, walltime=time)
    # In the run's own folder; else torch makes another below it, named by the time.
    final = {f"final/{name}": value for name, value in (last | facts.metrics).items()}
    writer.add_hparams(facts.params, final, run_name=".", global_step=0)
