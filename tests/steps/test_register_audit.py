"""register refuses numbers that disagree in any one place, publishes no empty file, and leaves no staging behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imagefeatures import local, manifest, read, schemas, sealed, storage, summaries
from imagefeatures.catalog import tables
from imagefeatures.errors import AuditFailed
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import featurize, register
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

Finished = Callable[..., Run]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two shards of two photos, and a shard of two objects that are none."""
    good = {f"{at}.jpg": jpeg(at) for at in range(4)}
    return fill(tmp_path / "photos", good | {"5.jpg": b"", "6.jpg": b"text"})


@pytest.fixture
def finished(make_run: MakeRun, photos: Path) -> Finished:
    """finished(): a run over the photos, ready to register."""

    def make() -> Run:
        run = make_run(photos, {"shard_images": 2, "reuse": False}, limits={"max_rejected": 1})
        local.run_steps(run, THIS_PROCESS)
        return run

    return make


def listing_says(run: Run, **facts: int) -> None:
    """Write the summary of the listing anew, with its digest, so that it says something else of the same files."""
    content = sealed.decode(uri := run.layout.listing_summary, storage.read(run.layout.listing_summary))
    storage.write(uri, sealed.encode({**content, "facts": content["facts"] | facts}))


@pytest.mark.parametrize("objects", [5, 7])
def test_a_manifest_of_other_objects_than_were_listed_refuses_the_run(
    finished: Finished, settings: Settings, objects: int
) -> None:
    run = finished()
    listing_says(run, objects=objects)
    with pytest.raises(AuditFailed, match=f"^the manifest holds 6 objects, {objects} were listed$"):
        register.register(run.layout.run_file, settings)
    assert read.runs(settings) == []


def test_a_shard_that_the_listing_does_not_count_refuses_the_run(finished: Finished, settings: Settings) -> None:
    run = finished()
    listing_says(run, shards=2)
    with pytest.raises(AuditFailed, match=r"^the manifest holds 4 objects, 6 were listed$"):
        register.register(run.layout.run_file, settings)


def test_a_uri_that_one_shard_holds_twice_refuses_the_run(make_run: MakeRun, photos: Path, settings: Settings) -> None:
    """A listing that was forged with all its digests, and whose every number agrees."""
    run = make_run(photos, {"shard_images": 2, "reuse": False}, limits={"max_rejected": 1})
    listing = manifest.list_source(run, workers=1)
    once = manifest.read_manifest(run, 0, listing).slice(0, 1)
    twice = schemas.pa.concat_tables([once, once])
    facts = {"objects": 2, "bytes": 2 * once["size"][0].as_py(), "shards": 1}
    storage.delete_folder(run.layout.step("ingest"))
    forged = summaries.write_shard_file(run.layout.listing, 0, twice)
    summaries.write_summary(run.layout.listing_summary, summaries.Summary(facts, {0: forged}))
    local.run_steps(run, THIS_PROCESS)
    with pytest.raises(AuditFailed, match=f"^{once['uri'][0].as_py()} is in the manifest more than once$"):
        register.register(run.layout.run_file, settings)
    assert read.runs(settings) == []


@pytest.mark.parametrize("column", ["partition_key", "fingerprint", "run_id"])
@pytest.mark.parametrize("of", ["the first row", "all rows"])
def test_rows_that_name_another_run_refuse_the_run(
    finished: Finished, settings: Settings, monkeypatch: pytest.MonkeyPatch, column: str, of: str
) -> None:
    right = featurize.feature_table

    def wrong(*given: object) -> object:
        rows = right(*given).to_pylist()
        for row in rows[: 1 if of == "the first row" else None]:
            row[column] = "another"
        return schemas.pa.Table.from_pylist(rows, schema=schemas.FEATURES)

    monkeypatch.setattr(featurize, "feature_table", wrong)
    run = finished()
    with pytest.raises(AuditFailed, match=rf"{column} holds \[.*'another'.*\], this run's is "):
        register.register(run.layout.run_file, settings)
    assert read.runs(settings) == []


def test_a_shard_without_features_adds_no_file_to_the_table(finished: Finished, settings: Settings) -> None:
    register.register(finished().layout.run_file, settings)
    table = tables.open_table(tables.open_catalog(settings), settings, "photos")
    assert [task.file.record_count for task in table.scan().plan_files()] == [2, 2]


def test_a_register_that_died_before_its_staging_was_removed_removes_it_when_it_is_tried_again(
    finished: Finished, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished()
    real = storage.delete_folder

    def die(uri: str) -> None:
        if uri == run.layout.run:
            raise KeyboardInterrupt
        real(uri)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(storage, "delete_folder", die)
        register.register(run.layout.run_file, settings)
    assert list(storage.list_objects(run.layout.run)) != []
    assert register.register(run.layout.run_file, settings).state == register.ALREADY
    assert list(storage.list_objects(run.layout.run)) == []


def test_a_run_that_listed_nothing_leaves_no_staging(make_run: MakeRun, tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "nothing").mkdir()
    run = make_run(tmp_path / "nothing", on_empty="skip")
    manifest.list_source(run, workers=1)
    assert list(storage.list_objects(run.layout.run)) != []
    assert register.register(run.layout.run_file, settings).state == register.EMPTY
    assert list(storage.list_objects(run.layout.run)) == []
