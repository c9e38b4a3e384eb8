"""A run that is looked at again and again: what a later look reads, and what it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest, progress, storage
from imagefeatures.followed import FollowedRun
from imagefeatures.steps import INGEST, VALIDATE, ingest, validate
from support.photos import fill, jpeg


@pytest.fixture
def run(make_run: Any, tmp_path: Path) -> Any:
    """Listed: three photos and an empty file, one image a shard."""
    files = {f"{seed}.jpg": jpeg(seed) for seed in range(3)} | {"empty.jpg": b""}
    planned = make_run(fill(tmp_path / "source", files), params={"shard_images": 1})
    manifest.list_source(planned, workers=1)
    return planned


def test_a_later_look_reads_only_the_receipts_that_have_come_since(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest.run_shard(run, 0)
    ingest.run_shard(run, 1)
    followed = FollowedRun(run.layout)
    assert progress.read_status(run.layout, followed) == progress.read_status(run.layout)
    read: list[str] = []
    real = storage.read
    monkeypatch.setattr(storage, "read", lambda uri, *more: read.append(uri) or real(uri, *more))
    progress.read_status(run.layout, followed)
    assert read == [run.layout.run_file]
    read.clear()
    ingest.run_shard(run, 3)
    read.clear()
    (step,) = progress.read_status(run.layout, followed).steps
    assert sorted(read) == sorted([run.layout.run_file, run.layout.receipt(INGEST, 3)])
    assert (step.done, step.total) == (3, 4)
    ingest.run_shard(run, 2)
    progress.read_status(run.layout, followed)
    validate.run_shard(run, 0)
    read.clear()
    listed: list[str] = []
    names = storage.names
    monkeypatch.setattr(storage, "names", lambda folder: listed.append(folder) or names(folder))
    status = progress.read_status(run.layout, followed)
    assert sorted(read) == sorted([run.layout.run_file, run.layout.receipt(VALIDATE, 0)])
    assert listed == [run.layout.step(VALIDATE)]  # ingest is finished
    monkeypatch.undo()
    assert status == progress.read_status(run.layout)
    assert sorted((receipt.step, receipt.shard) for receipt in followed.known_receipts()) == [
        *((INGEST, shard) for shard in range(4)),
        (VALIDATE, 0),
    ]
    assert followed.receipts_known == 5


def test_receipts_are_read_before_anybody_has_looked_at_the_listing(run: Any) -> None:
    ingest.run_shard(run, 2)
    assert [receipt.shard for receipt in FollowedRun(run.layout).receipts(INGEST)] == [2]


def test_what_was_read_stays_while_the_folder_goes(run: Any) -> None:
    for shard in range(4):
        ingest.run_shard(run, shard)
    validate.run_shard(run, 1)
    followed = FollowedRun(run.layout)
    before = progress.read_status(run.layout, followed)
    folder = Path(run.layout.run.removeprefix("file://"))
    shutil.rmtree(folder / INGEST)
    shutil.rmtree(folder / VALIDATE)
    assert progress.read_status(run.layout, followed) == before
    shutil.rmtree(folder)
    assert progress.read_status(run.layout, followed) is None
