"""ingest from a real S3 server through a proxy that injects faults: no object is lost or quarantined."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest, steps, storage
from imagefeatures.errors import StoreError
from imagefeatures.shards import pending, read_staged
from imagefeatures.steps import ingest
from imagefeatures.storage import bulk, retry, s3_responses
from imagefeatures.storage import s3 as s3_store
from support import servers
from support.fault_proxy import SLOW_DOWN, Plan, fault_proxy
from support.shared import BUCKET, MakeRun

OBJECTS = 300
FILES = {f"photo {at}.jpg": hashlib.sha256(b"%d" % at).digest() * (1 + at % 400) for at in range(OBJECTS)}
UNDISTURBED = OBJECTS + 2
"""Requests of a run without faults: one page of the listing for plan, one for ingest, and the objects."""

TWO_MINUTES = 120

pytestmark = pytest.mark.long


@pytest.fixture
def origin(request: pytest.FixtureRequest, aws_env: pytest.MonkeyPatch) -> str:
    """Address of an S3 server with FILES below `day/`: MinIO, or moto where MinIO is not available."""
    try:
        servers.minio_binary()
        address = request.getfixturevalue("_real_stores")("minio").address
    except pytest.skip.Exception:
        address = request.getfixturevalue("_s3_server")
    filled(address, request.getfixturevalue("_s3_session"), aws_env)
    return address


def filled(address: str, session: Any, aws_env: pytest.MonkeyPatch) -> None:
    """Upload FILES, and name the server in the environment."""
    aws_env.setattr("boto3.DEFAULT_SESSION", session)
    client = session.client("s3", endpoint_url=address)
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    with ThreadPoolExecutor(8) as pool:
        put = pool.map(lambda name: client.put_object(Bucket=BUCKET, Key=f"day/{name}", Body=FILES[name]), FILES)
        list(put)
    aws_env.setenv("AWS_ENDPOINT_URL", address)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the limits for a stalled body, an attempt and a wait: 0.25, 0.5 and 0.5 s, not 10, 20 and 4."""
    monkeypatch.setattr(bulk, "STALL_SECONDS", 0.25)
    monkeypatch.setattr(bulk, "ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr(s3_responses, "ATTEMPT_SECONDS", 0.5)
    monkeypatch.setattr(s3_store, "READ_SECONDS", 0.25)
    monkeypatch.setattr(s3_store, "LIST_SECONDS", 0.5)
    monkeypatch.setattr(retry, "LONGEST_WAIT_SECONDS", 0.5)


def through(address: str, aws_env: pytest.MonkeyPatch) -> None:
    """Send all further requests to this address."""
    aws_env.setenv("AWS_ENDPOINT_URL", address)
    storage._store.cache_clear()


def ingested(make_run: MakeRun) -> tuple[dict[str, bytes], int, float]:
    """Ingest `day/`. Returns the frozen bytes by name, how many objects were quarantined, and the seconds."""
    run = make_run(f"s3://{BUCKET}/day/", {"shard_images": OBJECTS})
    start = time.monotonic()
    receipts = [ingest.run_shard(run, shard) for shard in range(manifest.list_source(run, 1).shards)]
    seconds = time.monotonic() - start
    frozen = [row for receipt in receipts for row in read_staged(receipt.output).to_pylist()]
    rejected = sum(sum(receipt.reasons.values()) for receipt in receipts)
    assert len({row["uri"] for row in frozen}) == len(frozen)
    return {row["uri"].removeprefix(f"s3://{BUCKET}/day/"): row["data"] for row in frozen}, rejected, seconds


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_nothing_is_lost_when_requests_fail_in_every_way(
    share: float,
    origin: str,
    quick: None,
    make_run: MakeRun,
    aws_env: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with fault_proxy(origin, Plan(share, seed=7)) as proxy:
        through(proxy.address, aws_env)
        frozen, rejected, seconds = ingested(make_run)
    faults = {fault: count for fault, count in sorted(proxy.done.items()) if fault != "none"}
    with capsys.disabled():
        print(
            f" {share:.0%} of requests fail: {len(frozen)}/{OBJECTS} objects, {rejected} quarantined, "
            f"{proxy.requests - UNDISTURBED} requests more than {UNDISTURBED}, {seconds:.1f} s; {faults} ",
            end="",
        )
    assert (frozen, rejected) == (FILES, 0)
    assert sum(faults.values()) <= proxy.requests - UNDISTURBED


@pytest.fixture
def minio(tmp_path: Path, _s3_session: Any, aws_env: pytest.MonkeyPatch) -> Iterator[Minio]:
    """The test's own MinIO with FILES, which the test may stop and start."""
    server = Minio(tmp_path / "minio")
    with contextlib.closing(server):
        filled(server.address, _s3_session, aws_env)
        yield server


class Minio:
    """A MinIO that can be paused, or killed and started again with the same address and data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = servers.free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.timers: list[threading.Timer] = []
        self.up()

    def up(self) -> None:
        self.running = contextlib.ExitStack()
        self.server = self.running.enter_context(servers.minio(self.folder, self.port))

    def pause(self, seconds: float) -> None:
        self.server.process.send_signal(signal.SIGSTOP)
        self.after(seconds, lambda: self.server.process.send_signal(signal.SIGCONT))

    def kill(self) -> None:
        self.server.process.kill()
        self.running.close()

    def restart(self, down_seconds: float) -> None:
        self.kill()
        self.after(down_seconds, self.up)

    def after(self, seconds: float, action: Any) -> None:
        self.timers.append(threading.Timer(seconds, action))
        self.timers[-1].start()

    def close(self) -> None:
        for timer in self.timers:
            timer.join()
        self.running.close()


MIDWAY = 150
"""The request at which the store fails, of about 300."""


@pytest.mark.parametrize("event", ["paused for 20 s", "killed, and back after 3 s"])
def test_a_store_that_comes_back_costs_time_and_nothing_else(
    event: str,
    minio: Minio,
    make_run: MakeRun,
    aws_env: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    happens = {"paused for 20 s": lambda: minio.pause(20), "killed, and back after 3 s": lambda: minio.restart(3)}
    with fault_proxy(minio.address, Plan(at={MIDWAY: happens[event]})) as proxy:
        through(proxy.address, aws_env)
        frozen, rejected, seconds = ingested(make_run)
    with capsys.disabled():
        print(
            f" {event}: {len(frozen)}/{OBJECTS} objects, {rejected} quarantined, {proxy.requests} requests, "
            f"{seconds:.1f} s ",
            end="",
        )
    assert minio.timers, "it happened while objects were read"
    assert (frozen, rejected) == (FILES, 0)


def test_a_store_that_stays_away_fails_the_shard_in_one_line_after_one_wait_for_all_objects(
    origin: str, make_run: MakeRun, aws_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    aws_env.setattr(s3_store, "RETRY_SECONDS", 2.0)
    with fault_proxy(origin) as proxy:
        through(proxy.address, aws_env)
        run = make_run(f"s3://{BUCKET}/day/", {"shard_images": OBJECTS})
        assert manifest.list_source(run, 1).shards == 2
        so_far = set(proxy.turns)
        proxy.plan = Plan(1.0, (SLOW_DOWN,))
        start = time.monotonic()
        with pytest.raises(StoreError) as failed:
            ingest.run_shard(run, 0)
        seconds = time.monotonic() - start
    tried = set(proxy.turns) - so_far
    with capsys.disabled():
        print(f" failed after {seconds:.1f} s of 2 s patience, {len(tried)} objects of {OBJECTS // 2} tried ", end="")
    assert "no answer in 2 s (SlowDown" in str(failed.value)
    assert "\n" not in str(failed.value)
    assert len(tried) <= s3_store.FETCH_THREADS
    assert seconds < TWO_MINUTES
    assert pending(run.layout, steps.INGEST, 2) == [0, 1]
