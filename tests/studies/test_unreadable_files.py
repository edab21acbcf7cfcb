"""Study and claims files that no person writes: refused in a line, whatever is in them."""

import pytest

from qmoe.claims import load_claims
from qmoe.claims.spec import parse_claims
from qmoe.data import make_dataset
from qmoe.errors import ConfigError
from qmoe.studies import load_study, parse_study
from qmoe.studies.overrides import parse_override, with_overrides
from tiny_study import TINY_TOML, tiny_values


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("read", [load_study, load_claims])
@pytest.mark.parametrize(
    "value",
    [
        "9" * 5_000,
        "0x" + "f" * 6_000,
        "[" * 100_000 + "]" * 100_000,
        "[" * 400 + "]" * 400,
        f"{2**64}",
        "1e" + "9" * 5_000,
    ],
    ids=["digits", "hexadecimal", "very deep", "deep", "65 bits", "exponent"],
)
def test_numbers_and_nesting_beyond_all_measure_are_one_line(read, value, tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(f"title = {value}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"odd\.toml") as caught:
        read(path)
    assert all(len(line) < 700 for line in str(caught.value).splitlines())


@pytest.mark.parametrize("read", [load_study, load_claims])
def test_a_number_too_long_for_text_is_one_line_where_a_name_should_be(read, tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(f"[data]\nname = 0b{'1' * 20_000}\n[[claims]]\nname = 0x{'f' * 6_000}\n", "utf-8")
    with pytest.raises(ConfigError, match=r"odd\.toml.*name: .* beyond the 64 bits"):
        read(path)


@pytest.mark.parametrize("read", [load_study, load_claims])
def test_a_key_of_thousands_of_parts_is_refused_at_once(read, tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(f"{'a . ' * 20_000}a = 1\n{'b' * 1_000_000} = 2\n", "utf-8")
    with pytest.raises(ConfigError, match="a key has more than 50 parts"):
        read(path)


def test_prose_and_numbers_with_many_dots_are_no_key(tmp_path):
    path = tmp_path / "prose.toml"
    about = "One sentence. " * 100 + "... " * 100 + "1.5, " * 100
    path.write_text(f'about = "{about}"\n{TINY_TOML}lr_factors = [{"2.5, " * 1}]\n', "utf-8")
    with pytest.raises(ConfigError, match="lr_factors"):  # it stands in the last arm; the file was read
        load_study(path)


@pytest.mark.parametrize("parse", [parse_study, parse_claims])
@pytest.mark.parametrize(
    "value", [10**5_000, -(10**5_000), nested(60), nested(100_000), {"a": nested(60)}], ids=list("abcde")
)
def test_values_from_python_are_held_to_the_same(parse, value):
    with pytest.raises(ConfigError, match=r"bits|deep"):
        parse(tiny_values(title=value))


@pytest.mark.parametrize("name", ["name", "self", "cls"])
def test_an_option_of_data_with_the_name_of_an_argument_is_an_unknown_option(name, tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text(TINY_TOML.replace("noise = 0.1", f"{name} = 1"), "utf-8")
    with pytest.raises(ConfigError, match=f"option of data set 'moons'.*'{name}'"):
        load_study(path)
    with pytest.raises(ConfigError, match=f"'{name}'"):
        make_dataset("moons", **{name: 1})


def test_an_override_of_too_many_digits_is_refused_as_a_value():
    values = with_overrides(tiny_values(), [parse_override("training.epochs=0x" + "f" * 6_000)])
    with pytest.raises(ConfigError, match="24,000 bits"):
        parse_study(values[0])


def test_more_seeds_than_can_be_are_refused_on_the_command_line(tiny):
    with pytest.raises(ConfigError, match=r"seeds\.data: .*2147483647 \(got 1000000000000\)"):
        tiny.resized(10**12)
