"""A clean-up beside other clean-ups and publications: it looks again, so many times, and counts what it deletes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pyiceberg.table import Table

from imagefeatures import storage
from imagefeatures.catalog import expired_files, retention, tables
from imagefeatures.settings import Settings
from support.growing import FIRST_GROUP, Publish, run_file, unnamed_files
from support.publishing import DAY


@pytest.fixture
def grown(photos: Table, publish: Publish) -> Table:
    """A table of which a clean-up has eight files to delete."""
    for number in range(FIRST_GROUP):
        publish(f"run-{number}")
    return photos


def test_files_that_another_clean_up_deletes_meanwhile_are_looked_for_anew_four_times(
    grown: Table, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = expired_files.only_named_by, []

    def vanished(lists: list[str], table: Table) -> tuple[set[str], set[str]]:
        looks.append(lists)
        if len(looks) % retention.TRIES or len(looks) > retention.TRIES:
            raise FileNotFoundError
        return look(lists, table)

    monkeypatch.setattr(expired_files, "only_named_by", vanished)
    assert retention.remove_expired(grown, few.lake) == 8
    assert (len(looks), unnamed_files(grown)) == (retention.TRIES, set())
    with pytest.raises(FileNotFoundError):
        retention.remove_expired(grown, few.lake)
    assert len(looks) == 2 * retention.TRIES


def test_a_clean_up_beside_publications_that_never_end_deletes_nothing_that_it_is_not_sure_of(
    grown: Table, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looks = expired_files.only_named_by, []

    def published_meanwhile(lists: list[str], table: Table) -> tuple[set[str], set[str]]:
        looks.append(lists)
        with tables.open_catalog(few).load_table("features.photos").transaction() as change:
            change.set_properties({"looks": str(len(looks))})
        return look(lists, table)

    before = unnamed_files(grown)
    monkeypatch.setattr(expired_files, "only_named_by", published_meanwhile)
    assert retention.remove_expired(grown, few.lake) == 0
    assert len(looks) == retention.TRIES
    assert unnamed_files(grown) == before


def test_one_look_is_enough_at_a_table_that_has_changed_and_versions_that_it_has_forgotten_go_too(
    grown: Table, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = tables.open_catalog(few).load_table("features.photos")
    with grown.transaction() as change:
        change.set_properties(
            {"write.metadata.previous-versions-max": "2", "write.metadata.delete-after-commit.enabled": "false"}
        )
    monkeypatch.setattr(retention, "VERSIONS_KEPT", 2)
    current = Path(grown.metadata_location.removeprefix("file://"))
    forgotten = sorted(current.parent.glob("*.metadata.json"))[:-3]
    anothers = current.with_name("00000-ab.metadata.json")
    anothers.write_bytes(b"{}")
    look, looks = expired_files.only_named_by, []
    monkeypatch.setattr(expired_files, "only_named_by", lambda *given: looks.append(given) or look(*given))
    assert retention.remove_expired(early, few.lake) == 8 + len(forgotten) > 8
    assert not any(version.exists() for version in forgotten)
    assert anothers.exists()
    assert len(looks) == 1


def test_where_nothing_has_expired_nothing_is_looked_for(
    photos: Table, publish: Publish, few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("first")
    monkeypatch.setattr(
        expired_files, "only_named_by", lambda *_: pytest.fail("a clean-up after each run would be dear")
    )
    assert retention.remove_expired(photos, few.lake) == 0


def test_a_file_that_another_clean_up_has_deleted_is_not_counted(photos: Table, few: Settings) -> None:
    folder = Path(photos.location().removeprefix("file://"))
    (folder / "there.avro").write_bytes(b"x")
    uris = [f"file://{folder}/{name}.avro" for name in ("gone", "there", "never")]
    assert retention.delete_files(uris, photos) == 1
    assert not (folder / "there.avro").exists()


def test_a_commits_manifests_that_no_list_names_were_merged_before_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit numbers its manifests. The highest number that is named tells how many there were."""
    named = {
        "s3://m/snap-1-0-old.avro": ["s3://m/old-m3.avro"],  # not among the newest four
        "s3://m/snap-2-0-a.avro": ["s3://m/a-m0.avro", "s3://m/old-m3.avro"],
        "s3://m/snap-3-0-b+c.avro": [
            "s3://m/b+c-m3.avro",
            "s3://m/b+c-m1.avro",
            "s3://m/a-m0.avro",
            "s3://n/b+c-m7.avro",
            "s3://m/bbc-m8.avro",
        ],
        "s3://m/of-another-writer.avro": ["s3://m/of-another-writer-m2.avro"],
        "s3://m/snap-5-0-d.avro": ["s3://m/a-m0.avro"],
    }
    numbers = [None, 1, 2, 3, 4]  # the oldest one is of format 1
    snapshots = [SimpleNamespace(sequence_number=at, manifest_list=uri) for at, uri in zip(numbers, named, strict=True)]
    table = SimpleNamespace(io=None, metadata=SimpleNamespace(snapshots=snapshots[::-1]))

    def manifests_of(_: object, uri: str) -> list[str]:
        if uri not in named:
            raise FileNotFoundError
        return named[uri]

    monkeypatch.setattr(expired_files, "manifests_of", manifests_of)
    assert retention._merged_at_once(cast("Table", table)) == {"s3://m/b+c-m0.avro", "s3://m/b+c-m2.avro"}
    # Others have published so often that the lists of two of them are deleted.
    del named["s3://m/snap-2-0-a.avro"], named["s3://m/snap-5-0-d.avro"]
    assert retention._merged_at_once(cast("Table", table)) == {"s3://m/b+c-m0.avro", "s3://m/b+c-m2.avro"}


def test_a_run_can_be_published_as_long_as_it_has_a_staging_folder(few: Settings) -> None:
    files = [run_file(few, "run-0"), run_file(few, "run-1"), f"{few.lake}/warehouse/features/photos/metadata/a.avro"]
    assert retention._may_be_published(files, few.lake) == set()
    storage.write(f"{few.lake}/staging/photos/{DAY}/run-0/run.json", b"{}")
    assert retention._may_be_published(files, few.lake) == {files[0]}


def test_each_run_is_asked_for_once_however_many_files_it_has_written(
    few: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(storage, "exists", lambda uri: asked.append(uri) or uri.endswith("/run-1/run.json"))
    folder = f"{few.lake}/warehouse/features/photos/data/partition_key={DAY}"
    files = {f"{folder}/run-{at % 3}-shard-{at:05d}-ab12cd34.parquet" for at in range(30)}
    assert retention._may_be_published(files, few.lake) == {file for file in files if "/run-1-" in file}
    assert sorted(asked) == [f"{few.lake}/staging/photos/{DAY}/run-{at}/run.json" for at in range(3)]
