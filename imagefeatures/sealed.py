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


def encode(content: Mapping[str, Any]) -> bytes:
    """A JSON object with its seal. content: whatever JSON holds, except numbers with a fraction."""
    return json.dumps({**content, SEAL: _digest(content)}).encode()


def decode(uri: str, data: bytes) -> dict[str, Any]:
    """The content that `encode` was given. uri: for the error. Raises AuditFailed when it is not what was written.

    >>> decode("file:///a.json", encode({"files": []}))
    {'files': []}
    """
    try:
        content: dict[str, Any] = json.loads(data)
        if content.pop(SEAL) == _digest(content):
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

    table = pq.ParquetFile(pa.BufferReader(base64.b64decode(text))).read()
    for field in schema:
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
