import pytest
from benchmarks.sizes import (
    MEMORY_SIZES,
    QUICK_SIZES,
    RATE_SIZE,
    SIZES,
    SWEEPS,
    Size,
    SizeError,
    parse_size,
    parse_sizes,
)


@pytest.mark.parametrize("size", [*SIZES, *QUICK_SIZES, *(size for sweep in SWEEPS.values() for size in sweep)])
def test_a_size_is_read_as_it_is_written(size):
    assert parse_size(str(size)) == size


def test_several_sizes_each_once():
    assert parse_sizes(["2,3,32,1  4,3,32,1;2,3,32,1", "2, 3,32,1,noisy".replace(" ", ""), "2,3,32,1,damped"]) == [
        Size(2, 3, 32),
        Size(4, 3, 32),
        Size(2, 3, 32, noisy=True),
        Size(2, 3, 32, damped=True),
    ]


@pytest.mark.parametrize("text", ["", "2,3,32", "2,3,32,1,loud", "2,3,32,1,1", "a,b,c,d", "2,3,-32,1", "2;3;32;1"])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(SizeError, match="such as 2,3,32,1"):
        parse_size(text)


def test_zero_is_refused():
    with pytest.raises(SizeError, match="below 1"):
        parse_size("0,3,32,1")


def test_two_kinds_of_noise_are_refused():
    with pytest.raises(SizeError, match="noisy and damped; take one of them"):
        Size(2, 3, 32, noisy=True, damped=True)


def test_the_state_vector_of_all_samples():
    assert Size(16, 3, 16).state_bytes == 16 * 2**16 * 8
    assert Size(2, 3, 32, 30).n_samples == 960


def test_what_is_measured_once_is_timed_too():
    assert set(MEMORY_SIZES) <= set(SIZES)
    assert RATE_SIZE in SIZES


def test_every_plot_varies_one_number():
    for axis, field in (("qubits", "n_qubits"), ("batch", "n_batch"), ("models", "n_models")):
        fixed = {
            tuple(getattr(size, name) for name in ("n_qubits", "n_layers", "n_batch", "n_models") if name != field)
            for size in SWEEPS[axis]
        }
        varied = [getattr(size, field) for size in SWEEPS[axis]]
        assert len(fixed) == 1
        assert varied == sorted(set(varied))
