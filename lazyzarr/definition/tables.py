"""Tables of files: CSV, Parquet and item collections of STAC, as columns.

Owns how each becomes columns of text, integers or floats. Refuses objects and lists in cells: those columns are left
out.
"""

from __future__ import annotations

import csv
import importlib
import io
import re
from typing import Any

import msgspec
import numpy as np

from lazyzarr.errors import ExtraMissing

Columns = dict[str, np.ndarray]


class TableError(ValueError):
    """A table cannot be read."""


def kind_of(name: str, text: bytes) -> str:
    """What kind of table some bytes are.

    Examples
    --------
    >>> kind_of("a.csv", b"x,y"), kind_of("a", b"PAR1.."), kind_of("items.json", b" {")
    ('csv', 'parquet', 'stac')
    """
    if text[:4] == b"PAR1":
        return "parquet"
    return "stac" if text.lstrip()[:1] == b"{" or name.endswith((".json", ".geojson")) else "csv"


def columns(kind: str, text: bytes, asset: str | None) -> Columns:
    """The columns of a table.

    Raises
    ------
    TableError
        Saying what is wrong with it.

    Examples
    --------
    >>> {name: column.tolist() for name, column in columns("csv", b"file,x\\na.nc,1\\nb.nc,2\\n", None).items()}
    {'file': ['a.nc', 'b.nc'], 'x': [1, 2]}
    """
    if kind == "csv":
        return _csv(text)
    return _parquet(text) if kind == "parquet" else _stac(text, asset)


def _csv(text: bytes) -> Columns:
    try:
        rows = [row for row in csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"no CSV in UTF-8 ({error})") from error
    if not rows:
        raise TableError("no line with the names of columns")
    wrong = next((k for k, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if wrong is not None:
        raise TableError(f"{len(rows[wrong])} cells in row {wrong + 1}, and {len(rows[0])} names of columns")
    names = [_name(name) for name in rows[0]]
    if len(set(names)) != len(names):
        raise TableError("a name of a column twice")
    return {name: _numbers([row[k] for row in rows[1:]]) for k, name in enumerate(names)}


def _numbers(texts: list[str]) -> np.ndarray:
    """Texts as integers or floats, where writing them again gives the same texts, or floats."""
    if texts and all(re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", text) for text in texts):
        return np.array(texts, np.int64)
    if texts and all(re.fullmatch(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?", text) for text in texts):
        whole = all(re.fullmatch(r"[0-9]+", text) for text in texts)
        return np.array(texts, str if whole else np.float64)
    return np.array(texts, str)


def _parquet(text: bytes) -> Columns:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyarrow":
            raise
        raise ExtraMissing(
            'a table in Parquet; the package pyarrow is not installed; run pip install "lazyzarr[kerchunk]"'
        ) from error
    arrow = importlib.import_module("pyarrow")
    try:
        table = parquet.read_table(io.BytesIO(text))
    except (arrow.ArrowException, OSError) as error:
        raise TableError(f"no Parquet ({error})") from error
    found: Columns = {}
    for name in table.column_names:
        column = table[name]
        if column.null_count:
            raise TableError(f"{column.null_count} empty cells in the column {name}")
        values = column.to_numpy()
        if values.dtype.kind == "O" and all(isinstance(value, str) for value in values):
            values = values.astype(str)
        if values.dtype.kind in "iufUM":
            found[_name(name)] = values.astype(str) if values.dtype.kind == "M" else values
    return found


def _stac(text: bytes, asset: str | None) -> Columns:
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise TableError(f"no JSON ({error})") from error
    items = document.get("features") if isinstance(document, dict) else None
    if not isinstance(items, list) or not items:
        raise TableError("no item collection: there are no features")
    rows = [_item(item, asset) for item in items]
    shared = set(rows[0]).intersection(*rows[1:])
    found: Columns = {}
    for name in (name for name in rows[0] if name in shared):
        values = [row[name] for row in rows]
        if all(isinstance(value, str) for value in values):
            found[name] = np.array(values, str)
        elif all(isinstance(value, int) for value in values):
            found[name] = np.array(values, np.int64)
        elif all(isinstance(value, int | float) for value in values):
            found[name] = np.array(values, np.float64)
    return found


def _item(item: Any, asset: str | None) -> dict[str, Any]:
    if not isinstance(item, dict) or not isinstance(item.get("assets"), dict):
        raise TableError("a feature that is no item: it has no assets")
    assets = item["assets"]
    name = asset if asset is not None else next(iter(assets), "")
    if name not in assets:
        raise TableError(
            f"the item {item.get('id')!r} without the asset {name!r}; it has {', '.join(assets) or 'none'}"
        )
    row: dict[str, Any] = {"id": str(item.get("id")), "href": str(assets[name].get("href"))}
    for number, side in enumerate(item.get("bbox") or ()):
        row[f"bbox_{number}"] = float(side)
    for key, value in {**(item.get("properties") or {}), **assets[name]}.items():
        short = _name(str(key))
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            row.setdefault(short, value)
        elif isinstance(value, list):
            numbers = [each for each in value if isinstance(each, int | float) and not isinstance(each, bool)]
            if len(numbers) == len(value):
                row.update({f"{short}_{k}": each for k, each in enumerate(numbers)})
    return row


def _name(text: str) -> str:
    """The name of a column as a template can say it."""
    return re.sub(r"\W", "_", text.strip(), flags=re.ASCII)
