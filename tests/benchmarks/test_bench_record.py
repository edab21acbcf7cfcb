"""The record, and what is made of it: ratios, the page, the plots."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.first_use import FirstUse
from benchmarks.memory import Memory
from benchmarks.operations import gemm_flops, step_flops
from benchmarks.record import Gpu, Profile, Record, Result
from benchmarks.show import show
from benchmarks.sizes import SWEEPS, Size
from benchmarks.spans import SpanTimes
from benchmarks.timing import Timing
from rich.console import Console

from benchmarks import comparison, page, plots, record
from qmoe.report.pictures.style import style

ROOT = Path(__file__).parents[2]
SMALL, RATED, NOISY = Size(2, 3, 32), Size(8, 3, 256), Size(2, 3, 32, noisy=True)


def timing(median, spread=0.02):
    """All numbers with the digits that a record keeps."""
    median = float(f"{median:.4g}")
    return Timing(median, float(f"{0.9 * median:.4g}"), spread, 11, 100, float(f"{10 * median:.4g}"), spread > 0.15)


@pytest.fixture
def made():
    """A record in which one peer wins once, one is left out, one failed and one timing is unstable."""
    return Record(
        date="2030-01-01",
        commit="0123456789ab",
        machine={"cpu": "A processor", "cores": 2, "memory_gib": 15.6, "os": "Linux x86_64", "python": "3.12.1"},
        load=0.1,
        threads=2,
        versions={"jax": "1.2.3", "torch": "4.5.6"},
        contenders={
            "qmoe-native": Profile("qmoe native", "as it is", True),
            "qmoe-module": Profile("qmoe native, as a module", "in a module", True),
            "qmoe-torch": Profile("qmoe torch", "as it is", True),
            "tensorcircuit": Profile("TensorCircuit-NG", "compiled", False),
            "default.qubit": Profile("default.qubit", "broadcast", False),
        },
        missing={"pyqtorch": "ModuleNotFoundError: No module named 'pyqtorch'"},
        results=(
            Result(
                SMALL,
                {
                    "qmoe-native": timing(1e-4),
                    "qmoe-module": timing(5e-5),
                    "qmoe-torch": timing(2e-3),
                    "tensorcircuit": timing(2.345e-4),
                    "default.qubit": timing(6e-3, 0.3),
                },
                gemm=timing(0.03),
            ),
            Result(
                RATED,
                {"qmoe-native": timing(2e-3), "tensorcircuit": timing(1e-3)},
                left_out={"default.qubit": "one step takes 99 s"},
                gemm=timing(0.03),
            ),
            Result(NOISY, {"qmoe-torch": timing(1e-3)}, errors={"tensorcircuit": "gradient: off by 1.0e+00"}),
        ),
        sweeps={
            axis: tuple(
                Result(size, {"qmoe-native": timing(n * 1e-5), "tensorcircuit": timing(n * 1e-4)})
                for n, size in enumerate(sizes, 1)
            )
            for axis, sizes in SWEEPS.items()
        },
        memory=(Memory("native", "16,3,16,1", 50 * 2**20, 3 * 2**23, 2**23),),
        first_use=(FirstUse("native", 1.2, 6.5, 0.3),),
        spans=(SpanTimes(50, 4, 63464, 0.5, 0.1, 0.3, 1e-15),),
        seconds=600.0,
    )


def test_a_record_survives_the_file(made, tmp_path):
    path = tmp_path / "deep" / "record.json"
    record.save(made, path)
    assert record.load(path) == made


def test_a_record_of_another_format_is_refused(made, tmp_path):
    path = tmp_path / "record.json"
    record.save(made, path)
    path.write_text(path.read_text().replace('"format": 1', '"format": 0'))
    with pytest.raises(ValueError, match="make bench"):
        record.load(path)


def test_no_ratio_is_stored(made, tmp_path):
    record.save(made, tmp_path / "record.json")
    assert "ratio" not in (tmp_path / "record.json").read_text()


def test_the_quickest_engine_stands_for_qmoe_and_the_module_does_not(made):
    assert comparison.own_key(made, made.results[0]) == "qmoe-native"
    assert comparison.own_key(made, made.results[2]) == "qmoe-torch"
    assert comparison.own_key(made, Result(SMALL)) is None


def test_ratios_carry_the_doubt_of_both(made):
    assert str(comparison.ratio(made, made.results[0], "tensorcircuit")) == "2.3x"
    assert str(comparison.ratio(made, made.results[0], "default.qubit")) == "~60x"
    assert comparison.ratio(made, made.results[1], "default.qubit") is None


def test_who_wins(made):
    assert comparison.wins(made, "tensorcircuit") == [RATED]
    assert comparison.wins(made, "default.qubit") == []
    assert comparison.fastest_peer(made, made.results[0]) == "tensorcircuit"
    assert comparison.fastest_peer(made, made.results[2]) is None


def test_the_share_of_the_matrix_product(made):
    share = comparison.gemm_share(made, made.results[1])
    assert share == pytest.approx(step_flops(RATED) / 2e-3 / (gemm_flops() / 0.03))
    assert comparison.gemm_share(made, made.results[2]) is None  # noise is not counted


@pytest.mark.parametrize(
    ("value", "text"), [(1234.0, "1,200"), (99.6, "100"), (9.96, "10"), (2.345, "2.3"), (0.0123, "0.012"), (0.0, "0.0")]
)
def test_two_significant_digits(value, text):
    assert comparison.significant(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.34, "12.3 s"), (1.0, "1.00 s"), (0.0145, "14.5 ms"), (2.5e-5, "25.0 us"), (9.999e-4, "1.00 ms")],
)
def test_durations(value, text):
    assert comparison.duration(value) == text


def test_the_page_says_what_the_record_says(made):
    text = page.page(made)
    assert "| (2, 3, 32, 1) | 100 us | 50.0 us | 2.00 ms | 2.3x | ~60x |" in text
    assert "**0.50x**" in text
    assert "TensorCircuit-NG** is faster than qmoe at (8, 3, 256, 1)." in text
    assert "default.qubit** is never faster; the smallest ratio is ~60x, at (2, 3, 32, 1)" in text
    assert "default.qubit at (8, 3, 256, 1) (one step takes 99 s)" in text
    assert "TensorCircuit-NG at (2, 3, 32, 1), noisy (gradient: off by 1.0e+00)" in text
    assert "peaks 3.0 state vectors" in text
    assert "`import qmoe` 1.20 s; the first step 6.50 s" in text
    assert "pyqtorch takes no part" in text
    assert "about 10 minutes" in text


def test_the_page_warns_of_a_wide_spread_and_a_busy_machine_only_then(made):
    assert "the worst default.qubit at (2, 3, 32, 1) by 30%" in page.page(made)
    assert "was busy" not in page.page(made)
    quiet = replace(made, results=made.results[1:])
    assert "the worst" not in page.page(quiet)
    assert "was busy" in page.page(replace(made, load=1.9))


@pytest.fixture
def on_gpu(made):
    """The same with a GPU that wins at one size, and at both as a graph."""
    small, large = SMALL, Size(16, 3, 64)
    gpu = Gpu(
        name="one Accelerator 9",
        cuda="12.3",
        machine={**made.machine, "threads": 4},
        date="2030-01-02",
        commit="abcdef012345",
        versions={"torch": "4.5.6"},
        contenders={
            "gpu-qmoe-torch": Profile("qmoe torch", "as auto takes it", True),
            "gpu-qmoe-graph": Profile("qmoe torch, CUDA graph", "recorded", True),
            "cpu-qmoe-native": Profile("qmoe native, CPU", "beside it", True),
            "gpu-default.qubit": Profile("default.qubit", "broadcast", False),
        },
        missing={"PennyLane on JAX": "RuntimeError: this JAX sees no GPU"},
        results=(
            Result(
                small,
                {
                    "gpu-qmoe-torch": timing(3e-3),
                    "gpu-qmoe-graph": timing(1e-4),
                    "cpu-qmoe-native": timing(2e-4),
                    "gpu-default.qubit": timing(1.5e-3),
                },
            ),
            Result(
                large,
                {
                    "gpu-qmoe-torch": timing(1e-2),
                    "gpu-qmoe-graph": timing(4e-3),
                    "cpu-qmoe-native": timing(1e-1),
                },
                left_out={"gpu-default.qubit": "one step takes 99 s"},
            ),
        ),
    )
    return replace(made, gpu=gpu)


def test_steps_on_a_gpu_survive_the_file(on_gpu, tmp_path):
    record.save(on_gpu, tmp_path / "record.json")
    assert record.load(tmp_path / "record.json") == on_gpu


def test_a_record_from_before_there_was_a_gpu_is_read(made, tmp_path):
    path = tmp_path / "record.json"
    record.save(made, path)
    content = json.loads(path.read_text())
    del content["gpu"]
    path.write_text(json.dumps(content))
    assert record.load(path) == made


def test_the_page_shows_the_gpu_in_a_section_of_its_own(made, on_gpu):
    text = page.page(on_gpu)
    section = text[text.index("## On a GPU") : text.index("## Beside the times")]
    assert text.replace(section, "") == page.page(made)
    assert "one Accelerator 9 with CUDA 12.3, and the processor beside it, A processor, 2 cores, 4 threads" in section
    assert "| (2, 3, 32, 1) | 3.00 ms | 100 us | 200 us | **0.50x** |" in section
    assert "| (16, 3, 64, 1) | 10.0 ms | 4.00 ms | 100 ms | left out |" in section
    assert (
        "called directly is faster on the GPU than the native engine on the CPU of that machine at (16, 3, 64, 1)."
        in section
    )
    assert (
        "as a CUDA graph is faster on the GPU than the native engine on the CPU of that machine at all sizes."
        in section
    )
    assert "* default.qubit left out (one step takes 99 s) at (16, 3, 64, 1)." in section
    assert "* PennyLane on JAX takes no part: RuntimeError: this JAX sees no GPU." in section


def test_every_image_of_the_page_is_drawn(made, tmp_path):
    drawn = {path.name for path in plots.write(made, tmp_path)}
    assert set(re.findall(r"images/([\w-]+\.svg)", page.page(made))) == drawn


def test_plots_are_the_same_every_time(made, tmp_path):
    with style():
        for name in ("a.svg", "b.svg"):
            plots.draw(made, "batch").savefig(tmp_path / name, metadata={"Date": None})
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_labels_keep_their_distance():
    placed = plots.spread_out([0.5, 0.51, 0.1, 0.52], 0.1)
    ordered = sorted(placed)
    assert all(b - a >= 0.1 - 1e-6 for a, b in itertools.pairwise(ordered))
    assert placed[0] < placed[1] < placed[3]
    assert placed[2] == pytest.approx(0.1)


def test_the_committed_page_is_that_of_the_committed_record():
    if not record.PATH.exists():
        assert not page.PAGE.exists(), "docs/benchmarks.md quotes a record that is not there: run `make bench`"
        return
    made = record.load()
    assert page.PAGE.read_text(encoding="utf-8") == page.page(made), "run `python -m benchmarks.page`"
    for axis in made.sweeps:
        assert (plots.FOLDER / f"bench-{axis}.svg").exists(), "run `python -m benchmarks.plots`"


def test_nothing_of_one_machine_is_in_the_record():
    if record.PATH.exists():
        assert not re.search(r"(/root|/work|/home/|/tmp/|/Users/)", record.PATH.read_text())


@pytest.mark.parametrize("words", ["[/]", "[red]fast", ":zap: device[0]"])
def test_the_terminal_shows_titles_and_reasons_as_they_are(made, words, capsys):
    contenders = {key: replace(one, title=f"{one.title} {words}") for key, one in made.contenders.items()}
    results = (*made.results[:2], replace(made.results[2], errors={"tensorcircuit": f"why {words}"}))
    show(
        replace(made, contenders=contenders, results=results, load=99.0), Console(width=200, markup=False, emoji=False)
    )
    shown = capsys.readouterr().out
    assert f"why {words}" in shown
    assert f"qmoe native {words}" in shown
    assert "The results may be unstable: " in shown
    assert "The machine was busy before the run began (load 99.0)." in shown
