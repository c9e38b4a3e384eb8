"""register, killed at random moments: a partition is the old run's or the new one's, and a retry ends it.

A suite of its own: make test-kills. KILLS says how many (100), SEED which moments (0).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from support.photos import fill, jpeg
from support.registering import let_go, registering
from support.shared import THIS_PROCESS, MakeRun

KILLS = int(os.environ.get("KILLS") or "100")
SEED = int(os.environ.get("SEED") or "0")
IMAGES = 8


def finished(make_run: MakeRun, photos: Path) -> Run:
    """A run with every step done, ready to register; one object of it is rejected."""
    run = make_run(photos, {"shard_images": 4, "reuse": False}, limits={"max_rejected": 0.5})
    run_steps(run, THIS_PROCESS)
    return run


def runs_in(settings: Settings, name: str) -> list[str]:
    """The run_id of every row of a table."""
    return sorted(read.table(settings, name, columns=("run_id",))["run_id"].to_pylist())


def test_a_killed_register_leaves_the_old_run_or_the_new_one(
    make_run: MakeRun, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(IMAGES)} | {"bad.jpg": b""})
    old = finished(make_run, photos)
    register.register(old.layout.run_file, settings)
    whole = registering(undisturbed := finished(make_run, photos))
    begun = let_go(whole)
    assert whole.wait(60) == 0
    longest = 1.5 * (time.perf_counter() - begun)  # so that some of them are killed too late
    old = undisturbed
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        new = finished(make_run, photos)
        process = registering(new)
        let_go(process)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.wait()
        published = runs_in(settings, "photos")
        which = {str([old.run_id] * IMAGES): "old", str([new.run_id] * IMAGES): "new"}.get(str(published), "mixed")
        seen[which] += 1
        state = register.register(new.layout.run_file, settings).state  # what Airflow's retry does
        seen[state] += 1
        assert runs_in(settings, "photos") == [new.run_id] * IMAGES
        assert runs_in(settings, "quarantine") == runs_in(settings, "runs") == [new.run_id]
        old = new
    with capsys.disabled():
        print(f"\n{KILLS} kills: {seen['old']} old, {seen['new']} new, {seen['mixed']} mixed; retries: {dict(seen)}")
    assert seen["mixed"] == 0
    assert seen["old"] + seen["new"] == KILLS
    assert min(seen["old"], seen["new"]) >= KILLS // 20  # or the moments said nothing
