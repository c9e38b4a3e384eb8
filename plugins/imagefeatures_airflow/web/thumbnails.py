"""Small pictures of the objects that the tables name: never their own bytes.

An object is asked for by the SHA-256 of its bytes, and only the rows of the partition say where it lies: no address
can lead to anything else.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Path, Response

from imagefeatures.settings import Settings
from imagefeatures_airflow.web import rows
from imagefeatures_airflow.web.partitions import Partition, Shown
from imagefeatures_airflow.web.threads import OF_THUMBNAILS, in_thread

if TYPE_CHECKING:
    from imagefeatures.thumbnails.make import TableObject, Thumbnails

HEADERS = {"Cache-Control": "private, max-age=600"}
"""The same bytes make the same thumbnail. Ten minutes: for so long somebody who may no longer see it may have it."""

router = APIRouter()


@router.get("/datasets/{dataset}/partitions/{partition}/thumbnails/{image_id}")
async def thumbnail(of: Shown, image_id: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
    """A JPEG of a registered or quarantined object of the partition; 404 where there is none, without a body."""

    def make() -> bytes | None:
        found = _named(of, image_id)
        return made(of, found) if found else None

    return response(await in_thread(make, OF_THUMBNAILS))


def response(thumbnail: bytes | None) -> Response:
    """The JPEG; 404 without a body where there is none."""
    return Response(thumbnail, media_type="image/jpeg", headers=HEADERS) if thumbnail else Response(status_code=404)


def made(of: Partition, named: TableObject) -> bytes | None:
    """The thumbnail of an object that a table names; None where it makes none. Blocks."""
    return rows.readable(of, lambda: _thumbnails(of.settings).of(of.layout, named, of.has_pixels))


@lru_cache(1)
def _thumbnails(settings: Settings) -> Thumbnails:
    from imagefeatures import images
    from imagefeatures.isolation import Isolated
    from imagefeatures.thumbnails.make import Thumbnails

    return Thumbnails(settings, Isolated(images.decode))


def _named(of: Partition, image_id: str) -> TableObject | None:
    """The object whose bytes have this SHA-256, as a row of the partition names it; None where none does."""
    import pyarrow.compute as pc

    from imagefeatures.thumbnails.make import TableObject

    photos = rows.photos(of)
    if (index := pc.index(photos["image_id"], image_id).as_py()) >= 0:
        return TableObject(photos["uri"][index].as_py(), image_id)
    found = next((row for row in rows.rejected(of) if row["image_id"] == image_id), None)
    return TableObject(found["uri"], image_id, found["reason"]) if found else None
