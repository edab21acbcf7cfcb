"""Text as people's programs write it: UTF-8 with or without its mark, and the UTF-16 of Windows."""

from __future__ import annotations

import codecs
import re

from qmoe.errors import visible

#: Marks that a file may begin with; that of UTF-32 (little-endian) begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decoded(data: bytes) -> str:
    """The text of a file in UTF-8 or UTF-16, without the mark that it may begin with.

    UTF-16 without a mark is told by its first character, which in the files that are read here is in ASCII.

    Raises:
        ValueError: with the reason, for any other encoding and for what is no text.
    """
    encoding, mark = _encoding(data)
    data = data[len(mark) :]
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"byte {error.start} is no {encoding.upper()} ({error.reason}); save the file as UTF-8 and try again"
        ) from None
    if "\0" in text:
        raise ValueError("it holds NUL characters, as files that are no text do; save it as text in UTF-8")
    return text


def _encoding(data: bytes) -> tuple[str, bytes]:
    """The encoding of a file and the mark that it begins with."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding, mark
    first, second = data[:1] == b"\0", data[1:2] == b"\0"
    return ("utf-16-be" if first else "utf-16-le") if first != second else "utf-8", b""


#: What a spreadsheet may take for the beginning of a formula, also of full width, and what it skips before one.
_FORMULA = re.compile("[\\s\0]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def for_spreadsheet(value: object) -> object:
    """A cell of a CSV file: text that a spreadsheet would take for a formula gets an apostrophe in front.

    Carriage returns are made visible, which Python's writer leaves unquoted and other readers take for the end of a row.
    """
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if _FORMULA.match(value) else visible(value)
