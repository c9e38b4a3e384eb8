"""What the tests of the index of a table's files have in common."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import layout
from imagefeatures.forget import pending
from imagefeatures.forget.pending import Pending
from imagefeatures.steps import file_index
from imagefeatures.steps.file_index import IMAGES
from imagefeatures.steps.index_segments import File, Wanted
from support.reusing import local

EACH = 5
TABLE, FINGERPRINT = "photos", "f" * 32


def one_by_one(work: Any, elements: Any) -> list[Any]:
    return [work(element) for element in elements]


def ids_of(number: int) -> list[str]:
    return [hashlib.sha256(f"{number} {at}".encode()).hexdigest() for at in range(EACH)]


def pending_request(lake: str) -> Pending:
    request = Pending("r1", frozenset(), frozenset(), "ada", "asked", dt.datetime.now(dt.UTC))
    pending.keep(lake, request)
    return request


def written(lake: str, number: int, images: list[str] | None = None, runs: list[str] | None = None) -> File:
    """A file of a table. images: by default of this number alone. runs: the run_id of each; by default the number."""
    images = images or ids_of(number)
    runs = runs or [f"{number:04d}"] * len(images)
    path = f"warehouse/features/{TABLE}/data/{number:04d}.parquet"
    file = local(f"{lake}/{path}")
    file.parent.mkdir(parents=True, exist_ok=True)
    ids = [*images, None, "no id", ids_of(9999)[1]]
    fingerprints = [FINGERPRINT] * (len(ids) - 1) + [None]
    pq.write_table(pa.table({"image_id": ids, "fingerprint": fingerprints, "run_id": [*runs, *3 * runs[:1]]}), file)
    return File(path, file.stat().st_size)


def offered(lake: str, images: Iterable[str], files: Iterable[File]) -> set[File]:
    """What the index offers for images."""
    wanted = Wanted.of([[np.unique(file_index.of_ids([*images])) ^ file_index.made(FINGERPRINT, 0)]])
    return file_index.index(lake, TABLE, IMAGES).holding(wanted, set(files), one_by_one)


def holding(lake: str, numbers: Iterable[int], files: Iterable[File]) -> set[File]:
    """What the index offers for the second image of each of these files."""
    return offered(lake, [ids_of(number)[1] for number in numbers], files)


def segments(lake: str) -> list[Path]:
    return sorted(local(layout.known(lake, "images", TABLE)).glob("*.bin"))
