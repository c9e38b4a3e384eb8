"""What `imagefeatures audit` and `imagefeatures map` take for many photos, and what they find of what was planted.

    python -m benchmarks.neighbours --rows 200000            the audit
    python -m benchmarks.neighbours --rows 100000 --map      the map

The vectors are made up: 2,000 clusters in 200 of the 1,280 dimensions, and noise in all of them, without what is
negative, as a ReLU leaves them. Fifty photos have the label of another cluster, and fifty are there twice, with a
little noise. No photo has bytes, so that pairs count by their vectors alone.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import publications, schemas
from imagefeatures.catalog import tables
from imagefeatures.layout import Layout
from imagefeatures.publications import Publication
from imagefeatures.settings import Settings

DATASET, DAY = "madeup", "2026-11-02"
WIDTH, INNER, CLUSTERS, LABELS = 1280, 200, 2000, 40
PLANTED = 50
FILE_ROWS = 10_000


def vectors(rows: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Made-up vectors, float32 [n, WIDTH], and the cluster of each, int [n]; FILE_ROWS at a time."""
    random = np.random.default_rng(0)
    base = random.normal(size=(INNER, WIDTH)).astype(np.float32) / np.float32(np.sqrt(WIDTH))
    centres = random.normal(size=(CLUSTERS, INNER)).astype(np.float32)
    for start in range(0, rows, FILE_ROWS):
        count = min(FILE_ROWS, rows - start)
        of = random.integers(0, CLUSTERS, count)
        inner = centres[of] + np.float32(0.7) * random.normal(size=(count, INNER)).astype(np.float32)
        noise = random.normal(size=(count, WIDTH)).astype(np.float32)
        yield np.maximum(inner @ base + np.float32(0.06) * noise, 0), of


def publish(settings: Settings, folder: Path, rows: int) -> tuple[set[str], set[frozenset[str]]]:
    """Publish them. Returns the URIs that have a wrong label, and those of the pairs."""
    files, wrong, pairs = [], set(), set()
    layout = Layout(settings.lake, DATASET, DAY, "20261102T000000-00000000")
    every = max(1, rows // FILE_ROWS)  # files, of which each gets its share of what is planted
    for number, (made, of) in enumerate(vectors(rows)):
        uris = [f"https://photos.invalid/{number:05d}/{row:05d}.jpg" for row in range(len(made))]
        labels = of % LABELS
        for row in range(number * PLANTED // every, (number + 1) * PLANTED // every):
            labels[row] = (labels[row] + 1 + row % (LABELS - 1)) % LABELS
            wrong.add(uris[row])
            copied, copy = 1000 + row, 2000 + row
            noise = np.random.default_rng(row).normal(size=WIDTH).astype(np.float32)
            made[copy] = made[copied] + np.float32(0.05) * noise * made[copied].std()
            labels[copy] = labels[copied]
            pairs.add(frozenset((uris[copied], uris[copy])))
        path = folder / f"{number:05d}.parquet"
        pq.write_table(_table(uris, labels, made, layout.run_id), path)
        files.append(path.as_uri())
    now = dt.datetime.now(dt.UTC)
    run: dict[str, Any] = {"partition_key": DAY, "dataset": DATASET, "run_id": layout.run_id, "model": "mobilenet_v2"}
    run |= {"listed": rows, "registered": rows, "quarantined": 0, "reasons": [], "fingerprint": "f" * 32}
    run |= {"started_at": now, "finished_at": now, "versions": []}
    run |= {f.name: 0 for f in schemas.RUNS if f.name not in run and not f.nullable}
    runs = pa.Table.from_pylist([run], schema=schemas.RUNS)
    publication = Publication(layout, {DATASET: files}, schemas.QUARANTINE.empty_table(), runs)
    publications.publish(publication, tables.open_catalog(settings), settings)
    return wrong, pairs


def _table(uris: list[str], labels: np.ndarray, made: np.ndarray, run_id: str) -> pa.Table:
    constants = {
        "partition_key": DAY, "width": 640, "height": 480, "mode": "RGB", "size": 100_000, "model": "mobilenet_v2",
        "fingerprint": "f" * 32, "run_id": run_id, "copy": 0,
    }  # fmt: skip
    ends = pa.array(np.arange(len(uris) + 1, dtype=np.int32) * WIDTH)
    kind = schemas.FEATURES.field("features").type
    columns = {
        "uri": uris,
        "image_id": [hashlib.sha256(uri.encode()).hexdigest() for uri in uris],
        "label": [f"label {label:02d}" for label in labels.tolist()],
        "features": pa.ListArray.from_arrays(ends, pa.array(made.reshape(-1)), type=kind),
    }
    return pa.table(
        [columns.get(f.name, pa.repeat(pa.scalar(constants.get(f.name), f.type), len(uris))) for f in schemas.FEATURES],
        schema=schemas.FEATURES,
    )


def measured(command: list[str]) -> str:
    """Run the program. Returns what it printed, and what it took."""
    began, loads = time.perf_counter(), [os.getloadavg()[0]]
    program = str(Path(sys.executable).with_name("imagefeatures"))
    with subprocess.Popen([program, *command], stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        own = 0  # kilobytes that are its own: pages of the file of the vectors are the system's to take back
        while process.poll() is None:
            own = max(own, _anonymous(process.pid))
            loads.append(os.getloadavg()[0])
            time.sleep(0.2)
        said = process.communicate()[0]
    if process.returncode:
        sys.exit(said)
    usage = os.times()
    return (
        f"{said}{time.perf_counter() - began:,.0f} s, {usage.children_user + usage.children_system:,.0f} CPU s, at "
        f"most {own / 1e6:.2f} GB of its own; load {min(loads):.0f} to {max(loads):.0f}"
    )


def _anonymous(pid: int) -> int:
    try:
        found = re.search(r"^RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:  # it has ended meanwhile
        return 0
    return int(found[1]) if found else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--map", action="store_true", help="the map in place of the audit")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as name:
        os.environ["IMAGEFEATURES_LAKE"] = f"file://{name}/lake"
        os.environ.pop("IMAGEFEATURES_CATALOG", None)
        Path(name, "lake").mkdir()
        wrong, pairs = publish(Settings.from_env(), Path(name), given.rows)
        if given.map:
            print(measured(["map", DATASET]))
            return
        print(measured(["audit", DATASET, "--to", f"{name}/found"]))
        with Path(name, "found/labels.csv").open(encoding="utf-8", newline="") as lines:
            first = {row["uri"] for row, _ in zip(csv.DictReader(lines), range(2 * PLANTED), strict=False)}
        with Path(name, "found/duplicates.csv").open(encoding="utf-8", newline="") as lines:
            found = {frozenset((row["uri"], row["other_uri"])) for row in csv.DictReader(lines)}
        print(
            f"of {len(wrong)} wrong labels {len(wrong & first)} among the first {2 * PLANTED}; {len(found & pairs)} of "
            f"{len(pairs)} copies, {len(found - pairs)} other pairs"
        )


if __name__ == "__main__":
    main()
