"""What a manifest says of files, and what it does not say: then they may hold anything."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from imagefeatures import layout, schemas, sealed, storage
from imagefeatures.catalog import known_files, tables
from imagefeatures.settings import Settings
from support.growing import run_file
from support.publishing import delete_rows

DAYS = ("2026-11-02", "2026-11-03")


@pytest.fixture
def table(settings: Settings) -> Table:
    return tables.open_table(tables.open_catalog(settings), settings, "photos")


def publish(settings: Settings, table: Table, day: str) -> str:
    file = run_file(settings, "run", day)
    tables.replace_files(table, day, [file], "run")
    return file


def searched(settings: Settings, number: int = 0) -> list[str]:
    found = known_files.files_with(tables.open_catalog(settings), "photos", "f", number)
    return [uri for uri, _ in found]


def kept_at(settings: Settings) -> str:
    return layout.known_files_of(settings.lake, "photos")


def test_what_a_writer_did_not_say_is_not_known(table: Table) -> None:
    schema = table.schema()
    copy, fingerprint = (schema.find_field(name).field_id for name in ("copy", "fingerprint"))

    def said(**given: Any) -> tuple[Any, ...]:
        return known_files._said_of(schema, DataFile.from_args(record_count=3, **given))

    low = {fingerprint: b"a", copy: (1).to_bytes(4, "little")}
    high = {fingerprint: b"c", copy: (2).to_bytes(4, "little")}
    assert said() == (None, None, False, False)
    assert said(lower_bounds=low) == said(upper_bounds=high) == (None, None, False, False)
    both = {"lower_bounds": low, "upper_bounds": high}
    assert said(**both, null_value_counts={copy: 0}) == (("a", "c"), (1, 2), False, False)
    assert said(**both, null_value_counts={copy: 1}) == (("a", "c"), (1, 2), False, True)
    assert said(null_value_counts={copy: 3}) == (None, None, True, True)


def test_a_table_of_a_version_without_copies_says_nothing_of_them(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = pa.schema([field for field in schemas.FEATURES if field.name != "copy"])
    with monkeypatch.context() as patch:
        patch.setattr(schemas, "FEATURES", older)
        table = tables.open_table(tables.open_catalog(settings), settings, "photos")
        first, second = (publish(settings, table, day) for day in DAYS)
    assert "copy" not in table.schema().column_names
    assert known_files._said_of(table.schema(), DataFile.from_args(record_count=3)) == (None, None, False, False)
    assert searched(settings) == sorted([first, second])
    delete_rows(table, first, [1], DAYS[0])
    assert searched(settings) == [second]


def test_a_table_with_deleted_rows_is_searched_by_number_and_fingerprint_too(settings: Settings, table: Table) -> None:
    first, second = (publish(settings, table, day) for day in DAYS)
    delete_rows(table, first, [1], DAYS[0])
    assert searched(settings) == [second]
    assert searched(settings, 1) == []
    assert known_files.files_with(tables.open_catalog(settings), "photos", "g") == []


@pytest.mark.parametrize(
    "content",
    [{"other": {}}, {"alike": []}, {"alike": {"m": [["s3://b/", []]]}}, {"alike": {"m": 7}}],
    ids=["no list", "another kind", "other fields", "a number"],
)
def test_what_another_version_has_kept_is_not_believed(settings: Settings, table: Table, content: Any) -> None:
    file = publish(settings, table, DAYS[0])
    storage.write(kept_at(settings), sealed.encode(content))
    assert searched(settings) == [file]


def test_what_is_kept_is_written_only_where_the_manifests_have_changed(
    settings: Settings, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(settings, table, DAYS[0])
    early = table.metadata.current_snapshot_id
    assert early
    publish(settings, table, DAYS[1])
    assert len(searched(settings)) == 2
    with monkeypatch.context() as patch:
        patch.setattr(storage, "write", lambda *_: pytest.fail("nothing has changed"))
        assert len(searched(settings)) == 2
    table.manage_snapshots().set_current_snapshot(snapshot_id=early).commit()
    assert len(searched(settings)) == 1
    snapshot = table.refresh().current_snapshot()
    assert snapshot
    assert set(known_files._kept(kept_at(settings))) == {one.manifest_path for one in snapshot.manifests(table.io)}
