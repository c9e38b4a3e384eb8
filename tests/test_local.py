"""Whole runs without Airflow and Spark: any number of workers gives the same rows, and nothing is done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import columns, local, read, schemas, shards, steps, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import NoInput, ParamsError, StoreError, TooManyRejected, WorkerDied
from imagefeatures.plan import Run
from imagefeatures.progress import Status
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.disturbed_work import Disturbed, Forbidden
from support.photos import fill, jpeg, real_photos
from support.shared import PARTITION, THIS_PROCESS, MakeRun

PHOTOS = {f"{'red' if at % 2 else 'green'}/{at}.jpg": jpeg(at) for at in range(8)}
ODD = {"green/twin.jpg": PHOTOS["red/3.jpg"], "red/empty.jpg": b"", "red/text.jpg": b"no picture"}
GOOD = 8
OF_THE_RUN = {"run_id", "started_at", "base_started_at", "finished_at", "quarantined_at"}
OF_THE_RUN |= {f"{step}_seconds" for step in steps.SPARK_STEPS}
OF_THE_RUN |= {name for name in schemas.RUNS.names if name.endswith(("core_seconds", "peak_memory", "core_second"))}
OF_THE_RUN |= {"bytes_read", "bytes_written"}  # receipts hold times
OF_THE_RUN |= {"slowest"}
OF_THE_RUN |= {"featurize_bytes"}  # a run_id is part of these files, and compressed with them
"""Columns that may differ between two runs of the same objects."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return fill(tmp_path / "photos", PHOTOS | ODD)


@pytest.fixture
def make(make_run: MakeRun, photos: Path) -> Callable[..., Run]:
    """make(**fields): a planned run of the photos, a few in each shard; of equal ones the first counts."""

    def make(params: dict[str, Any] | None = None, **fields: Any) -> Run:
        fields = {"limits": {"max_rejected": 0.5}, "duplicates": "reject"} | fields
        return make_run(photos, {"shard_images": 3} | (params or {}), **fields)

    return make


COSTS = {field.name for field in columns.COST_COLUMNS}


