"""JSON objects that carry the SHA-256 of their own content, so that one that has changed is never believed."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imagefeatures.errors import AuditFailed

if TYPE_CHECKING:
    import pyarrow as pa

SEAL = "sha256"

_BEFORE, _AFTER = b'{"%b": "' % SEAL.encode(), b'", '
"""Around the seal. It comes first, so that the bytes after it can be hashed as they are, and are decoded once."""


def encode(content: Mapping[str, Any]) -> bytes:
    """A JSON object that begins with its seal, its keys sorted. content: not empty; what JSON holds but fractions."""
    body = _canonical(content)
    return _BEFORE + _seal(body) + _AFTER + body[1:]


def decode(uri: str, data: bytes) -> dict[str, Any]:
    """The content that `encode` was given. uri: for the error. Raises AuditFailed when it is not what was written.

    >>> decode("file:///a.json", encode({"files": []}))
    {'files': []}
    """
    opening = _BEFORE + data[len(_BEFORE) :][:64] + _AFTER
    body = b"{" + data[len(opening) :]
    try:
        if data.startswith(opening) and _seal(body) in opening:
            written: dict[str, Any] = json.loads(body)
            return written
        # An earlier version wrote the seal last. The digest is the same one.
        content: dict[str, Any] = json.loads(data)
        if content.pop(SEAL) == _seal(_canonical(content)).decode():
            return content
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        pass
    raise AuditFailed(f"{uri}: its {len(data):,} bytes are not what this version wrote; start a new run")


def text_of_table(table: pa.Table) -> str:
    """A table as a text of JSON: Parquet, as base64."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return base64.b64encode(sink.getvalue()).decode()


def table_of_text(text: str, schema: pa.Schema) -> pa.Table:
    """The table that `text_of_table` was given. A nullable column that it lacks, as an earlier version's may, is null.

    Raises ValueError, KeyError, TypeError or pa.ArrowException where it is not a table of this schema.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = pa.BufferReader(base64.b64decode(text))
    try:
        table = pq.ParquetFile(data).read()
    except OSError as error:  # pyarrow's, of bytes that it cannot make sense of
        raise ValueError(str(error)) from None
    for field in schema:
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _seal(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
