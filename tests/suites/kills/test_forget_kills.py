"""`imagefeatures forget`, killed at random moments and run again: nothing of the images is left, all else is there.

A suite of its own: make test-kills. FORGET_KILLS says how many (30), SEED which moments (0).
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.forget import pending, work
from support.forgetting import DATASETS, DAYS, check_forgotten, request, template_in
from support.registering import held_back, let_go

KILLS = int(os.environ.get("FORGET_KILLS") or "30")
SEED = int(os.environ.get("SEED") or "0")
IMAGES = 25

FORGET = """
import sys
from imagefeatures.forget import work
from imagefeatures.run_params import ForgetParams
from imagefeatures.settings import Settings
settings = Settings.from_env()
asked = ForgetParams.parse({"image_ids": sys.argv[1:], "why": "asked to", "dry_run": False})
print("ready", flush=True)
sys.stdin.read(1)
work.forget(asked, "ada", settings)
"""


def test_a_killed_request_is_finished_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moments = random.Random(SEED)
    template = template_in(tmp_path, monkeypatch, IMAGES, 3)
    place = template.place
    before, needles = place.rows(), place.needles()
    assert len(needles) == 2 * IMAGES + 2 * IMAGES * 4 // 5  # a fifth is in the quarantine
    held = Counter(line.partition("/")[0] for line in place.found(needles))
    process = held_back(FORGET, *place.targets)
    begun = let_go(process)
    assert process.wait(300) == 0
    longest = 1.1 * (time.perf_counter() - begun)  # so that some of them are killed too late
    check_forgotten(place, before, needles)
    seen: Counter[str] = Counter()
    for _ in range(KILLS):
        template.restored()
        process = held_back(FORGET, *place.targets)
        let_go(process)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.wait()
        waiting = list(pending.all_of(place.settings.lake))
        done = read.table(place.settings, "forgotten").num_rows
        seen["killed before it began" if not (waiting or done) else "finished" if not waiting else "in the middle"] += 1
        reports = work.forget(request(place.targets), "ada", place.settings)
        check_forgotten(place, before, needles)
        told = read.table(place.settings, "forgotten").to_pylist()
        assert len(reports) == 1  # it went on with what was written down
        assert len(told) == len({row["run_id"] for row in told}) == 1 + (done and not waiting)
    for name in DATASETS:
        for day in DAYS:
            place.publish(name, day)
    reasons = Counter(row["reason"] for row in place.rows()["quarantine"].values())
    assert place.found(needles) == []
    with capsys.disabled():
        print(f"\n{KILLS} kills of forget, {IMAGES} images in {dict(held)}: {dict(seen)}; then {dict(reasons)}")
    assert reasons == {"FORGOTTEN": 2 * IMAGES}  # in each of the two datasets
    assert seen["in the middle"] > KILLS // 3
