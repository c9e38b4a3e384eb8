"""Tables as CSV, sent as they are read: neither the server nor the browser waits for the last row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import islice
from typing import TYPE_CHECKING

from fastapi.responses import StreamingResponse

from imagefeatures.errors import ImageFeaturesError
from imagefeatures_airflow.web.published import Unavailable
from imagefeatures_airflow.web.threads import in_thread

if TYPE_CHECKING:
    from imagefeatures.rejections import Rejections

ROWS = 1_000
"""How many rows are read at a time, in one of the page's own threads."""


async def csv_of(found: Rejections) -> StreamingResponse:
    """The rejected objects of a run. Raises Unavailable where the first of them cannot be read."""
    from imagefeatures.rejections import as_csv

    lines = as_csv(found.rows())

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

    headers = {"Content-Disposition": f'attachment; filename="rejected-{found.run_id}.csv"'}
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers=headers)