def published(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The rows of all three tables, without what may differ between two runs."""
    found = {}
    for name in ("photos", "quarantine", "runs"):
        rows = read.table(settings, name).to_pylist()
        found[name] = [{k: v for k, v in row.items() if k not in OF_THE_RUN | COSTS} for row in rows]
        found[name].sort(key=lambda row: row.get("uri", ""))
    return found


def test_one_worker_and_two_publish_the_same_rows(make: Callable[..., Run], settings: Settings, tmp_path: Path) -> None:
    found = []
    for count in (1, 2):
        run = make(reuse=False)
        work = Disturbed(tmp_path / str(count))
        work.folder.mkdir()
        with local.open_workers(count, work) as workers:
            local.run_steps(run, workers)
        register.register(run.layout.run_file, settings)
        found.append(published(settings))
        assert 1 <= len(work.pids) <= count  # one process may have been quick enough to do all
        assert set(work.done.values()) == {1}
    assert found[0] == found[1]
    assert len(found[0]["photos"]) == GOOD
    assert Counter(row["reason"] for row in found[0]["quarantine"]) == {
        "DUPLICATE": 1, "EMPTY_OBJECT": 1, "UNSUPPORTED_FORMAT": 1,
    }  # fmt: skip
    (twin,) = (row for row in found[0]["quarantine"] if row["reason"] == "DUPLICATE")
    assert twin["uri"].endswith("/red/3.jpg")  # green/twin.jpg is the first by URI
    assert twin["detail"].endswith("/green/twin.jpg")


def test_a_second_run_computes_nothing_that_the_table_has(
    make: Callable[..., Run], settings: Settings, photos: Path
) -> None:
    first = make()
    local.run_steps(first, THIS_PROCESS)
    register.register(first.layout.run_file, settings)
    before = published(settings)["photos"]
    fill(photos, {"red/again.jpg": PHOTOS["red/1.jpg"]})
    second = make(duplicates="keep")
    local.run_steps(second, ThisProcess(StepRunner(Forbidden())))
    outcome = register.register(second.layout.run_file, settings)
    assert (outcome.summary["reused"], outcome.summary["computed"]) == (GOOD + 2, 0)  # the twins count as well
    of_before = {row["uri"]: row for row in before}
    assert [row for row in published(settings)["photos"] if row["uri"] in of_before] == before


@pytest.mark.parametrize(("count", "act", "error"), [(1, "fail", StoreError), (2, "die", WorkerDied)])
def test_what_an_interrupted_run_has_done_is_not_done_again(
    make: Callable[..., Run], settings: Settings, tmp_path: Path, count: int, act: str, error: type[Exception]
) -> None:
    run = make()
    before, after = (tmp_path / name for name in ("before", "after"))
    before.mkdir()
    after.mkdir()
    disturbed = Disturbed(before, {("resize", 2): act})
    with pytest.raises(error), local.open_workers(count, disturbed) as workers:
        local.run_steps(run, workers)
    kept = {(step, r.shard): r for step in steps.SPARK_STEPS for r in shards.read_receipts(run.layout, step)}
    assert {("resize", 0), ("resize", 2)} & set(kept) == {("resize", 0)} or count > 1
    assert ("resize", 2) not in kept
    resumed = Disturbed(after)
    assert local.unfinished_run(settings, "photos", PARTITION) == run.layout.run_file
    local.run_steps(run, ThisProcess(resumed))
    total = {(step, shard) for step in steps.SPARK_STEPS for shard in range(4)}
    assert set(resumed.done) == total - set(kept)
    assert set(resumed.done.values()) == {1}
    for (step, shard), receipt in kept.items():
        assert shards.read_receipt(run.layout.receipt(step, shard)) == receipt
    assert register.register(run.layout.run_file, settings).summary["registered"] == GOOD


def test_a_run_over_its_budget_stops_before_anything_is_decoded(make: Callable[..., Run]) -> None:
    run = make(limits={"max_rejected": 0.1})
    with pytest.raises(TooManyRejected, match=r"^3 of 11 objects rejected, limits.max_rejected allows 10.0%"):
        local.run_steps(run, THIS_PROCESS)
    assert len(shards.read_receipts(run.layout, "validate")) == 4
    assert storage.names(run.layout.step("resize")) == []


def test_a_run_is_told_step_by_step_and_shard_by_shard(make: Callable[..., Run]) -> None:
    told: list[Status] = []
    run = make()
    seconds: dict[str, float] = {}
    local.run_steps(run, THIS_PROCESS, progress=told.append, seconds=seconds)
    assert list(seconds) == list(steps.SPARK_STEPS)
    assert told[0].steps[0].total is None  # the listing is still to be made
    last = [status.steps[-1] for status in told[1:]]
    expected = {"ingest": 11, "validate": 10, "resize": 8, "featurize": 8}
    for step, images in expected.items():
        done = [found for found in last if found.step == step]
        assert [found.done for found in done] == sorted(found.done for found in done)
        assert len(done) == 4
        assert (done[-1].done, done[-1].total, done[-1].finished) == (images, images, True)
        assert done[-1].seconds_left == 0
        assert (done[0].images_per_second, done[0].seconds_left) == (0, None)  # a worker's start is in its first shard
        assert done[1].seconds_left == pytest.approx((images - done[1].done) / done[1].images_per_second)
    assert told[-1].registering
    assert not told[-2].registering


def test_a_callback_that_raises_ctrl_c_stops_the_workers_and_keeps_the_receipts(
    make: Callable[..., Run], tmp_path: Path
) -> None:
    run = make()

    def interrupt(status: Status) -> None:
        if status.steps[-1].step == "validate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), local.open_workers(2, Disturbed(tmp_path)) as workers:
        local.run_steps(run, workers, progress=interrupt)
    assert len(shards.read_receipts(run.layout, "ingest")) == 4
    assert 1 <= len(shards.read_receipts(run.layout, "validate")) <= 3


# From plan to publication, with the real model


@pytest.fixture
def real(settings: Settings, lake_with_model: str, tmp_path: Path) -> Dataset:
    """A dataset of two real photos, in a lake that has the model."""
    files = {f"{PARTITION}/{path.stem}/a.jpg": path.read_bytes() for path in real_photos()}
    folder = fill(tmp_path / "real", files)
    return Dataset.model_validate({"name": "photos", "source": f"file://{folder}/{{partition}}/", "reuse": False})


def features(settings: Settings) -> np.ndarray:
    return np.array(read.table(settings, "photos").sort_by("uri")["features"].to_pylist(), np.float32)


def test_a_partition_from_plan_to_publication(real: Dataset, settings: Settings) -> None:
    done = local.run_partition(real, RunParams(), settings, PARTITION, workers=2)
    assert (done.outcome.state, done.outcome.summary["registered"]) == (register.REGISTERED, 2)
    assert list(done.seconds) == ["plan", "model", *steps.STEPS]
    assert list(storage.list_objects(f"{settings.lake}/staging")) == []
    by_openvino = features(settings)
    reference = real.model_copy(update={"engine": "tensorflow"})
    assert local.run_partition(reference, RunParams(), settings, PARTITION).outcome.summary["registered"] == 2
    np.testing.assert_allclose(features(settings), by_openvino, atol=1e-3)
    assert not np.array_equal(features(settings), by_openvino)  # the other engine it was
    with pytest.raises(ParamsError, match=f"no unfinished run of photos {PARTITION}"):
        local.unfinished_run(settings, "photos", PARTITION)


@pytest.mark.parametrize("on_empty", ["fail", "skip"])
def test_a_partition_without_an_object(real: Dataset, settings: Settings, on_empty: str) -> None:
    dataset = real.model_copy(update={"on_empty": on_empty})
    if on_empty == "fail":
        with pytest.raises(NoInput, match=r"^NO_INPUT: there is no folder file://"):
            local.run_partition(dataset, RunParams(), settings, "2026-12-24")
    else:
        outcome = local.run_partition(dataset, RunParams(), settings, "2026-12-24").outcome
        assert (outcome.state, str(outcome)) == (register.EMPTY, "nothing to register: 0 objects passed over")
