"""Which shards an attempt of a task does, and what a job says that it has used, with lists in place of Spark."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from imagefeatures import manifest, shards, storage
from imagefeatures.plan import Run
from imagefeatures.steps import INGEST, ingest
from imagefeatures.usage import drivers, meter, processes, traffic
from imagefeatures_spark import distribute
from support.lists_as_spark import Context
from support.photos import fill, jpeg
from support.shared import MakeRun


@pytest.fixture(autouse=True)
def _measured_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job says of its workers that they only work. Here they are this process, which does other things later."""
    monkeypatch.setattr(meter, "_last_reading", None)


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    """Two photos, listed, each in a shard of its own."""
    run = make_run(fill(tmp_path / "photos", {"0.jpg": jpeg(0), "1.jpg": jpeg(1)}), {"shard_images": 1})
    manifest.list_source(run, workers=1)
    return run


@pytest.mark.parametrize(
    ("attempt", "lanes", "does"),
    [(0, (), [0, 1]), (0, (0, 0), [0, 1]), (1, (), [0, 1]), (1, (0, 0), [0])],
    ids=["first, alone", "first, of a lane", "second, alone", "second, of a lane"],
)
def test_only_a_second_attempt_at_several_shards_looks_which_are_done(
    run: Run, monkeypatch: pytest.MonkeyPatch, attempt: int, lanes: Sequence[int], does: list[int]
) -> None:
    """It has to read the receipts of the whole run: for one shard that is more work than the shard itself may be."""
    done: list[int] = []

    def get() -> SimpleNamespace:
        if not done:
            ingest.run_shard(run, 1)  # by another attempt, since the job has begun
        return SimpleNamespace(attemptNumber=lambda: attempt)

    monkeypatch.setattr(distribute, "TaskContext", SimpleNamespace(get=get))
    distribute.spread(Context(), run, INGEST, 2, done.append, lanes)  # type: ignore[arg-type]
    assert sorted(done) == does


def test_what_a_worker_has_read_before_its_first_shard_is_counted_with_the_shard(run: Run, tmp_path: Path) -> None:
    before = traffic.so_far().bytes_read
    storage.read(f"file://{fill(tmp_path / 'model', {'weights': bytes(1 << 20)})}/weights")
    before_shards = traffic.so_far().bytes_read
    assert before_shards - before == 1 << 20
    distribute.spread(Context(), run, INGEST, 2, lambda shard: ingest.run_shard(run, shard))
    first, second = (receipt.usage for receipt in shards.read_receipts(run.layout, INGEST))
    assert first is not None and second is not None
    assert first.traffic.bytes_read > before_shards
    assert second.traffic.bytes_read < 1 << 20


def test_what_the_driver_and_its_jvm_have_used_is_kept_with_the_run(run: Run) -> None:
    before = processes.core_seconds() + processes.core_seconds_of(os.getpid())  # which is here the JVM too
    bytes_before = traffic.so_far().bytes_read
    distribute.spread(Context(), run, INGEST, 2, lambda shard: ingest.run_shard(run, shard))
    (driver,) = drivers.read(run.layout)[INGEST]
    assert driver.usage.core_seconds >= before > 0
    assert driver.usage.traffic.bytes_read > bytes_before
