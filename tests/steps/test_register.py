"""register publishes only numbers that add up, and the rows of one run, once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imagefeatures import layout, manifest, read, run_audit, schemas, shards, storage
from imagefeatures.catalog import tables
from imagefeatures.errors import AuditFailed, ParamsError, TooManyRejected
from imagefeatures.outputs import Output
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import featurize, ingest, register, resize, validate
from support.shared import ColourEngine


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for label in ("red", "green"):
        (folder / label).mkdir(parents=True)
        for at in range(5):
            Image.new("RGB", (30, 20), (at, 80, 120)).save(folder / label / f"{at}.png")
    (folder / "red" / "empty.png").write_bytes(b"")
    (folder / "red" / "text.png").write_text("no picture")
    return folder


@pytest.fixture
def finished(make_run: Callable[..., Run], photos: Path) -> Callable[..., Run]:
    """finished(**fields): a run over the photos with every step done, ready to register."""

    def make(**fields: object) -> Run:
        run = make_run(photos, params={"shard_images": 4}, **{"limits": {"max_rejected": 0.5}, **fields})
        for shard in range(manifest.list_source(run, workers=1).shards):
            ingest.run_shard(run, shard)
            validate.run_shard(run, shard)
            resize.run_shard(run, shard)
            featurize.run_shard(run, shard, ColourEngine())
        return run

    return make


def test_a_whole_run_is_published_and_its_staging_removed(finished, settings: Settings) -> None:
    run = finished()
    outcome = register.register(run.layout.run_file, settings)
    assert outcome.state == register.REGISTERED
    assert outcome.summary["listed"] == 12
    assert outcome.summary["registered"] == 10
    assert outcome.summary["reasons"] == {"EMPTY_OBJECT": 1, "UNSUPPORTED_FORMAT": 1}
    rows = read.table(settings, "photos")
    assert rows.num_rows == 10
    assert sorted(set(rows["label"].to_pylist())) == ["green", "red"]
    quarantine = read.table(settings, "quarantine").to_pylist()
    assert {(Path(r["uri"]).name, r["step"], r["reason"]) for r in quarantine} == {
        ("empty.png", "ingest", "EMPTY_OBJECT"),
        ("text.png", "validate", "UNSUPPORTED_FORMAT"),
    }
    assert dict(read.runs(settings)[0]["versions"]) == run.versions  # of the libraries that made the numbers
    assert list(storage.list_objects(run.layout.run)) == []
    assert json.dumps(outcome.summary)  # Airflow stores it as JSON


def test_rejected_rows_of_many_shards_are_joined_and_none_is_lost(
    finished, photos: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_audit, "JOINED_TABLES", 2)
    for at in range(28):
        (photos / "red" / f"bad{at:02d}.png").write_bytes(b"")
    run = finished(limits={"max_rejected": 1})
    assert 2 <= len(run_audit.audit_run(run).rejected) <= 6  # of ten shards
    outcome = register.register(run.layout.run_file, settings)
    assert outcome.summary["reasons"] == {"EMPTY_OBJECT": 29, "UNSUPPORTED_FORMAT": 1}
    assert len({row["uri"] for row in read.table(settings, "quarantine").to_pylist()}) == 30


def test_whatever_lies_in_the_folder_is_registered_or_quarantined_once(
    finished, photos: Path, settings: Settings
) -> None:
    os.mkfifo(photos / "fifo.png")
    for name, target in {"self": "self", "out": "..", "again": "red", "none.png": "nowhere"}.items():
        (photos / name).symlink_to(target)
    deep = photos / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    shutil.copy(photos / "red" / "0.png", deep)
    outcome = register.register(finished().layout.run_file, settings)
    assert (outcome.summary["listed"], outcome.summary["registered"], outcome.summary["quarantined"]) == (18, 11, 7)
    assert outcome.summary["reasons"] == {
        "EMPTY_OBJECT": 1,
        "LINK_BROKEN": 2,
        "LINK_OUTSIDE": 1,
        "LINK_TO_FOLDER": 1,
        "NOT_A_FILE": 1,
        "UNSUPPORTED_FORMAT": 1,
    }
    uris = [row["uri"] for name in ("photos", "quarantine") for row in read.table(settings, name).to_pylist()]
    assert len(set(uris)) == len(uris) == 18


def test_abandoned_uploads_are_looked_for_after_publication(
    finished, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[tuple[str, int]] = []

    def look(folder: str) -> int:
        looked.append((folder, read.table(settings, "runs").num_rows))
        return 0

    monkeypatch.setattr(storage, "abort_old_uploads", look)
    run = finished()
    register.register(run.layout.run_file, settings)
    features = f"{settings.lake}/warehouse/features"
    folders = [f"{features}/{name}/metadata" for name in ("quarantine", "photos", "runs")]
    folders += [f"{features}/photos/data/partition_key={run.partition}", f"{settings.lake}/staging"]
    assert looked == [(folder, 1) for folder in folders], "not the folders of other partitions, of which there are many"


def test_registering_again_changes_nothing(finished, settings: Settings) -> None:
    run = finished()
    register.register(run.layout.run_file, settings)
    snapshots = _snapshots(settings)
    again = register.register(run.layout.run_file, settings)
    assert again.state == register.ALREADY
    assert again.summary["registered"] == 10
    assert _snapshots(settings) == snapshots


@pytest.mark.parametrize("done", ["quarantine", "photos"])
def test_a_register_that_died_between_two_commits_is_finished_by_its_retry(
    finished, settings: Settings, monkeypatch: pytest.MonkeyPatch, done: str
) -> None:
    run = finished()
    swap = {"quarantine": "replace_files", "photos": "replace_rows"}[done]
    real, calls = getattr(tables, swap), []

    def die(*args: object) -> bool:
        calls.append(args[0].name()[-1])
        if calls[-1] != "quarantine":
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tables, swap, die)
        register.register(run.layout.run_file, settings)
    assert register.register(run.layout.run_file, settings).state == register.REGISTERED
    assert [read.table(settings, name).num_rows for name in ("photos", "quarantine", "runs")] == [10, 2, 1]


def test_the_later_run_of_a_partition_replaces_the_earlier(finished, photos: Path, settings: Settings) -> None:
    register.register(finished().layout.run_file, settings)
    (photos / "red" / "0.png").unlink()
    (photos / "red" / "text.png").unlink()
    later = finished()
    register.register(later.layout.run_file, settings)
    for name, count in (("photos", 9), ("quarantine", 1), ("runs", 1)):
        rows = read.table(settings, name)
        assert (rows.num_rows, set(rows["run_id"].to_pylist())) == (count, {later.run_id}), name


def test_two_runs_that_interleave_their_commits_end_with_three_tables_of_the_later_one(
    finished, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = finished(), finished()
    swap_files, meanwhile = tables.replace_files, iter([first])

    def swap_then_let_the_other_run_in(*args: object) -> bool:
        for other in meanwhile:  # once, between the second run's quarantine and its features
            register.register(other.layout.run_file, settings)
        return swap_files(*args)

    monkeypatch.setattr(tables, "replace_files", swap_then_let_the_other_run_in)
    assert register.register(second.layout.run_file, settings).state == register.REGISTERED
    for name, count in (("photos", 10), ("quarantine", 2), ("runs", 1)):
        rows = read.table(settings, name)
        assert (rows.num_rows, set(rows["run_id"].to_pylist())) == (count, {second.run_id}), name


def test_another_partition_and_another_dataset_are_left_alone(finished, settings: Settings) -> None:
    register.register(finished().layout.run_file, settings)
    register.register(finished(partition="2026-11-03").layout.run_file, settings)
    register.register(finished(name="other").layout.run_file, settings)
    register.register(finished().layout.run_file, settings)
    counts = {name: read.table(settings, name).num_rows for name in ("photos", "other", "quarantine", "runs")}
    assert counts == {"photos": 20, "other": 10, "quarantine": 6, "runs": 3}


def test_a_run_over_its_budget_publishes_nothing(finished, settings: Settings) -> None:
    run = finished(limits={"max_rejected": 0.1})
    with pytest.raises(
        TooManyRejected, match=r"2 of 12 objects rejected, .* allows 10.0%: .*EMPTY_OBJECT 1.*empty.png"
    ):
        register.register(run.layout.run_file, settings)
    assert read.table(settings, "runs").num_rows == 0


def test_a_missing_receipt_refuses_the_run(finished, settings: Settings) -> None:
    run = finished()
    _path(run.layout.receipt("featurize", 1)).unlink()
    with pytest.raises(AuditFailed, match="featurize: no receipt for 1 of"):
        register.register(run.layout.run_file, settings)
    assert read.table(settings, "runs").num_rows == 0


def test_a_flipped_bit_in_a_features_file_refuses_the_run(finished, settings: Settings) -> None:
    run = finished()
    victim = _path(shards.read_receipt(run.layout.receipt("featurize", 0)).output.uri)
    damaged = bytearray(victim.read_bytes())
    damaged[len(damaged) // 3] ^= 4
    victim.write_bytes(damaged)
    with pytest.raises(AuditFailed, match="digest differs"):
        register.register(run.layout.run_file, settings)


def test_an_image_lost_on_the_way_refuses_the_run(finished, settings: Settings) -> None:
    run = finished()
    receipt = _path(run.layout.receipt("resize", 0))
    content = json.loads(receipt.read_text())
    content["rows_in"] += 1
    receipt.write_text(json.dumps(content))
    with pytest.raises(AuditFailed, match="resize shard 0: 5 rows came in, 4 were handed on"):
        register.register(run.layout.run_file, settings)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("partition_key", "2026-01-01", "partition_key holds"),
        ("fingerprint", "0" * 32, "fingerprint holds"),
        ("features", [0.0] * 7, "MODEL_MISMATCH: not every vector has 1280 values"),
        ("features", [float("nan")] * 1280, "not finite"),
        ("uri", "file:///elsewhere.png", "not in exactly one table"),
    ],
)
def test_rows_of_another_run_refuse_the_run(
    finished, settings: Settings, monkeypatch: pytest.MonkeyPatch, column: str, value: object, words: str
) -> None:
    right = featurize.feature_table

    def wrong(run: Run, images: object, vectors: np.ndarray, output: Output) -> object:
        rows = right(run, images, vectors, output).to_pylist()
        rows[0][column] = value
        return schemas.pa.Table.from_pylist(rows, schema=schemas.FEATURES)

    monkeypatch.setattr(featurize, "feature_table", wrong)
    run = finished()
    with pytest.raises(AuditFailed, match=words):
        register.register(run.layout.run_file, settings)
    assert read.table(settings, "runs").num_rows == 0


def test_a_run_that_listed_nothing_leaves_the_partition_as_it_is(finished, make_run, tmp_path, settings) -> None:
    register.register(finished().layout.run_file, settings)
    (tmp_path / "nothing").mkdir()
    empty = make_run(tmp_path / "nothing", on_empty="skip")
    assert manifest.list_source(empty, workers=2).shards == 0
    assert register.register(empty.layout.run_file, settings).state == register.EMPTY
    assert read.table(settings, "photos").num_rows == 10


def test_a_missing_run_json_is_refused(settings: Settings) -> None:
    place = layout.Layout(settings.lake, "photos", "2026-11-02", "never")
    with pytest.raises(ParamsError, match="there is no"):
        register.register(place.run_file, settings)
    with pytest.raises(ParamsError, match=r"is not the run\.json of a run"):
        register.register("file:///elsewhere/run.json", settings)


def _path(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def _snapshots(settings: Settings) -> dict[str, list[int]]:
    found = tables.open_catalog(settings)
    return {
        name: [snapshot.snapshot_id for snapshot in tables.open_table(found, settings, name).snapshots()]
        for name in ("photos", "quarantine", "runs")
    }
