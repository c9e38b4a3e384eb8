"""reuse: vectors that the table holds are not computed again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagefeatures import read, shards, storage
from imagefeatures.errors import AuditFailed, ParamsError
from imagefeatures.models import engines
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.plan import Run, load_run
from imagefeatures.settings import Settings
from imagefeatures.steps import featurize, register, resize, reuse
from support.photos import fill, jpeg
from support.reusing import PHOTOS, Done, Make, Spy, begun, finished, local, planner
from support.shared import MODEL, SPEC, MakeRun


@pytest.fixture
def make(make_run: MakeRun, tmp_path: Path) -> Make:
    return planner(make_run, tmp_path / "photos")


def published(run: Run, settings: Settings, spy: Spy | None = None) -> tuple[Done, register.Outcome]:
    done = finished(begun(run), spy)
    return done, register.register(run.layout.run_file, settings)


def names(done: Done) -> list[str]:
    return [Path(row["uri"]).name for row in done.rows]


# Whole runs


def test_a_second_run_over_the_same_images_decodes_and_computes_nothing(make: Make, settings: Settings) -> None:
    first, outcome = published(make(), settings)
    assert (outcome.summary["reused"], outcome.summary["computed"]) == (0, 8)
    spy = Spy(base=1)  # its vectors would differ
    second, outcome = published(make(), settings, spy)
    assert (spy.decoded, spy.calls) == (0, 0)
    assert second.vectors == first.vectors
    assert names(second) == names(first)
    assert (outcome.summary["registered"], outcome.summary["reused"], outcome.summary["computed"]) == (8, 8, 0)
    assert " 8 registered (8 reused, 0 computed) + 0 quarantined " in str(outcome)
    rows = read.table(settings, "photos")
    assert set(rows["run_id"].to_pylist()) == {second.run.run_id}
    (row,) = read.table(settings, "runs").to_pylist()
    assert (row["registered"], row["reused"], row["resize_images"], row["featurize_images"]) == (8, 8, 8, 8)


def test_new_and_changed_images_are_computed_and_the_others_stay(
    make: Make, tmp_path: Path, settings: Settings
) -> None:
    first, _ = published(make(), settings)
    fill(tmp_path / "photos", {"green/2.jpg": jpeg(20), "green/new.jpg": jpeg(21), "red/broken.jpg": jpeg()[:-50]})
    (tmp_path / "photos" / "green" / "4.jpg").rename(tmp_path / "photos" / "red" / "4.jpg")
    (tmp_path / "photos" / "red" / "5.jpg").unlink()
    second, outcome = published(make(limits={"max_rejected": 0.5}), settings, Spy(base=1))
    assert (second.reused, second.computed) == (6, 2)
    assert outcome.summary["reasons"] == {"TRUNCATED": 1}
    computed = {name for name, vector in second.vectors.items() if vector != first.vectors.get(name)}
    assert computed == {"2.jpg", "new.jpg"}
    assert [row["uri"] for row in second.rows] == sorted(row["uri"] for row in second.rows)
    assert names(second) == ["0.jpg", "2.jpg", "6.jpg", "new.jpg", "1.jpg", "3.jpg", "4.jpg", "7.jpg"]
    (moved,) = [row for row in second.rows if row["uri"].endswith("/4.jpg")]
    assert (moved["label"], moved["width"], moved["height"], moved["mode"]) == ("red", 64, 44, "RGB")
    assert moved["run_id"] == second.run.run_id


def test_another_partition_of_the_dataset_is_reused_and_another_dataset_is_not(make: Make, settings: Settings) -> None:
    published(make(), settings)
    other_day, _ = published(make(partition="2026-11-03"), settings)
    assert (other_day.reused, {row["partition_key"] for row in other_day.rows}) == (8, {"2026-11-03"})
    assert reuse.known_files(make(name="other")) == []


@pytest.mark.parametrize("how", ["dataset", "run"])
def test_without_reuse_everything_is_computed(make: Make, settings: Settings, how: str) -> None:
    published(make(), settings)
    run = make(reuse=False) if how == "dataset" else make({"reuse": False})
    assert reuse.known_files(run) == []
    second, outcome = published(run, settings)
    assert (second.reused, second.computed) == (0, 8)
    assert outcome.summary["reused"] == 0


def test_vectors_of_another_fingerprint_are_never_taken(
    make: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(BACKBONES, MODEL, SPEC.model_copy(update={"cut": "somewhere else"}))
        first, _ = published(make(), settings, Spy(base=1))
    run = make()
    assert first.run.fingerprint != run.fingerprint
    assert reuse.known_files(run) == []
    second, _ = published(run, settings)
    assert (second.reused, second.computed) == (0, 8)
    assert {row["fingerprint"] for row in second.rows} == {run.fingerprint}


def test_a_run_planned_with_another_fingerprint_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make()
    monkeypatch.setitem(BACKBONES, MODEL, SPEC.model_copy(update={"cut": "somewhere else"}))
    with pytest.raises(ParamsError, match="is of another fingerprint than this version computes; start a new run"):
        load_run(run.layout.run_file)


def test_a_run_whose_plan_wrote_no_files_down_computes_everything(make: Make, settings: Settings) -> None:
    published(make(), settings)
    run = make()
    local(run.layout.known_files).unlink()
    assert reuse.known_files(run) == []
    second, _ = published(run, settings)
    assert (second.reused, second.computed) == (0, 8)


def test_a_search_is_done_once_its_matches_are_written_down(make: Make, settings: Settings) -> None:
    published(make(), settings)
    run = make()
    assert not reuse.search(run).has_ended()
    begun(run)
    assert reuse.search(run).has_ended()


# Rules that hold for known images too


def test_limits_that_became_stricter_reject_a_known_image(make: Make) -> None:
    first = finished(begun(make()))
    second = finished(begun(make(limits={"max_pixels": 64 * 44, "max_rejected": 1}), first.files))
    assert (second.reused, second.computed) == (5, 0)
    reasons = [receipt.reasons for receipt in shards.read_receipts(second.run.layout, "validate") if receipt.reasons]
    assert sum(found.get("TOO_MANY_PIXELS", 0) for found in reasons) == 3


def test_images_with_the_same_bytes_share_one_known_vector(make: Make, tmp_path: Path) -> None:
    fill(tmp_path / "photos", {"red/twin.jpg": PHOTOS["green/0.jpg"], "green/0twin.jpg": PHOTOS["green/0.jpg"]})
    first = finished(begun(make()))
    assert (first.reused, first.computed) == (0, 8)
    second = finished(begun(make(), first.files))
    assert (second.reused, second.computed) == (10, 0)
    assert second.vectors == first.vectors


def test_an_image_found_in_two_files_is_taken_from_the_first(make: Make) -> None:
    first, other = finished(begun(make())), finished(begun(make()), Spy(base=1))
    assert finished(begun(make(), first.files + other.files)).vectors == first.vectors
    assert finished(begun(make(), other.files + first.files)).vectors == other.vectors


def test_a_retry_makes_the_same_files_of_the_one_shard(make: Make, tmp_path: Path) -> None:
    first = finished(begun(make()))
    fill(tmp_path / "photos", {"green/1new.jpg": jpeg(21)})
    run = begun(make(), first.files)
    before = [name for name in storage.names(run.layout.step("resize")) if name.startswith("known")]
    done = finished(run)
    assert (done.reused, done.computed) == (8, 1)
    receipts = {step: shards.read_receipts(run.layout, step)[0] for step in ("resize", "featurize")}
    for step in receipts:
        local(run.layout.receipt(step, 0)).unlink()
    begun(run)
    again = {"resize": resize.run_shard(run, 0), "featurize": featurize.run_shard(run, 0, Spy())}
    assert [name for name in storage.names(run.layout.step("resize")) if name.startswith("known")] == before
    assert again["featurize"].output.sha256 == receipts["featurize"].output.sha256
    for found in (again["resize"], receipts["resize"]):
        assert (found.output.rows, found.reused.rows, found.passed, found.rows_in) == (1, 2, 3, 3)
    assert again["resize"].output.sha256 == receipts["resize"].output.sha256
    assert again["resize"].reused.sha256 == receipts["resize"].reused.sha256
    assert again["resize"].reused.uri != receipts["resize"].reused.uri


def test_a_reused_image_that_is_lost_on_the_way_refuses_the_run(make: Make, settings: Settings) -> None:
    published(make(), settings)
    done = finished(begun(make()))
    receipt = local(done.run.layout.receipt("resize", 0))
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"reused": None}))
    with pytest.raises(AuditFailed, match="resize shard 0: 3 rows in, 0 out, the rest not rejected"):
        register.register(done.run.layout.run_file, settings)


def test_a_lazy_engine_is_loaded_at_the_first_pixels_and_not_before(
    make: Make,
) -> None:
    first = finished(begun(make()))
    loaded = []
    engine = engines.LazyEngine(lambda: loaded.append("engine") or Spy())
    run = begun(make(), first.files)
    for shard in range(3):
        resize.run_shard(run, shard)
        featurize.run_shard(run, shard, engine)
    assert loaded == []
    run = begun(make(), [])
    resize.run_shard(run, 0)
    featurize.run_shard(run, 0, engine)
    assert loaded == ["engine"]
