"""Published partitions of given vectors, without a run: files and a row of features.runs, as register leaves them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from imagefeatures import names, schemas
from imagefeatures.catalog import tables
from imagefeatures.layout import Layout
from imagefeatures.plan import new_run_id
from imagefeatures.quality import record
from imagefeatures.quality.declared import Alerts
from imagefeatures.settings import Settings
from imagefeatures.staged import write_parquet

FINGERPRINT = "f" * 32
WIDTH = 16
STARTED = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)


def clouds(seed: int, count: int = 60, shift: float = 0.0) -> np.ndarray:
    """Vectors around one direction, float32 [count, WIDTH]. shift: of the direction."""
    random = np.random.default_rng(seed)
    centre = np.ones(WIDTH)
    centre[: WIDTH // 2] += shift
    vectors: np.ndarray = (centre + random.normal(0, 0.5, (count, WIDTH))).astype(np.float32)
    return vectors


def publish(settings: Settings, key: str, vectors: np.ndarray, name: str = "photos", **given: Any) -> str:
    """Publish a row for each vector as a partition, in place of what it holds. Returns the run's id.

    given: labels, a label for each row; ids, an image_id for each; copies, vectors [n, WIDTH] of a copy of each; and
    columns of features.runs.
    """
    count = len(vectors)
    labels: Sequence[str | None] = given.pop("labels", ["apple"] * count)
    ids: Sequence[str] = given.pop("ids", [hashlib.sha256(f"{key} {row}".encode()).hexdigest() for row in range(count)])
    every = [vectors, *given.pop("copies", ())]
    run = run_row(name, key, count, **given)
    content = [
        {
            "partition_key": key, "uri": f"s3://b/{key}/{row}.JPG", "image_id": ids[row], "label": labels[row],
            "width": 40 + row, "height": 30, "mode": "RGB", "size": 1000 + row, "etag": None, "model": run["model"],
            "fingerprint": run["fingerprint"], "features": of_copy[row].tolist(), "run_id": run["run_id"], "key": None,
            "copy": number,
        }
        for number, of_copy in enumerate(every) for row in range(count)
    ]  # fmt: skip
    layout = Layout(settings.lake, name, key, run["run_id"])
    file = write_parquet(
        layout.new_output("featurize", 0, name),
        pa.Table.from_pylist(content, schema=schemas.FEATURES), **schemas.FEATURES_FILE,
    )  # fmt: skip
    with tables.open_catalog(settings) as catalog:
        tables.replace_files(tables.open_table(catalog, settings, name), key, [file.uri] * bool(count), run["run_id"])
        keep_run(catalog, settings, run)
    return str(run["run_id"])


def run_row(name: str, key: str, registered: int, **given: Any) -> dict[str, Any]:
    """A row of features.runs of a run that took ten seconds."""
    blank = {pa.int64(): 0, pa.float64(): 0.0, pa.string(): ""}
    row = {f.name: None if f.nullable else [] if pa.types.is_map(f.type) else blank.get(f.type) for f in schemas.RUNS}
    quarantined = given.get("quarantined", 0)
    return row | {
        "partition_key": key, "dataset": name, "run_id": new_run_id(dt.datetime.now(dt.UTC)),
        "listed": registered + quarantined, "registered": registered, "ingest_images": registered + quarantined,
        "fingerprint": FINGERPRINT, "model": "mobilenet_v2", "started_at": STARTED,
        "finished_at": STARTED + dt.timedelta(seconds=10), "reused": 0, **given,
    }  # fmt: skip


def keep_run(catalog: Any, settings: Settings, run: dict[str, Any]) -> None:
    rows = pa.Table.from_pylist([run], schema=schemas.RUNS)
    table = tables.open_table(catalog, settings, names.RUNS)
    tables.replace_rows(table, run["partition_key"], run["dataset"], rows, run["run_id"])


def measured(settings: Settings, key: str, run_id: str, alerts: Alerts | None = None) -> dict[str, Any]:
    """The only row of statistics of a published partition, computed now if it was not."""
    rows = record.record("photos", key, run_id, alerts, settings)
    assert rows is not None
    (row,) = rows
    return row
