"""A published partition whose photos lie in a folder, for the pages that show objects."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from imagefeatures import names, schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support import auditing
from support.publishing import DAY
from support.web import PAGE, dataset_file, publish, runs_row

RUN_ID = "20261102T000000-0a1b2c3d"
PARTITION = f"/datasets/photos/partitions/{DAY}"
"""The partition's page."""

Photo = tuple[str, bytes, str | None, list[float]]
"""Name, bytes, label and vector."""


class Refused(NamedTuple):
    """A quarantined object. uri: by default the file of this name. data: its bytes; none of an object never read."""

    name: str
    data: bytes | None
    reason: str
    detail: str = "what was found"
    uri: str | None = None


def image_id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def thumbnail_of(data: bytes) -> str:
    return f"{PAGE}{PARTITION}/thumbnails/{image_id(data)}"


def lay_out(
    settings: Settings, folder: Path, photos: Sequence[Photo], refused: Sequence[Refused] = (), **columns: object
) -> None:
    """Write the files, and publish their rows as the dataset `photos`. The dataset file is written too.

    columns: of the photos, instead of their own.
    """
    dataset_file(settings, "photos", f"source: file://{folder}/files/")
    auditing.photos(settings, folder, photos, **{"run_id": [RUN_ID] * len(photos), **columns})
    reasons: dict[str, int] = {}
    for one in refused:
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
        if one.data is not None and one.uri is None:
            (folder / "files" / one.name).write_bytes(one.data)
    publish_refused(settings, [row_of(folder, one) for one in refused])
    listed = len(photos) + len(refused)
    publish(settings, runs_row("photos", DAY, reasons, run_id=RUN_ID, listed=listed, registered=len(photos)))


def row_of(folder: Path, one: Refused, partition: str = DAY) -> dict[str, Any]:
    """The row of features.quarantine."""
    of_bytes = {"image_id": image_id(one.data), "size": len(one.data)} if one.data is not None else {}
    return {
        "partition_key": partition,
        "dataset": "photos",
        "uri": one.uri or f"file://{folder}/files/{one.name}",
        "step": "validate",
        "reason": one.reason,
        "detail": one.detail,
        "run_id": RUN_ID,
        "quarantined_at": dt.datetime(2026, 11, 3, tzinfo=dt.UTC),
    } | of_bytes


def publish_refused(settings: Settings, rows: Sequence[dict[str, Any]]) -> None:
    with tables.open_catalog(settings) as opened:
        table = pa.Table.from_pylist(list(rows), schema=schemas.QUARANTINE)
        tables.open_table(opened, settings, names.QUARANTINE).append(table)
