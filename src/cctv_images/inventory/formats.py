"""Bytes → a table: CSV with a header, JSON (an array, Socrata's and Knack's answers), GeoJSON.

Nothing is judged here but the form. A row that cannot be read is a row with a fault; a document that cannot be
read is a ConfigError.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cctv_images.errors import ConfigError

MAX_ROWS = 100_000

_FOREIGN = (
    (b"PK\x03\x04", "is a spreadsheet or an archive; save it as CSV (UTF-8)"),
    (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16; save it as UTF-8"),
    (b"<", "is HTML or XML, not an inventory"),
)


@dataclass(frozen=True, slots=True)
class RawRow:
    number: int
    """CSV: the physical line on which the row begins, from 1. JSON: the row's place, from 1."""
    cells: Mapping[str, Any]
    """By heading, as found."""
    fault: str = ""
    """Why the row cannot be read; its cells are then a guess, good for naming it only."""


@dataclass(frozen=True, slots=True)
class Table:
    headings: list[str]
    rows: list[RawRow] = field(default_factory=list)
    unit: str = "line"
    """What a row's number counts: line or row."""


def read_table(data: bytes, source_name: str) -> Table:
    """The document's rows in order. Raises ConfigError with a sentence when it is malformed or empty."""
    text = _text(data, source_name)
    table = _from_json(text, source_name) if text.lstrip()[:1] in ("[", "{") else _from_csv(text, source_name)
    if not table.rows:
        raise ConfigError(f"{source_name} has no cameras in it: there are no rows.")
    if len(table.rows) > MAX_ROWS:
        raise ConfigError(f"{source_name} has {len(table.rows)} rows: that is no inventory.")
    return table


def _text(data: bytes, source_name: str) -> str:
    if not data.strip():
        raise ConfigError(f"{source_name} is empty.")
    for start, what in _FOREIGN:
        if data.lstrip().startswith(start):
            raise ConfigError(f"{source_name} {what}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{source_name} is not UTF-8: line {line} has the byte 0x{data[error.start]:02X}; save it as UTF-8."
        ) from None
    if "\0" in text:
        raise ConfigError(f"{source_name} is no text: it contains NUL bytes.")
    return text


# CSV


def _from_csv(text: str, source_name: str) -> Table:
    rows = _csv_rows(list(io.StringIO(text, newline="")))
    _, header, fault = next(rows, (1, [], ""))
    if fault:
        raise ConfigError(f"{source_name} has a first line that is no header: {fault}.")
    headings = [cell.strip() for cell in header]
    return Table(headings, [RawRow(n, dict(zip(headings, cells, strict=False)), fault) for n, cells, fault in rows])


def _csv_rows(lines: Sequence[str]) -> Iterator[tuple[int, list[str], str]]:
    """(line, cells, fault) of each row that is not blank, the header first; it says how many cells a row has.

    A quote that is never closed swallows the rows after it: reading goes on at the line after the faulty row's first.
    """
    start = width = 0
    while start < len(lines):
        reader = csv.reader(map(lines.__getitem__, range(start, len(lines))), strict=True)
        done, fault = 0, ""
        try:
            for cells in reader:
                fault = _wrong_width(cells, width)
                if fault and reader.line_num > done + 1:
                    break
                if any(cells):
                    width = width or len(cells)
                    yield start + done + 1, cells, fault
                done, fault = reader.line_num, ""
        except csv.Error as error:
            fault = f"it cannot be read as CSV ({error})"
        if not fault:
            return
        start += done + 1
        yield start, [cell.strip(' "\r\n') for cell in lines[start - 1].split(",")], fault


def _wrong_width(cells: list[str], width: int) -> str:
    if not width or not any(cells) or len(cells) == width or (len(cells) > width and not any(cells[width:])):
        return ""
    return f"it has {len(cells)} cells where the header has {width}"


# JSON


def _from_json(text: str, source_name: str) -> Table:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{source_name} is not JSON: {error.msg} at {where}.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{source_name} is JSON that cannot be read: nested too deep or a number too long.") from None
    items = _items(document, source_name)
    rows = [
        RawRow(number, item if isinstance(item, dict) else {}, "" if isinstance(item, dict) else "it is not an object")
        for number, item in enumerate(items, 1)
    ]
    return Table(list(dict.fromkeys(heading for row in rows for heading in row.cells)), rows, "row")


def _items(document: Any, source_name: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document.get("features"), list):
        return [_feature(item) for item in document["features"]]
    if is_knack(document):
        check_knack_whole(document, source_name)
        records: list[Any] = document["records"]
        return records
    raise ConfigError(
        f"{source_name} is a JSON object, but neither Knack's answer (records) nor GeoJSON (features); "
        "an inventory is an array of objects."
    )


def _feature(item: Any) -> Any:
    """A GeoJSON feature as a row: its properties, with its geometry as one more cell."""
    if not isinstance(item, dict) or not isinstance(item.get("properties"), dict):
        return None
    return {**item["properties"], "geometry": item.get("geometry")}


def is_knack(document: Any) -> bool:
    """Knack's answer: {total_pages, current_page, total_records, records} (docs.knack.com, response format)."""
    return isinstance(document, dict) and isinstance(document.get("records"), list)


def knack_number(document: Mapping[str, Any], name: str) -> int | None:
    """One of the envelope's numbers, which may come as text."""
    text = str(document.get(name))
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def check_knack_whole(document: Mapping[str, Any], source_name: str) -> None:
    """All pages, or none is believed. Raises ConfigError."""
    pages, total = knack_number(document, "total_pages"), knack_number(document, "total_records")
    if pages is not None and pages > 1:
        raise ConfigError(f"{source_name} is one of {pages} pages of Knack's answer; all of them are needed.")
    if total is not None and total != len(document["records"]):
        raise ConfigError(
            f"{source_name} has {len(document['records'])} of the {total} records that Knack's answer announces."
        )
