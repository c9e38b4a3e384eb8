"""Tables as CSV, sent as they are read: neither the server nor the browser waits for the last row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from fastapi.responses import StreamingResponse

from imagefeatures.errors import ImageFeaturesError
from imagefeatures.reasons import without_secrets
from imagefeatures_airflow.web.published import Unavailable
from imagefeatures_airflow.web.threads import in_thread

if TYPE_CHECKING:
    from imagefeatures.rejections import Row

ROWS = 1_000
"""How many rows are read at a time, in one of the page's own threads."""


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
    except ImageFeaturesError as error:
        raise Unavailable(f"The rejected objects cannot be read now: {error}") from None

    async def body() -> AsyncIterator[str]:
        part = first
        while part:
            yield part
            part = await in_thread(some)

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers=headers)
