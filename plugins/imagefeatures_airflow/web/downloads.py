"""Tables as CSV, those of an audit also as Parquet.

Rejected objects are sent as they are read: neither the server nor the browser waits for the last row.
"""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi.responses import StreamingResponse

from imagefeatures.errors import AuditFailed, ImageFeaturesError
from imagefeatures.reasons import without_secrets
from imagefeatures_airflow.web.published import Unavailable
from imagefeatures_airflow.web.threads import in_thread

if TYPE_CHECKING:
    from imagefeatures.rejections import Row

ROWS = 1_000
"""How many rows are read at a time, in one of the page's own threads."""

log = logging.getLogger(__name__)

URIS = ("uri", "other_uri", "neighbours")
"""Columns of the tables of an audit: a URI, or several, which are lines of one text in CSV and a list in Parquet."""


def without_secrets_in(file: Path) -> bytes:
    """A table of an audit, .csv or .parquet, with its URIs as the pages show them."""
    if file.suffix == ".csv":
        return _csv_without_secrets(file)
    import pyarrow as pa  # where it is needed: Airflow imports this module with the plugin
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    for name in set(URIS) & set(table.column_names):
        told = [_told(value) for value in table[name].to_pylist()]
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), pa.array(told, table.schema.field(at).type))
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _csv_without_secrets(file: Path) -> bytes:
    sink = io.StringIO()
    with file.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines)
        written = csv.DictWriter(sink, rows.fieldnames or ())
        written.writeheader()
        for row in rows:
            written.writerow(row | {name: "\n".join(_told(row[name].split("\n"))) for name in URIS if name in row})
    return sink.getvalue().encode()


def _told(value: Any) -> Any:
    if isinstance(value, list):
        return [_told(one) for one in value]
    return None if value is None else without_secrets(value)


async def csv_of(rows: Iterator[Row], name: str, before: Sequence[str] = ()) -> StreamingResponse:
    """Rejected objects as the file `<name>.csv`. before: columns of the rows before those that `rejections` has.

    URIs are without secrets, as on the pages: who may see a dataset need not know the passwords of its sources.
    Raises Unavailable where the first of them cannot be read.
    """
    from imagefeatures.rejections import as_csv

    lines = as_csv(({**row, "uri": without_secrets(row["uri"])} for row in rows), before)

    def some() -> str:
        return "".join(islice(lines, ROWS))

    try:
        first = await in_thread(some)
    except AuditFailed as error:  # names a file of the run itself, which is gone or another one
        raise Unavailable(f"The rejected objects cannot be read now: {error}") from None
    except ImageFeaturesError as error:  # whoever may read the log may know places and hosts
        log.warning("image features: %s.csv: the rejected objects cannot be read: %s", name, error)
        text = f"The rejected objects cannot be read now ({type(error).__name__})."
        raise Unavailable(f"{text} The log of Airflow's API server says why.") from None

    async def body() -> AsyncIterator[str]:
        part = first
        while part:
            yield part
            part = await in_thread(some)

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers=headers)
