"""The speed of reading many small objects from S3: ingest, and a bare pool of boto3 threads, on the same server.

    python -m benchmarks.ingest_s3 [repetitions [objects]]

Starts its own MinIO (tests/support/servers.py) and writes 5,000 objects of 20 kB. The sides take turns in each
repetition; the result is the median of the ratios within a repetition. Each side runs in a process of its own, whose
peak memory is printed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.memory import peak_mib
from imagefeatures import manifest, storage
from imagefeatures.datasets import Dataset
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import ingest

BUCKET = "images"
SIZE = 20_000
SHARD = 512  # the default of shard_images: ingest fetches one shard after another
BOTO3_THREADS = 16


def main(repetitions: int, objects: int) -> None:
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
    from support import servers
    from support.shared import AWS

    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder, servers.minio(Path(folder)) as server:
        os.environ.update(AWS, AWS_ENDPOINT_URL=server.address, NO_PROXY="127.0.0.1")
        os.environ.update(
            IMAGEFEATURES_LAKE=f"s3://{BUCKET}/lake", IMAGEFEATURES_CATALOG=f"sqlite:///{folder}/catalog.db"
        )
        fill(objects)
        rounds = [{side: measured(side) for side in SIDES} for _ in range(repetitions)]
    print(f"{objects} objects of {SIZE:,} bytes, {repetitions} interleaved repetitions, MinIO on the same machine:")
    for side, name in SIDES.items():
        rate, cpu, peak = (
            statistics.median(column) for column in zip(*(round_[side] for round_ in rounds), strict=True)
        )
        ratios = [round_[side][0] / round_["boto3"][0] for round_ in rounds]
        print(
            f"  {name:38} {rate:5.0f} objects/s  {cpu:4.2f} ms of processor time each  {peak:4.0f} MiB at most"
            f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def fill(objects: int) -> None:
    import boto3

    boto3.client("s3").create_bucket(Bucket=BUCKET)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: storage.write(f"s3://{BUCKET}/photos/{n:05d}", os.urandom(SIZE)), range(objects)))


def measured(side: str) -> tuple[float, float, float]:
    """Run one side in a process of its own.

    Returns objects a second, milliseconds of processor time an object, and peak resident memory in MiB.
    """
    command = [sys.executable, "-m", "benchmarks.ingest_s3", side]
    rate, cpu, peak = subprocess.check_output(command, text=True).split()  # noqa: S603 - this very module
    return float(rate), float(cpu), float(peak)


def run_side(name: str) -> None:
    """Measure one side in this process, and print the three figures of `measured`."""
    listed = list(storage.list_objects(f"s3://{BUCKET}/photos/"))
    {"boto3": by_boto3, "fetch": by_fetch, "ingest": by_fetch}[name](
        listed[:BOTO3_THREADS]
    )  # warm-up: connections, imports
    if name == "ingest":
        dataset = Dataset.model_validate({"name": "photos", "source": f"s3://{BUCKET}/photos/"})
        run = load_run(plan_run(dataset, RunParams.parse({}), "2026-11-02", Settings.from_env()))
        shards = range(manifest.list_source(run, workers=1).shards)
    cpu, start = time.process_time(), time.perf_counter()
    if name == "ingest":
        size = sum(ingest.run_shard(run, shard).output.rows for shard in shards) * SIZE
    else:
        size = (by_boto3 if name == "boto3" else by_fetch)(listed)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert size == len(listed) * SIZE  # noqa: S101
    print(len(listed) / seconds, 1000 * cpu / len(listed), peak_mib())


def by_boto3(listed: Sequence[storage.StoredObject]) -> int:
    import boto3
    from botocore.config import Config

    client = boto3.client("s3", config=Config(max_pool_connections=BOTO3_THREADS))

    def get(stored: storage.StoredObject) -> int:
        bucket, _, key = stored.uri.removeprefix("s3://").partition("/")
        return len(client.get_object(Bucket=bucket, Key=key)["Body"].read())

    with ThreadPoolExecutor(BOTO3_THREADS) as pool:
        return sum(pool.map(get, listed))


def by_fetch(listed: Sequence[storage.StoredObject]) -> int:
    shards = [listed[start : start + SHARD] for start in range(0, len(listed), SHARD)]
    return sum(sum(len(data) for data in storage.fetch_all(shard) if isinstance(data, bytes)) for shard in shards)


SIDES = {
    "boto3": "boto3, 16 threads: get_object and read",
    "fetch": "ingest's fetching, checks included",
    "ingest": "ingest: hashed, frozen, receipts too",
}

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in SIDES:
        run_side(sys.argv[1])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, int(sys.argv[2]) if len(sys.argv) > 2 else 5000)
