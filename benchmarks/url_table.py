"""Images by URL from a table of 1,200 columns: speed, what is read of the table, memory, and the join back.

    python -m benchmarks.url_table [rows [many [repetitions]]]      100,000, 1,000,000 and 3 by default; 30 minutes

Eight hosts on the loopback network send 21 kB for each row, in a process of their own. Three sides take turns, each in
a process of its own: our listing and ingest, urllib in threads as img2dataset has it, and libcurl alone. Memory is that
of many rows too, with tiny answers. The join is over a published run of so many rows that reuses the vectors of a few
photos. Everything is in the temporary folder, 5 GB at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import http_clients, wide_table
from benchmarks.loopback_hosts import loopback_hosts
from benchmarks.memory import peak_mib
from benchmarks.photos import read_demo_photos
from benchmarks.report import RESULTS
from imagefeatures import manifest
from imagefeatures.datasets import Dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import ingest
from imagefeatures.storage import object_reader

DAY, FEW = "2026-11-02", "2026-11-01"
"""The partition with the table, and the one of the join that has each photo once."""

PHOTOS = 100
SHARD_OF_THREADS = 10_000
"""img2dataset's default: so many images in one file."""

AT_ONCE = 5_000
"""libcurl alone holds what it has fetched: so many images at a time."""

SIDES = {
    "ours": "ingest: listed, fetched, hashed, frozen, receipts",
    "threads": f"urllib in {http_clients.AT_A_TIME} threads: fetched, hashed, written to Parquet",
    "bare": "`CurlMulti` alone: fetched",
}


