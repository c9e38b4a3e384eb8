"""`imagefeatures forget`, killed at random moments and run again: nothing of the images is left, all else is there.

A suite of its own: make test-kills. FORGET_KILLS says how many of a lake in a folder (30), a third of it in MinIO; SEED
which moments (0).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from imagefeatures import read
from imagefeatures.forget import pending, work
from imagefeatures.settings import Settings
from support.forgetting import DATASETS, DAYS, Template, check_forgotten, request, template_in
from support.shared import BUCKET

KILLS = int(os.environ.get("FORGET_KILLS") or "30")
SEED = int(os.environ.get("SEED") or "0")
IMAGES = 25

FORKED = multiprocessing.get_context("forkserver")
"""Its processes have all modules from the beginning: what is killed is the work."""


def forgetting(image_ids: list[str], environment: dict[str, str]) -> None:
    os.environ.update(environment)  # the server of processes may have been started for another lake
    work.forget(request(image_ids), "ada", Settings.from_env())


@pytest.fixture(params=["a folder", "MinIO"])
def template(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Template:
    """The images in a lake of each kind; the catalog is SQLite."""
    if request.param == "a folder":
        return template_in(tmp_path, monkeypatch, IMAGES, 3)
    server = request.getfixturevalue("_real_stores")("minio")
    request.getfixturevalue("aws_env").setenv("AWS_ENDPOINT_URL", server.address)
    return template_in(tmp_path, monkeypatch, IMAGES, 3, f"s3://{BUCKET}/lake")


def test_a_killed_request_is_finished_by_the_next_one(template: Template, capsys: pytest.CaptureFixture[str]) -> None:
    moments, place = random.Random(SEED), template.place
    kills = KILLS // 3 if place.settings.lake.startswith("s3://") else KILLS
    before, needles = place.rows(), place.needles()
    # Two of each image; a key of the index, a vector and pixels but of the fifth that is in the quarantine.
    assert len(needles) == 2 * IMAGES + 3 * IMAGES * 4 // 5
    held = Counter(line.partition("/")[0] for line in place.found(needles))
    FORKED.set_forkserver_preload(["support.forgetting", "imagefeatures.forget.work"])
    for _ in range(2):  # the first one starts the server too
        template.restored()
        process = FORKED.Process(target=forgetting, args=(list(place.targets), dict(os.environ)))
        begun = time.perf_counter()
        process.start()
        process.join(600)
        assert process.exitcode == 0
    longest = 1.1 * (time.perf_counter() - begun)  # so that some of them are killed too late
    check_forgotten(place, before, needles)
    seen: Counter[str] = Counter()
    for _ in range(kills):
        template.restored()
        process = FORKED.Process(target=forgetting, args=(list(place.targets), dict(os.environ)))
        process.start()
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.join()
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
        print(f"\n{kills} kills of forget in {place.settings.lake}, {IMAGES} images in {dict(held)}: {dict(seen)}")
        print(f"then {dict(reasons)}")
    assert reasons == {"FORGOTTEN": 2 * IMAGES}  # in each of the two datasets
    assert seen["in the middle"] > kills // 3
