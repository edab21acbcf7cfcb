"""Tables as files: RFC 4180, dialects, and the place of what is wrong."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qmoe.data import UserTable
from qmoe.data.tables import delimited
from qmoe.data.tables.delimited import read_cells
from qmoe.errors import ConfigError


def by_both(text: str, target: str, monkeypatch: pytest.MonkeyPatch):
    """What pandas reads, after checking that Python's own reader reads the same."""
    found = read_cells("f.csv", text, target)
    with monkeypatch.context() as patch:
        patch.setattr(delimited, "_fast", lambda *_: None)
        slow = read_cells("f.csv", text, target)
    np.testing.assert_array_equal(found.x, slow.x)
    assert (found.words, found.columns) == (slow.words, slow.columns)
    return found


@pytest.fixture
def fast_only(monkeypatch):
    """Fails where Python's own reader is asked."""
    monkeypatch.setattr(delimited, "_slow", None)


@pytest.mark.parametrize(
    "end", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"], ids=lambda end: f"U+{ord(end):04X}"
)
def test_a_line_ends_where_csv_says_and_nowhere_else(end: str, monkeypatch) -> None:
    found = by_both(f"x,city\n1,new{end}york\n2,newyork\n3,oslo\n", "city", monkeypatch)
    assert found.words == [f"new{end}york", "newyork", "oslo"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_quoted_value_goes_on_over_lines(newline: str, monkeypatch) -> None:
    lines = ["x,city", f'1,"new{newline}york"', "2,newyork", '3,"say ""oslo"", twice"', ""]
    found = by_both(newline.join(lines), "city", monkeypatch)
    assert found.words == [f"new{newline}york", "newyork", 'say "oslo", twice']
    assert found.x[:, 0].tolist() == [1, 2, 3]


def test_row_numbers_count_rows_and_not_lines() -> None:
    text = 'x,city\n\n1,"new\n\nyork"\n\n2,oslo\nfive,bern\n'
    with pytest.raises(ConfigError, match=r"row 3 of f\.csv has 'five' in column 'x'"):
        read_cells("f.csv", text, "city")


@pytest.mark.usefixtures("fast_only")
@pytest.mark.parametrize(
    "text",
    [
        "a;b;kind\n1.5;2;x\n-3;4e1;y\n",
        "a;b;kind\n1,5;2;x\n-3;4e1;y\n",
        "a\tb\tkind\n1.5\t2\tx\n-3\t4e1\ty\n",
        "a\tb\tkind\n1,5\t2,0\tx\n-3\t4e1\ty\n",
        "a|b|kind\n1.5|2|x\n-3|4e1|y\n",
        "sep=;\r\na;b;kind\r\n1,5;2;x\r\n-3;4e1;y\r\n",
        '"a";"b";"kind"\n"1,5";"2";"x"\n"-3";"4e1";"y"\n',
        "a, b, kind\n1.5, 2, x\n-3, 4e1, y\n",
        '"a","b","kind"\n"1.5","2","x"\n"-3","4e1","y"\n',
    ],
)
def test_separators_and_decimal_commas_are_found(text: str) -> None:
    found = read_cells("f.csv", text, "kind")
    assert found.columns == ("a", "b")
    np.testing.assert_array_equal(found.x, [[1.5, 2], [-3, 40]])
    assert [word.strip() for word in found.words] == ["x", "y"]


def test_quoted_decimal_commas_between_commas_are_read() -> None:
    found = read_cells("f.csv", 'a,kind\n"1,5",x\n"2,25",y\n', "kind")
    assert found.x[:, 0].tolist() == [1.5, 2.25]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a;kind\n1,5;x\n2.5;y\n", r"row 1 of f\.csv has '1,5' in column 'a', expected a finite number"),
        ("a;kind\n1.234,5;x\n2,5;y\n", r"row 1 of f\.csv has '1.234,5'"),
        ("a,kind\n1,x\n2,y,z\n", r"row 2 of f\.csv has 3 values, expected 2"),
        ("a,kind\n1,x,z\n2,y\n", r"row 1 of f\.csv has 3 values, expected 2"),
        ("a,kind\n1,x,z\n2,y,z\n", r"row 1 of f\.csv has 3 values, expected 2"),
        ("a,kind\n1,x\n2\n3,x\n", r"row 2 of f\.csv has 1 values, expected 2"),
        ("a,kind\n1,x\nTrue,y\n", r"row 2 of f\.csv has 'True'"),
        ("a,kind\nTrue,x\nFalse,y\n", r"row 1 of f\.csv has 'True'"),
        ("a,kind\n1,x\nnan,y\n", r"row 2 of f\.csv has 'nan'"),
        ("a,kind\n1,x\n-inf,y\n", r"row 2 of f\.csv has '-inf'"),
        ("a,kind\n1,x\n1e999,y\n", r"row 2 of f\.csv has '1e999'"),
        ('a,kind\n1,x\n2,"y\n', r"f\.csv is no CSV file"),
        ("a;kind\n1;x\n", r"f\.csv has no column 'label'\. Known: a, kind\.$"),
        ("ash;labels\n1;x\n", r"has no column 'label'; did you mean 'labels'\? Known: ash, labels\.$"),
        ("", r"has 0 line\(s\)"),
        ("a,label\n", r"has 1 line\(s\)"),
        ("label\nx\ny\n", "no column beside 'label'.*semicolons, tabs or bars"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, words: str) -> None:
    target = "label" if "label" in text or "label" in words or not text else "kind"
    with pytest.raises(ConfigError, match=words):
        read_cells("f.csv", text, target)


def test_a_column_is_guessed_only_where_its_name_is_close() -> None:
    with pytest.raises(ConfigError, match=r"^table: f\.csv has no column 'class'\. Known: ash, target\.$"):
        read_cells("f.csv", "ash,target\n1,a\n", "class")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=6),
        ),
        min_size=1,
        max_size=8,
    ),
    separator=st.sampled_from([",", ";", "\t", "|"]),
)
def test_what_pythons_writer_wrote_is_read_as_it_was(rows: list[tuple[float, str]], separator: str) -> None:
    rows = [(value, word) for value, word in rows if word.strip() and word == word.lstrip(" ")]
    if not rows:
        return
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("x", "kind"), *((repr(value), word) for value, word in rows)])
    found = read_cells("f.csv", out.getvalue(), "kind")
    assert found.x[:, 0].tolist() == [value for value, _ in rows]
    assert found.words == [word for _, word in rows]


@pytest.mark.usefixtures("fast_only")
def test_numbers_have_the_digits_of_pythons_float() -> None:
    values = np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-250, 250)
    text = "x,kind\n" + "".join(f"{value!r},{'ab'[i % 2]}\n" for i, value in enumerate(values.tolist()))
    assert read_cells("f.csv", text, "kind").x[:, 0].tolist() == values.tolist()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_the_encodings_of_windows_are_read(encoding: str, tmp_path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("länge,kind\n1.5,weiß\n2,grün\n0,weiß\n".encode(encoding))
    table = UserTable(path, "kind")
    assert table.columns == ("länge",)
    assert table.classes == ("grün", "weiß")


@pytest.mark.parametrize("data", ["x,kind\n1,wei\xdf\n".encode("cp1252"), b"x,kind\n1,a\0b\n", b"PK\x03\x04\0\0\0\0"])
def test_what_is_no_text_is_refused_with_the_remedy(data: bytes, tmp_path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"f\.csv cannot be read as text: .*UTF-8"):
        UserTable(path, "kind")