def dataset(table: Path, kind: str) -> Dataset:
    """The dataset over a table. kind: of wide_table.KINDS, the column with the URLs."""
    http = {"requests_per_second": None, "connections_per_host": http_clients.AT_A_TIME // len(http_clients.HOSTS)}
    source = {"kind": "url_table", "table": f"file://{table}", "url": kind, "key": wide_table.KEY, "http": http}
    return Dataset.model_validate({"name": "wide", "source": source, "start_date": FEW})


def list_table(table: Path, kind: str) -> dict[str, Any]:
    """Plan a run and list the table, as the driver does. Returns the run's file, its shards, and the bytes read."""
    bytes_read = 0
    read = object_reader.ObjectReader.read

    def counted(self: object_reader.ObjectReader, size: int = -1) -> bytes:
        nonlocal bytes_read
        data = read(self, size)
        bytes_read += len(data)
        return data

    setattr(object_reader.ObjectReader, "read", counted)  # noqa: B010 - a plain assignment is none that mypy takes
    run_file = plan_run(dataset(table, kind), RunParams.parse({}), DAY, Settings.from_env())
    listing = manifest.list_source(load_run(run_file), workers=1)
    return {"run_file": run_file, "rows": listing.objects, "shards": listing.shards, "bytes_read": bytes_read}


def ingest_shards(run_file: str, shards: int) -> dict[str, Any]:
    """Ingest every shard, one after the other, as one worker does. Returns how many images were frozen."""
    run = load_run(run_file)
    return {"rows": sum(ingest.run_shard(run, shard).output.rows for shard in range(shards))}


def ours(table: Path, _: Path) -> dict[str, Any]:
    listed = list_table(table, "image")
    return ingest_shards(listed["run_file"], listed["shards"])


def threads(table: Path, folder: Path) -> dict[str, Any]:
    """What img2dataset does with a shard, without resizing: a pool of threads fetches; all is hashed and written."""

    def get(url: str) -> tuple[bytes, str]:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - our own hosts
            data: bytes = response.read()
        return data, hashlib.sha256(data).hexdigest()

    rows = 0
    with ThreadPoolExecutor(http_clients.AT_A_TIME) as pool:
        batches = pq.ParquetFile(table).iter_batches(SHARD_OF_THREADS, columns=[wide_table.KEY, "image"])
        for number, batch in enumerate(batches):
            data, digests = zip(*pool.map(get, batch["image"].to_pylist()), strict=True)
            found = pa.table({"key": batch[wide_table.KEY], "jpg": pa.array(data), "sha256": pa.array(digests)})
            pq.write_table(found, folder / f"{number:05d}.parquet")
            rows += found.num_rows
    return {"rows": rows}


def bare(table: Path, _: Path) -> dict[str, Any]:
    urls = _column(table, "image")
    return {"rows": sum(map(http_clients.bare, iter(lambda: list(islice(urls, AT_ONCE)), [])))}


def join_back(table: Path) -> dict[str, Any]:
    """Publish the table's photos by `imagefeatures run`, and join the vectors to its rows in DuckDB."""
    import duckdb

    from imagefeatures import read

    settings = Settings.from_env()
    settings.datasets.mkdir(exist_ok=True)
    by_day = Path(str(table).replace(DAY, "{partition}"))
    fields = dataset(by_day, "photo").model_dump(mode="json", include={"name", "source"})
    (settings.datasets / "wide.yaml").write_text(json.dumps(fields))
    seconds = 0.0
    for day in (FEW, DAY):  # the first computes the vectors that the second reuses
        command = [sys.executable, "-m", "imagefeatures.cli", "run", "wide", day, "--workers", "1"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        seconds = time.perf_counter() - start
    joined = """
        SELECT count(*), count(images.features), count_if(images.uri = products.photo)
        FROM read_parquet($table) AS products
        LEFT JOIN read_parquet($files) AS images ON images.key = CAST(products.id AS string)
    """
    files = read.files(settings, "wide", partitions=(DAY,))
    duckdb.execute("SET memory_limit = '1GB'; SET threads = 1")
    counts = duckdb.execute(joined, {"table": str(table), "files": files}).fetchone()
    (run,) = [row for row in read.runs(settings, "wide") if row["partition_key"] == DAY]
    rows, with_vector, same = counts or (0, 0, 0)
    return {"rows": rows, "with_vector": with_vector, "of_their_url": same, "reused": run["reused"], "seconds": seconds}


def measure(rows: int, many: int, repetitions: int, folder: Path) -> Iterator[dict[str, Any]]:
    """Run everything. folder: empty, for all that is written. Yields the results so far, as in the JSON file."""
    from benchmarks.bench import machine

    results: dict[str, Any] = {
        "made_at": f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC",
        "machine": machine(len(os.sched_getaffinity(0))), "load": [os.getloadavg()[0]],
        "sides": {side: [] for side in SIDES}, "memory": {},
    }  # fmt: skip
    photos = [data for _, data in read_demo_photos(Settings.from_env().cache)[:PHOTOS]]
    tables = {count: folder / "tables" / str(count) / f"{DAY}.parquet" for count in (rows, many)}
    with loopback_hosts(photos) as origins:
        results["table_bytes"] = {str(rows): wide_table.write(tables[rows], origins, rows)}
        _take_turns(results, tables[rows], rows, folder)
        yield results
        wide_table.write(tables[rows].with_name(f"{FEW}.parquet"), origins, PHOTOS)
        results["join"] = _in_a_process(folder, "join", str(tables[rows]))
        yield results
        for count, path in tables.items():
            if count != rows:
                results["table_bytes"][str(count)] = wide_table.write(path, origins, count)
            listed = _in_a_process(folder, "list", str(path), keep=True)
            frozen = _in_a_process(folder, "ingest", listed["run_file"], str(listed["shards"]))
            _check("ingest", frozen["rows"], count)
            results["memory"][str(count)] = {"list": listed, "ingest": frozen}
            yield results
        for _ in range(1, repetitions):
            _take_turns(results, tables[rows], rows, folder)
            yield results


def _take_turns(results: dict[str, Any], table: Path, rows: int, folder: Path) -> None:
    """Run each side once, and add what it took."""
    for side in SIDES:
        measured = _in_a_process(folder, side, str(table))
        _check(side, measured["rows"], rows)
        results["sides"][side].append(measured)
        os.sync()
    results["load"].append(os.getloadavg()[0])


def _in_a_process(folder: Path, *words: str, keep: bool = False) -> dict[str, Any]:
    """Do one thing in a process of its own, with a lake of its own. keep: leave the lake for the next one."""
    lake, out = folder / "lake", folder / "out"
    for made in (lake, out):
        made.mkdir(exist_ok=True)
    env = os.environ | {
        "IMAGEFEATURES_LAKE": f"file://{lake}", "IMAGEFEATURES_CATALOG": f"sqlite:///{lake}/catalog.db?timeout=60",
        "IMAGEFEATURES_DATASETS": f"{folder}/datasets", "IMAGEFEATURES_HTTP_ALLOW": "127.0.0.0/8",
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.url_table", *words, str(out)]
    found: dict[str, Any] = json.loads(subprocess.check_output(command, env=env, text=True).splitlines()[-1])  # noqa: S603
    for made in (out, *([] if keep else [lake])):
        shutil.rmtree(made)
    print(f"{time.strftime('%H:%M:%S')} {words[0]}: {found}", flush=True)
    return found


def _done_here(word: str, *words: str) -> dict[str, Any]:
    """One thing of `_in_a_process`, with its CPU seconds, its wall seconds and its peak memory."""
    *given, out = words
    cpu, start = time.process_time(), time.perf_counter()
    if word == "list":
        found = list_table(Path(given[0]), "tiny")
    elif word == "ingest":
        found = ingest_shards(given[0], int(given[1]))
    elif word == "join":
        found = join_back(Path(given[0]))
    else:
        found = {"ours": ours, "threads": threads, "bare": bare}[word](Path(given[0]), Path(out))
    taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - start, "peak_mib": peak_mib()}
    return taken | found


def markdown(results: dict[str, Any]) -> str:
    """The tables of docs/performance.md, as far as there are results."""
    loads = ", ".join(f"{load:.1f}" for load in results["load"])
    lines = [
        f"{results['made_at']}, {results['machine']['cpu']}, a process for each side, "
        f"{len(results['sides']['ours'])} × everything in turn: medians, in brackets the smallest and the largest. "
        f"Load average before and after each: {loads}.",
        "",
        f"| {results['sides']['ours'][0]['rows']:,} rows, 21 kB each | images per CPU second | images/s | peak, MiB |",
        "| --- | --- | --- | --- |",
    ]
    for side, name in SIDES.items():
        runs = results["sides"][side]
        cpu, wall = (_spread([run["rows"] / run[what] for run in runs]) for what in ("cpu", "wall"))
        lines.append(f"| {name} | {cpu} | {wall} | {max(run['peak_mib'] for run in runs):,.0f} |")
    memory, sizes = results["memory"], results["table_bytes"]
    read = {rows: found["list"]["bytes_read"] for rows, found in memory.items()}
    cells = {
        "1,200 columns": [f"{int(rows):,} rows, tiny answers" for rows in memory],
        "---": ["---"] * len(memory),
        "the table, MB": [f"{sizes[rows] / 1e6:,.0f}" for rows in memory],
        "read of it by plan and listing, MB": [
            f"{read[rows] / 1e6:,.1f} ({read[rows] / sizes[rows]:.1%})" for rows in memory
        ],
        "plan and listing, s": [f"{found['list']['wall']:,.1f}" for found in memory.values()],
        "peak of the driver, MiB": [f"{found['list']['peak_mib']:,.0f}" for found in memory.values()],
        "peak of a worker of ingest, MiB": [f"{found['ingest']['peak_mib']:,.0f}" for found in memory.values()],
    }
    lines += ["", *(f"| {name} | {' | '.join(values)} |" for name, values in cells.items())] if memory else []
    if join := results.get("join"):
        lines += [
            "",
            f"Joined back in DuckDB: {join['rows']:,} rows of the table, {join['with_vector']:,} with a vector, "
            f"{join['of_their_url']:,} with the vector of their own URL. The run took {join['seconds']:.0f} s and "
            f"reused {join['reused']:,} vectors.",
        ]
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _check(what: str, found: int, wanted: int) -> None:
    if found != wanted:
        raise SystemExit(f"{what}: {found:,} of {wanted:,} images came")


def _column(table: Path, name: str) -> Iterator[str]:
    for batch in pq.ParquetFile(table).iter_batches(AT_ONCE, columns=[name]):
        yield from batch[name].to_pylist()


def main(rows: int = 100_000, many: int = 1_000_000, repetitions: int = 3) -> None:
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as folder:
        for results in measure(rows, many, repetitions, Path(folder)):
            (RESULTS / "url_table.json").write_text(json.dumps(results, indent=1) + "\n")
            (RESULTS / "url_table.md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    if sys.argv[1:] and not sys.argv[1].isdigit():
        print(json.dumps(_done_here(*sys.argv[1:])))
    else:
        main(*map(int, sys.argv[1:]))
