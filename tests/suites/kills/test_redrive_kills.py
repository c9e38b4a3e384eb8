"""A re-drive's register, killed at random moments: a partition is the old run's or the merged one's, and is finished.

A suite of its own: make test-kills. REDRIVE_KILLS says how many (30), SEED which moments (0).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import publications
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.photos import fill
from support.redriving import BAD, GOOD, MENDED, Partition, bad_name, bad_partition, broken, whole, without_run
from support.registering import let_go, registering

KILLS = int(os.environ.get("REDRIVE_KILLS") or "30")
SEED = int(os.environ.get("SEED") or "0")

Rows = dict[str, dict[str, Any]]


def begin(partition: Partition, photos: Path) -> tuple[Rows, str]:
    """A published partition with BAD quarantined objects, of which MENDED are whole now. The features; the run."""
    fill(photos, {bad_name(at): broken(at) for at in range(BAD)})
    partition.publish()
    fill(photos, {bad_name(at): whole(at) for at in range(MENDED)})
    fill(photos, {bad_name(at): broken(at + 1) for at in range(MENDED, BAD)})
    return without_run(partition.features), partition.run["run_id"]


def test_a_killed_re_drive_leaves_the_old_partition_or_the_merged_one_and_the_next_run_finishes_it(
    tmp_path: Path, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    photos = tmp_path / "photos"
    partition = bad_partition(photos, settings)
    took = []
    for _ in range(2):  # the first is slower than all others
        begin(partition, photos)
        process = registering(partition.ready())
        begun = let_go(process)
        assert process.wait(120) == 0
        took.append(time.perf_counter() - begun)
    longest = 1.1 * min(took)  # so that some of them are killed too late
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        before, old = begin(partition, photos)
        new = partition.ready()
        process = registering(new)
        let_go(process)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.wait()
        held = {
            name: {row["run_id"] for row in rows.values()}
            for name, rows in (("features", partition.features), ("quarantine", partition.quarantine))
        }
        assert all(runs in ({old}, {new.run_id}) for runs in held.values()), held  # of a table never a mix
        written = Path(new.layout.publication.removeprefix("file://")).exists()
        said = partition.run["run_id"]
        seen["new" if said == new.run_id else "old"] += 1
        if written or said == new.run_id:  # what any dataset's next plan or register does first
            publications.finish_interrupted(tables.open_catalog(settings), settings)
            seen["finished by the next run"] += written
            assert partition.run["run_id"] == new.run_id
        else:
            partition.check()
            assert without_run(partition.features) == before
            assert len(partition.quarantine) == BAD
            seen["finished by a retry"] += 1
            register.register(new.layout.run_file, settings)
        partition.check()
        after = without_run(partition.features)
        assert {uri: after[uri] for uri in before} == before
        assert len(after) == GOOD + MENDED
        reasons = [row["reason"] for row in partition.quarantine.values()]
        assert sorted(reasons) == sorted(
            ["EMPTY_OBJECT", "TRUNCATED", "UNSUPPORTED_FORMAT"][(at + 1) % 3] for at in range(MENDED, BAD)
        )
    with capsys.disabled():
        print(f"\n{KILLS} kills of a re-drive: {dict(seen)}")
    assert seen["old"] + seen["new"] == KILLS
    assert min(seen["old"], seen["new"]) > 0
