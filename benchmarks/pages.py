"""How long the pages take with 200 partitions of 5,000 photos each, in Airflow's own application, and warm thumbnails.

    python -m benchmarks.pages [requests]

Prints of each page the first view, and p50 and p95 of fifty later ones: with rows that were read for an earlier view,
which serve views for five seconds, and with a read of the catalog for each view; on the clock and of processor time.
The lake is made up (tests/support/large_lake.py) and takes most of the time. The map of 100,000 points and the
audit of 5,000 photos are made up too: nothing is computed for them.
"""

from __future__ import annotations

import csv
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from imagefeatures import manifest, read, storage
from imagefeatures.audits import kept as audits
from imagefeatures.datasets import Dataset
from imagefeatures.forget import deny
from imagefeatures.maps import choice, stored
from imagefeatures.maps.compute import NEIGHBOURS, POINTS, SHOWN, FeatureMap
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps import STEPS, ingest

if TYPE_CHECKING:
    from support.web import Site

REQUESTS = 50
SECONDS = {"a page": 0.3, "a thumbnail": 0.15}
"""What p95 should be below."""

UNDER_WAY = 400
"""Photos of the run under way, eight a shard, of which ingest has done three quarters."""

UNPUBLISHED = "figs"
"""Its dataset: another one, as vectors of the other are narrower than its model makes them."""

COLUMNS = {
    "labels": ("uri", "image_id", "partition_key", "label", "suggested", "doubt", "neighbours"),
    "duplicates": (
        "group", "kind", "uri", "label", "partition_key", "other_uri", "other_label", "other_partition_key", "cosine",
        "overlap",
    ),
}  # fmt: skip
"""Of the two tables of an audit."""

DAG_RUN = "manual__bench"


def main(requests: int = REQUESTS) -> None:
    sys.path.append(str(REPOSITORY / "tests"))
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as name:
        folder = Path(name)
        enter(folder)
        from support.web import airflow_with_pages

        with airflow_with_pages(folder / "airflow") as site:
            measure(site, paths(site, folder), requests)


