"""The values of a table's columns as texts: keys that other programs can join by, and labels.

A key has the form in which DuckDB and Spark SQL cast the value to text. Values of which they have no common form are
no keys.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from imagefeatures.errors import InputError
from imagefeatures.reasons import printable

if TYPE_CHECKING:
    import pyarrow as pa

_TRAILING = re.compile(r"(\.\d*?)0+$")
"""The zeros at the end of a second's fraction."""


def check_key(table: str, column: str, kind: pa.DataType) -> None:
    """Raise InputError where programs write the values of a key differently as text. table: for the message."""
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    of = pa.types
    if any(
        fits(kind)
        for fits in (
            of.is_integer, of.is_string, of.is_large_string, of.is_string_view, of.is_boolean, of.is_date,
            of.is_decimal, of.is_binary, of.is_large_binary, of.is_binary_view, of.is_null,
        )
    ) or (of.is_timestamp(kind) and kind.tz is None):  # fmt: skip
        return
    raise InputError(
        f"{printable(table)}: key {column!r} is {kind}, which programs write differently as text, so nothing would "
        "join; add a column that holds it as text, and name that one"
    )


def label_names(schema: pa.Schema, column: str) -> list[str] | None:
    """The names that Hugging Face's datasets keep for a column of whole numbers (ClassLabel); None without any."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return [str(name) for name in names] if isinstance(names, list) else None


def as_texts(column: Any, names: list[str] | None = None) -> list[str | None]:
    """The values of an Arrow column as texts. names: what its whole numbers stand for.

    A byte that is not UTF-8 becomes half of a surrogate pair.
    """
    return [None if value is None else as_text(value, names) for value in _values(column)]


def as_text(value: Any, names: list[str] | None = None) -> str | None:
    """A value that is not None as a text: as SQL casts it, or else as JSON writes it. names: as in `as_texts`.

    >>> as_text(True), as_text(-7), as_text("a b"), as_text({"a": ["é"]})
    ('true', '-7', 'a b', '{"a": ["é"]}')
    >>> as_text(1, ["apple", "pear"]), as_text(-1, ["apple", "pear"])
    ('pear', None)
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if names is not None and isinstance(value, int):
        if value == -1:  # Hugging Face's datasets write it where there is no label, such as in a test set
            return None
        return names[value] if 0 <= value < len(names) else str(value)
    if isinstance(value, dict | list):
        return _as_json(value)
    if isinstance(value, Decimal):
        return f"{value:f}"  # without an exponent, as SQL writes it
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


class Number(str):
    """A number of JSON, as it is written there."""

    __slots__ = ()


class Repeating(dict[str, Any]):
    """An object of JSON that has a name more than once, of which it holds the last value. twice: such names."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.twice = {name for name, count in Counter(name for name, _ in pairs).items() if count > 1}


def json_of(text: str | bytes) -> Any:
    """The value of a JSON text: its numbers as Number, an object with a name twice as Repeating.

    Raises ValueError or RecursionError.
    """
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Repeating(pairs)


def _as_json(value: Any) -> str:
    """A mapping or a list as JSON, of which numbers that were JSON are written as they were."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_as_json(str(name))}: {_as_json(of)}" for name, of in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_as_json, value)) + "]"
    return _encoded(value)


_encoded = json.JSONEncoder(ensure_ascii=False, default=as_text).encode  # json.dumps would make one for each value


def _values(column: Any) -> list[Any]:
    """The values as Python has them; or else as texts by Arrow, where Python has nothing for one of them."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_float32(kind):  # Python's float has digits more, which nobody wrote
        return [None if text is None else float(text) for text in column.cast(pa.string()).to_pylist()]
    if pa.types.is_timestamp(kind) and kind.tz is None:
        return [text and _TRAILING.sub(r"\1", text).rstrip(".") for text in column.cast(pa.string()).to_pylist()]
    if not (pa.types.is_temporal(kind) and getattr(kind, "unit", "") == "ns"):
        try:
            return list(column.to_pylist())
        except UnicodeDecodeError:
            if pa.types.is_string(kind) or pa.types.is_large_string(kind):
                return list(column.cast(pa.large_binary()).to_pylist())
        except (
            pa.ArrowException,
            ValueError,
            OverflowError,
            KeyError,
        ):  # a day of no year of Python's, an unknown zone
            pass
    if pa.types.is_nested(kind):
        return [_nested(value) for value in column]
    try:
        return list(column.cast(pa.string()).to_pylist())
    except (pa.ArrowException, UnicodeDecodeError):
        numbers = pa.int32() if kind.bit_width == 32 else pa.int64()
        return list(column.view(numbers).to_pylist())


def _nested(value: Any) -> Any:
    """A value of which one part has nothing in Python: each part by itself."""
    import pyarrow as pa

    if not value.is_valid:
        return None
    if pa.types.is_struct(value.type):
        return {name: _nested(part) for name, part in value.items()}
    if pa.types.is_map(value.type):
        return [[_nested(part) for part in pair.values()] for pair in value.values]
    if pa.types.is_nested(value.type):
        return [_nested(part) for part in value.values]
    (found,) = _values(pa.array([value], value.type))
    return found
