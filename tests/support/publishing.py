"""Feature files as featurize would write them, and processes that publish them at the same moment."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings

DAY = "2026-11-02"
SPAWN = multiprocessing.get_context("spawn")


def features_file(folder: Path, run_id: str, partition: str = DAY, rows: int = 3, label: str = "red") -> str:
    """A features file of a run, as featurize would write it."""
    content = {
        "partition_key": partition, "image_id": "0" * 64, "label": label, "width": 3, "height": 2, "mode": "RGB",
        "size": 9, "etag": None, "model": "mobilenet_v2", "fingerprint": "f", "features": [0.5] * 4, "run_id": run_id,
    }  # fmt: skip
    table = pa.Table.from_pylist([{**content, "uri": f"s3://b/{at}"} for at in range(rows)], schema=schemas.FEATURES)
    path = folder / f"{run_id}-{uuid.uuid4()}.parquet"
    pq.write_table(table, path)
    return f"file://{path}"


def swap_in(settings: Settings, folder: str, run_id: str, start: Barrier) -> None:
    """Publish a features file of a run as soon as all the others are ready."""
    file = features_file(Path(folder), run_id)
    start.wait()
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    tables.replace_files(table, DAY, [file], run_id)


def open_first(rounds: list[Settings], results: Queue, start: Barrier) -> None:
    """Open a table that may not exist yet, in each round. Puts (round, the table's UUID) into the queue."""
    for number, settings in enumerate(rounds):
        start.wait()
        table = tables.open_table(tables.open_catalog(settings), settings, "photos")
        results.put((number, str(table.metadata.table_uuid)))


def in_processes(work: Callable[..., None], arguments: list[tuple[Any, ...]]) -> None:
    """Call `work` once with each tuple of arguments, in as many processes at the same time. All must succeed."""
    workers = [SPAWN.Process(target=work, args=given) for given in arguments]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(240)
    assert [worker.exitcode for worker in workers] == [0] * len(workers)