def enter(folder: Path) -> None:
    """Make a deployment in an empty folder that of this process. Airflow must not have been imported."""
    for part in ("lake", "datasets", "photos", "airflow"):
        (folder / part).mkdir()
    os.environ |= {
        "IMAGEFEATURES_LAKE": f"file://{folder}/lake",
        "IMAGEFEATURES_DATASETS": f"{folder}/datasets",
        "IMAGEFEATURES_CACHE": f"{folder}/cache",
        "AIRFLOW_HOME": f"{folder}/airflow",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
    os.environ.pop("IMAGEFEATURES_CATALOG", None)


def paths(site: Site, folder: Path) -> dict[str, list[str]]:
    """Publish the lake. Returns the addresses of each page, and of sixty thumbnails, which are made already."""
    from support.large_lake import DATASET, PICTURES, ROWS, large_lake
    from support.web import PAGE

    began, settings = time.perf_counter(), Settings.from_env()
    days = large_lake(settings, folder / "photos")
    said = f"{len(days)} partitions, {ROWS * len(days):,} registered rows: made in {time.perf_counter() - began:.0f} s"
    print(f"{said}; load {os.getloadavg()[0]:.1f}", flush=True)
    on_a_map = choice.published(settings, DATASET, days[-SHOWN // ROWS :])
    put_map(settings, on_a_map)
    made = quote(f"now, {SHOWN}")
    run_under_way(settings, folder / "photos")
    redrive(settings, days)
    whole = f"/datasets/{DATASET}"
    one = f"{whole}/partitions/{days[-1]}"
    on_map = "&".join(f"partition={quote(day)}" for day in days[-SHOWN // ROWS :])
    put_audit(settings, read.runs(settings, DATASET)[0], [f"{folder}/photos/{number}.jpg" for number in range(ROWS)])
    gallery = site.page(f"{one}/gallery")
    thumbnails = [value for tag, name, value in gallery.attributes if (tag, name) == ("img", "src") and value]
    if len(thumbnails) != PICTURES:
        sys.exit(f"the gallery shows {len(thumbnails)} photos")
    for thumbnail in thumbnails:
        taken(site, thumbnail)
    pages = {
        "list of datasets": "/",
        "dataset": whole,
        "partition": one,
        "run, published": f"/dags/features_{DATASET}/runs/manual__published",
        "run, under way": f"/dags/features_{UNPUBLISHED}/runs/{DAG_RUN}",
        "the same, progress": f"/dags/features_{UNPUBLISHED}/runs/{DAG_RUN}/progress",
        "quarantine, newest": "/quarantine",
        "quarantine, one partition": f"/quarantine?dataset={DATASET}&partition={days[-1]}",
        "gallery": f"{one}/gallery",
        "gallery by distance": f"{one}/gallery?sort=farthest",
        "labels in doubt": f"{one}/audit",
        "duplicates": f"{one}/audit?table=duplicates",
        "audit of all partitions": f"{whole}/audit",
        "re-drive of all partitions": f"/dags/redrive_{DATASET}/runs/{DAG_RUN}",
        "map of 100,000": f"{whole}/map?{on_map}",
        "its points": f"{whole}/maps/{on_a_map.digest}/points?made={made}",
        "a photo of it": f"{whole}/maps/{on_a_map.digest}/photos/77777?made={made}",
        "map of all partitions": f"{whole}/map?every=true",
    }
    return {page: [PAGE + path] for page, path in pages.items()} | {"thumbnail": thumbnails}


def put_map(settings: Settings, of: choice.Choice, count: int = SHOWN) -> None:
    """Keep a made-up map of so many points of these partitions."""
    random = np.random.default_rng(0)
    ends = pa.array(np.arange(count + 1, dtype=np.int32) * NEIGHBOURS)
    near = random.integers(0, count, count * NEIGHBOURS, dtype=np.int32)
    keys = of.partitions
    columns = [
        [f"s3://photos/{number}.jpg" for number in range(count)],
        [f"{number:064x}" for number in range(count)],
        [keys[number % len(keys)] for number in range(count)],
        [f"label {number % 40:02d}" for number in range(count)],
        *random.normal(size=(2, count)).astype(np.float32),
        pa.ListArray.from_arrays(ends, near),
        pa.ListArray.from_arrays(ends, random.random(count * NEIGHBOURS, np.float32)),
    ]
    arrays = [column if isinstance(column, pa.Array) else pa.array(column) for column in columns]
    facts: dict[str, Any] = {"snapshot": 1, "fingerprint": "0f", "photos": count, "images": count, "shown": count}
    facts |= {"projected": 0, "method": "chance", "sample": "all", "runs": of.runs, "made_at": f"now, {count}"}
    facts["forgotten"] = deny.state(settings.lake)
    points = pa.Table.from_arrays([array.cast(f.type) for array, f in zip(arrays, POINTS, strict=True)], schema=POINTS)
    storage.write(stored.uri_of(settings.lake, of), stored.encode(FeatureMap(points, facts)))


def put_audit(settings: Settings, run: dict[str, Any], uris: list[str]) -> None:
    """Keep a made-up audit of a run, with a doubt and a pair for each photo."""
    folder = settings.cache / "audits" / run["dataset"] / run["partition_key"] / run["run_id"]
    folder.mkdir(parents=True)
    for table in audits.TABLES:
        with (folder / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(COLUMNS[table])
            for number, uri in enumerate(uris):
                near = [uris[(number + step) % len(uris)] for step in range(1, 11)]
                if table == "labels":
                    lines.writerow([uri, "0" * 64, run["partition_key"], "fig", "date", "0.5", "\n".join(near)])
                else:
                    key = run["partition_key"]
                    lines.writerow([number, "near", uri, "fig", key, near[0], "fig", key, "0.99", "0.97"])
    facts = {"format": audits.FORMAT, "rows": dict.fromkeys(audits.TABLES, len(uris))}
    (folder / audits.FACTS).write_text(json.dumps(facts | {"forgotten": deny.state(settings.lake)}))


def run_under_way(settings: Settings, folder: Path) -> None:
    """Plan a run of another partition, and do three quarters of its first step; and a DAG run of a published one."""
    from support.large_lake import DATASET
    from support.photos import fill, jpeg
    from support.web import dag_run_is, dataset_file, return_from_plan

    fill(folder / "next", {f"{seed:04d}.jpg": jpeg(seed) for seed in range(UNDER_WAY)})
    source = f"file://{folder}/{{partition}}/"
    dataset_file(settings, UNPUBLISHED, f"source: {source}")
    dataset = Dataset(name=UNPUBLISHED, source=source)
    run = load_run(plan_run(dataset, RunParams.parse({"shard_images": 8}), "next", settings))
    manifest.list_source(run, workers=1)
    for shard in range(UNDER_WAY // 8 * 3 // 4):
        ingest.run_shard(run, shard)
    return_from_plan(f"features_{UNPUBLISHED}", DAG_RUN, run.layout.run_file)
    dag_run_is(f"features_{UNPUBLISHED}", DAG_RUN, "running", ingest="running")
    row = read.runs(settings, DATASET)[0]
    published = f"{settings.lake}/staging/{DATASET}/{row['partition_key']}/{row['run_id']}/run.json"
    return_from_plan(f"features_{DATASET}", "manual__published", published)
    dag_run_is(f"features_{DATASET}", "manual__published", "success", ingest="success")


def redrive(settings: Settings, days: list[str]) -> None:
    """A DAG run that has taken the quarantined objects of all partitions again."""
    from support.large_lake import DATASET
    from support.web import dag_run_is, return_from_plan

    dag = f"redrive_{DATASET}"
    runs = [f"{settings.lake}/staging/{DATASET}/{day}/redriven/run.json" for day in days]
    return_from_plan(dag, DAG_RUN, runs)
    dag_run_is(dag, DAG_RUN, "success", plan="success", left_out="success")
    for index in range(len(days)):
        dag_run_is(dag, DAG_RUN, "success", index, **dict.fromkeys((f"partition.{step}" for step in STEPS), "success"))


def measure(site: Site, addresses: dict[str, list[str]], requests: int) -> None:
    from imagefeatures_airflow.web import looks, published

    fresh = published.FRESH_SECONDS, looks.FRESH_SECONDS
    slow = []
    for kept in (True, False):
        published.FRESH_SECONDS, looks.FRESH_SECONDS = fresh if kept else (0.0, 0.0)
        print(f"\n{'Rows that were read before' if kept else 'A read of the catalog for each view'}, milliseconds")
        print(f"{'':26} first  p50  p95   CPU p50  CPU p95  load", flush=True)
        for page, given in addresses.items():
            first, *later = (taken(site, given[number % len(given)]) for number in range(1 + requests))
            wall, processor = ([1000 * one[at] for one in later] for at in (0, 1))
            numbers = [statistics.median(wall), p95(wall), statistics.median(processor), p95(processor)]
            print(
                f"{page:26} {1000 * first[0]:5.0f} {numbers[0]:4.0f} {numbers[1]:4.0f}   {numbers[2]:7.0f}  "
                f"{numbers[3]:7.0f}  {os.getloadavg()[0]:4.1f}",
                flush=True,
            )
            most = SECONDS["a thumbnail" if page == "thumbnail" else "a page"]
            if numbers[1] > 1000 * most:
                slow.append(f"{page} ({'kept rows' if kept else 'read'}): {numbers[1]:.0f} > {1000 * most:.0f} ms")
    print("\nAbove its bound on the clock: " + ("; ".join(slow) or "none"))


def taken(site: Site, address: str) -> tuple[float, float]:
    """Seconds of a request on the clock, and of processor time of all threads of this process."""
    began, worked = time.perf_counter(), time.process_time()
    answer = site.get(address, Cookie=f"_token={site.login}")
    took = time.perf_counter() - began, time.process_time() - worked
    if answer.status_code != 200:
        sys.exit(f"{address}: {answer.status_code} {answer.text}")
    return took


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
