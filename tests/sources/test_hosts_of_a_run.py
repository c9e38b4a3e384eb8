"""The limits of a host hold in the whole run, however many workers it has."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagefeatures import local, manifest, shards, steps
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt
from imagefeatures.sources.http import host_of
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import ingest
from imagefeatures.workers import WorkerProcesses
from imagefeatures_spark import distribute
from support.hostile_http import Site, after, response, site
from support.lists_as_spark import Context
from support.photos import jpeg
from support.shared import MakeRun

PHOTO = response(body=jpeg(1))


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Site]]:
    """Four hosts, which have every photo, and take 20 ms over it."""
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.0/8")
    photos = {f"/{n}.jpg": after(0.02, PHOTO) for n in range(400)}
    with ExitStack() as opened:
        yield [opened.enter_context(site(f"127.0.0.{n}", dict(photos))) for n in (2, 3, 4, 5)]


@pytest.fixture(scope="module")
def three() -> Iterator[WorkerProcesses]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.0/8")
        pool = WorkerProcesses(3, StepRunner())
    yield pool
    pool.stop()


def run_of(make_run: MakeRun, folder: Path, urls: Sequence[str], shard_images: int = 20, **http: object) -> Run:
    listing = folder / "list.txt"
    listing.write_text("\n".join(urls))
    source = {"kind": "uri_list", "uri": f"file://{listing}", "http": http}
    return make_run(source, {"shard_images": shard_images}, label="none")


def mixed(hosts: Sequence[Site], each: int) -> list[str]:
    """So many URLs of each host, in no order."""
    urls = [host.url(f"/{n}.jpg") for host in hosts for n in range(each)]
    random.Random(5).shuffle(urls)
    return urls


def busy_at_once(receipts: Sequence[Receipt]) -> int:
    """The most shards that were worked on at the same time."""
    moments = [(r.started_at, 1) for r in receipts] + [(r.started_at + r.seconds, -1) for r in receipts]
    at_once, most = 0, 0
    for _, change in sorted(moments):
        at_once += change
        most = max(most, at_once)
    return most


def test_a_host_of_many_shards_sees_no_more_connections_and_requests_than_it_may(
    make_run: MakeRun, tmp_path: Path, hosts: list[Site], three: WorkerProcesses
) -> None:
    urls = mixed(hosts[:1], 120)
    run = run_of(make_run, tmp_path, urls, connections_per_host=2, requests_per_second=75)
    local.run_steps(run, three, [steps.INGEST])
    (host, *_) = hosts
    listing = manifest.read_listing(run)
    assert (listing.shards, list(listing.lanes)) == (6, [0] * 6)
    assert len(host.requests) == 120
    assert host.most_open == 2
    moments = sorted(request.at for request in host.requests)
    for number in range(120 - 60):  # 60 requests in a row, across the shards: 59 pauses of 1/75 s
        assert moments[number + 59] - moments[number] > 0.75 * 59 / 75
    assert sum(receipt.passed for receipt in shards.read_receipts(run.layout, steps.INGEST)) == 120


def test_many_hosts_keep_all_workers_busy_and_no_host_has_more_than_its_limits(
    make_run: MakeRun, tmp_path: Path, hosts: list[Site], three: WorkerProcesses
) -> None:
    run = run_of(make_run, tmp_path, mixed(hosts, 60), connections_per_host=2, requests_per_second=None)
    local.run_steps(run, three, [steps.INGEST])
    assert [(host.most_open, len(host.requests)) for host in hosts] == [(2, 60)] * 4
    assert busy_at_once(shards.read_receipts(run.layout, steps.INGEST)) == 3
    listing = manifest.read_listing(run)
    assert listing.objects == 240
    of_lane: dict[int, set[str]] = {}
    for shard, lane in enumerate(listing.lanes):
        uris = manifest.read_manifest(run, shard)["uri"].to_pylist()
        of_lane.setdefault(lane, set()).update(map(host_of, uris))
    assert [len(found) for found in of_lane.values()] == [1] * 4


@pytest.mark.long
def test_a_resumed_run_keeps_its_lanes_with_any_number_of_workers(
    make_run: MakeRun, tmp_path: Path, hosts: list[Site], three: WorkerProcesses
) -> None:
    run = run_of(make_run, tmp_path, mixed(hosts[:1], 80), connections_per_host=1, requests_per_second=None)
    manifest.list_source(run, workers=1)
    for shard in (0, 2):
        ingest.run_shard(run, shard)
    local.run_steps(run, three, [steps.INGEST])
    assert [receipt.shard for receipt in shards.read_receipts(run.layout, steps.INGEST)] == [0, 1, 2, 3]
    assert (hosts[0].most_open, len(hosts[0].requests)) == (1, 80)


def test_urls_that_come_twice_leave_no_empty_shard(make_run: MakeRun, tmp_path: Path, hosts: list[Site]) -> None:
    once = mixed(hosts[:2], 15)
    run = run_of(make_run, tmp_path, [once[0], *[once[0]] * 200, *once], shard_images=10)
    listing = manifest.list_source(run, workers=2)
    assert (listing.objects, dict(listing.passed_over)) == (30, {"repeated": 201})
    tables = [manifest.read_manifest(run, shard) for shard in range(listing.shards)]
    assert all(table.num_rows for table in tables)
    assert sorted(uri for table in tables for uri in table["uri"].to_pylist()) == sorted(once)
    assert len(listing.lanes) in (0, listing.shards)


def test_a_list_without_urls_is_cut_as_it_is_listed(make_run: MakeRun, tmp_path: Path) -> None:
    uris = [f"file://{tmp_path}/{n}.jpg" for n in range(50)]
    run = run_of(make_run, tmp_path, uris)
    listing = manifest.list_source(run, workers=2)
    assert listing.lanes == ()
    assert [u for s in range(listing.shards) for u in manifest.read_manifest(run, s)["uri"].to_pylist()] == uris


def test_a_spark_task_does_the_shards_of_a_lane_and_its_second_attempt_those_that_are_left(
    make_run: MakeRun, tmp_path: Path, hosts: list[Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(make_run, tmp_path, mixed(hosts[:2], 40), requests_per_second=None)
    listing = manifest.list_source(run, workers=2)
    assert list(listing.lanes) == [0, 0, 1, 1]
    done: list[int] = []

    def note(shard: int) -> Receipt:
        done.append(shard)
        return ingest.run_shard(run, shard)

    def second_attempt() -> SimpleNamespace:
        if not done:
            ingest.run_shard(run, 1)  # by the first attempt, whose executor was lost
        return SimpleNamespace(attemptNumber=lambda: 1)

    monkeypatch.setattr(distribute, "TaskContext", SimpleNamespace(get=second_attempt))
    context = Context()
    distribute.spread(context, run, steps.INGEST, 4, note, listing.lanes)
    assert context.parallelized == [(2, 2)]
    assert done == [0, 2, 3]
    assert sorted(len(host.requests) for host in hosts) == [0, 0, 40, 40]
