"""Mixtures of experts under `torch.nn.parallel.DistributedDataParallel`."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from helpers import generator
from qmoe import LinearExperts, LinearRouter, MixtureOfExperts
from qmoe.moe import LossCoefficients

F64: dict[str, Any] = {"dtype": torch.float64}
STEPS = 3


def mixture() -> MixtureOfExperts:
    return MixtureOfExperts(
        LinearRouter(3, 4, generator=generator(1), **F64),
        LinearExperts(3, 2, 4, generator=generator(2), **F64),
        top_k=1,
        dispatch="sparse",
        bias=0.05,
        losses=LossCoefficients(z=0.1),
    )


def train(moe: torch.nn.Module, optimizer: torch.optim.Optimizer, rows: slice) -> None:
    x = torch.rand(STEPS, 24, 3, generator=generator(5), **F64)
    for batch in x[:, rows]:
        optimizer.zero_grad()
        moe(batch).square().mean().backward()
        optimizer.step()


def work(rank: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    moe = mixture()
    optimizer = torch.optim.SGD(moe.parameters(), lr=0.1)
    moe.update_bias_after(optimizer)
    train(DistributedDataParallel(moe), optimizer, slice(12 * rank, 12 * rank + 12))
    torch.save(moe.state_dict(), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_update_weights_and_bias_as_one_does(tmp_path: Path) -> None:
    mp.spawn(work, (str(tmp_path),), nprocs=2)
    alone = mixture()
    optimizer = torch.optim.SGD(alone.parameters(), lr=0.1)
    alone.update_bias_after(optimizer)
    train(alone, optimizer, slice(None))
    assert alone.gating is not None
    assert alone.gating.bias is not None
    assert len(alone.gating.bias.unique()) > 1
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-12)
