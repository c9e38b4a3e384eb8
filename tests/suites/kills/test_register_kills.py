"""register, killed at random moments: a partition is the old run's or the new one's, and a retry ends it.

The same of a run that publishes pixels, beside vectors or alone, a quarter as often.

A suite of its own: make test-kills. KILLS says how many (100), SEED which moments (0).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from imagefeatures import names, read
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


@dataclass(frozen=True)
class Case:
    """fields: of the dataset file. tables: in which a run has a row for each good image. kills: how many."""

    fields: dict[str, str]
    tables: tuple[str, ...]
    kills: int


PIXELS = names.pixels_table("photos")
CASES = {
    "vectors": Case({}, ("photos",), KILLS),
    "vectors and pixels": Case({"pixels": "keep"}, ("photos", PIXELS), max(1, KILLS // 4)),
    "pixels alone": Case({"pixels": "keep", "features": "none"}, (PIXELS,), max(1, KILLS // 4)),
}


def finished(make_run: MakeRun, photos: Path, case: Case) -> Run:
    """A run with every step done, ready to register; one object of it is rejected."""
    run = make_run(photos, {"shard_images": 4, "reuse": False}, limits={"max_rejected": 0.5}, **case.fields)
    run_steps(run, THIS_PROCESS)
    return run


def runs_in(settings: Settings, name: str) -> list[str]:
    """The run_id of every row of a table."""
    return sorted(read.table(settings, name, columns=("run_id",))["run_id"].to_pylist())


@pytest.mark.parametrize("name", CASES)
def test_a_killed_register_leaves_the_old_run_or_the_new_one(
    name: str, make_run: MakeRun, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, moments = CASES[name], random.Random(SEED)
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(IMAGES)} | {"bad.jpg": b""})
    old = finished(make_run, photos, case)
    register.register(old.layout.run_file, settings)
    whole = registering(undisturbed := finished(make_run, photos, case))
    begun = let_go(whole)
    assert whole.wait(60) == 0
    longest = 1.5 * (time.perf_counter() - begun)  # so that some of them are killed too late
    old = undisturbed
    seen: Counter[str] = Counter()
    for _ in range(case.kills):
        new = finished(make_run, photos, case)
        process = registering(new)
        let_go(process)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.wait()
        of_runs = {str([old.run_id] * IMAGES): "old", str([new.run_id] * IMAGES): "new"}
        each = {of_runs.get(str(runs_in(settings, table)), "mixed") for table in case.tables}
        seen[each.pop() if len(each) == 1 else "mixed" if "mixed" in each else "between two tables"] += 1
        state = register.register(new.layout.run_file, settings).state  # what Airflow's retry does
        seen[state] += 1
        assert [runs_in(settings, table) for table in case.tables] == [[new.run_id] * IMAGES] * len(case.tables)
        assert runs_in(settings, "quarantine") == runs_in(settings, "runs") == [new.run_id]
        old = new
    with capsys.disabled():
        print(f"\n{name}, {case.kills} kills: {dict(seen)}")
    assert seen["mixed"] == 0
    assert seen["old"] + seen["new"] + seen["between two tables"] == case.kills
    assert len(case.tables) > 1 or not seen["between two tables"]
    assert min(seen["old"], seen["new"]) >= case.kills // 20  # or the moments said nothing
