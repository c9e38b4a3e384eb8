"""A lake of two hundred partitions with five thousand photos each."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.table import Table

from imagefeatures import names, schemas
from imagefeatures.catalog import tables
from imagefeatures.layout import Layout
from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from support.auditing import jpeg_of, scene
from support.photos import fill
from support.web import FINGERPRINT, START, dataset_file, runs_row

DATASET = "grapes"
PARTITIONS = 200
ROWS = 5_000
"""Photos of each partition."""

PICTURES = 60
"""So many photos of the newest partition lie in a store: those of the gallery's first page."""

WIDTH = 8
"""Of the vectors. No page reads them but the gallery where it is ordered by distance."""

SINGLE = tables.SMALL_FILES - 1
"""So many partitions, the newest, are committed one by one, as runs are: `features.runs` never has more small files.
The others come in one commit of each table, since two hundred of each would take minutes."""

LABELS = 20
MOST_REJECTED = 40


def large_lake(settings: Settings, folder: Path) -> list[str]:
    """Publish it, with the dataset file. Returns the partitions, the oldest first. folder: for its files."""
    dataset_file(settings, DATASET, f'source: file://{folder}/{{partition}}/\nschedule: "0 0 * * *"')
    first = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=PARTITIONS)
    runs = [
        Layout(settings.lake, DATASET, day, f"{day.replace('-', '')}T000000-{at:08x}")
        for at, day in enumerate(str(first + dt.timedelta(days=at)) for at in range(PARTITIONS))
    ]
    with tables.open_catalog(settings) as catalog:
        opened = [tables.open_table(catalog, settings, name) for name in (names.QUARANTINE, DATASET, names.RUNS)]
        for some in (runs[:-SINGLE], *([run] for run in runs[-SINGLE:])):
            _commit(opened, some, folder, runs[-1])
        described = pa.Table.from_pylist([_statistics(run) for run in runs], schemas.STATISTICS)
        tables.open_table(catalog, settings, names.STATISTICS).append(described)
    return [run.partition for run in runs]


def _commit(opened: list[Table], runs: list[Layout], folder: Path, with_pictures: Layout) -> None:
    """Put runs into the tables of quarantined objects, photos and runs, in one commit of each."""
    quarantine, photos, published = opened
    files = []
    for run in runs:
        uris = [f"file://{folder}/{run.partition}/{number:05d}.jpg" for number in range(ROWS)]
        image_ids = [hashlib.sha256(uri.encode()).hexdigest() for uri in uris]
        if run is with_pictures:
            image_ids[:PICTURES] = _pictures(folder / run.partition)
        files.append(folder / f"{run.partition}.parquet")
        pq.write_table(_features(run, uris, image_ids), files[-1])
    quarantine.append(pa.concat_tables(_refused(run) for run in runs))
    photos.add_files([file.as_uri() for file in files])
    published.append(pa.concat_tables(_row_of_runs(run) for run in runs))


def _number(run: Layout) -> int:
    return int(run.run_id[-8:], 16)


def _pictures(folder: Path) -> list[str]:
    """Write the first photos of a partition. Returns the SHA-256 of each."""
    made = {f"{number:05d}.jpg": jpeg_of(scene(number, side=480)) for number in range(PICTURES)}
    fill(folder, made)
    return [hashlib.sha256(data).hexdigest() for data in made.values()]


def _features(run: Layout, uris: list[str], image_ids: list[str]) -> pa.Table:
    vectors = np.random.default_rng(_number(run)).random((ROWS, WIDTH), np.float32)
    ends = pa.array(np.arange(ROWS + 1, dtype=np.int32) * WIDTH)
    kind = schemas.FEATURES.field("features").type
    columns = {
        "uri": uris,
        "image_id": image_ids,
        "label": [f"label {number % LABELS:02d}" for number in range(ROWS)],
        "features": pa.ListArray.from_arrays(ends, pa.array(vectors.reshape(-1)), type=kind),
    }
    same = {
        "partition_key": run.partition, "width": 640, "height": 480, "mode": "RGB", "size": 100_000, "copy": 0,
        "model": "mobilenet_v2", "fingerprint": FINGERPRINT, "run_id": run.run_id,
    }  # fmt: skip
    return pa.table(
        [columns.get(f.name, pa.repeat(pa.scalar(same.get(f.name), f.type), ROWS)) for f in schemas.FEATURES],
        schema=schemas.FEATURES,
    )


def _refused(run: Layout) -> pa.Table:
    row = {
        "partition_key": run.partition, "dataset": DATASET, "run_id": run.run_id, "step": "resize", "size": 1000,
        "reason": Reason.CORRUPT, "detail": "it ends in the middle", "quarantined_at": START,
    }  # fmt: skip
    rows = [
        row | {"uri": f"s3://photos/{run.partition}/cut off {number:02d}.jpg"}
        for number in range(_number(run) % MOST_REJECTED)
    ]
    return pa.Table.from_pylist(rows, schemas.QUARANTINE)


def _row_of_runs(run: Layout) -> pa.Table:
    rejected = _number(run) % MOST_REJECTED
    row = runs_row(
        DATASET,
        run.partition,
        {Reason.CORRUPT: rejected} if rejected else {},
        run_id=run.run_id,
        listed=ROWS + rejected,
        registered=ROWS,
        finished_at=START + dt.timedelta(seconds=90 + _number(run)),
    )
    return pa.Table.from_pylist([row], schemas.RUNS)


def _statistics(run: Layout) -> dict[str, Any]:
    return {
        "partition_key": run.partition, "dataset": DATASET, "run_id": run.run_id, "table": DATASET,
        "model": "mobilenet_v2", "fingerprint": FINGERPRINT, "computed_at": START, "listed": ROWS, "quarantined": 0,
        "reasons": [], "images_per_second": 50.0, "pictures": ROWS, "duplicates": 0, "unlabelled": 0, "formats": [],
        "labels": [(f"label {number:02d}", ROWS // LABELS) for number in range(LABELS)], "modes": [("RGB", ROWS)],
        "sizes": [100_000] * 5, "widths": [640] * 5, "heights": [480] * 5, "mean": [0.1] * 1280,
        "covariance": [0.1] * 1024, "reference": [], "drift": 0.001, "drift_probability": 0.5, "drift_bound": 0.002,
        "alerts": [],
    }  # fmt: skip
