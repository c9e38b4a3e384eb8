"""Rows that are taken back leave all tables of their dataset, or none; what stays is as it was."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import layout, publications, read, storage, unpublish
from imagefeatures.catalog import records, retention, tables
from imagefeatures.errors import OlderRun
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from imagefeatures.steps import register
from imagefeatures.unpublish import Withdrawal
from support.photos import fill, jpeg
from support.redriving import Partition, names_of, small_partition, without_run
from support.several import Lake

FIRST, SECOND = "2026-11-01", "2026-11-02"
TABLES = ("photos", "photos_pixels", "quarantine", "runs")
PUBLISHED = {"photos": 2, "photos_pixels": 2, "quarantine": 3, "runs": 1}
NOTHING = dict.fromkeys(TABLES, 0)

Held = dict[str, list[dict[str, Any]]]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.fixture
def days(tmp_path: Path, settings: Settings) -> list[Partition]:
    """Two published days, each of two photos, in tables of vectors and of pixels, and three objects that are none."""
    fields = {"pixels": "keep", "limits": {"max_rejected": 1}}
    return [small_partition(tmp_path / "photos", settings, day, **fields) for day in (FIRST, SECOND)]


def take_back(partition: Partition, **params: Any) -> Withdrawal | None:
    given = UnpublishParams.parse({"why": "a wrong camera", "dry_run": False, **params})
    return unpublish.withdraw("photos", partition.key, given, "ada", partition.settings)


def held(partition: Partition) -> Held:
    return {name: read.table(partition.settings, name, partitions=(partition.key,)).to_pylist() for name in TABLES}


def counts(partition: Partition) -> dict[str, int]:
    return {name: len(rows) for name, rows in held(partition).items()}


def told(settings: Settings) -> list[dict[str, Any]]:
    return read.table(settings, "withdrawals").to_pylist()


def notes(settings: Settings) -> list[str]:
    return [stored.uri for stored in storage.list_objects(layout.publications_folder(settings.lake))]


def test_a_partition_leaves_every_table_and_a_row_says_who_asked_when_and_why(days: list[Partition]) -> None:
    first, second = days
    settings, before, run_id = first.settings, held(first), second.run["run_id"]
    dry = take_back(second, dry_run=True)
    assert counts(second) == PUBLISHED
    assert str(dry) == (
        f"would be taken back: features.photos {SECOND}, run {run_id}: 2 registered and 3 quarantined rows; "
        "0 registered rows stay"
    )
    withdrawal = take_back(second)
    assert str(withdrawal) == str(dry).replace("would be taken", "taken")
    assert counts(second) == NOTHING
    assert held(first) == before
    (row,) = told(settings)
    assert withdrawal is not None
    assert row == withdrawal.row
    assert {name: row[name] for name in ("partition_key", "dataset", "replaced", "asked_by", "why", "uris")} == {
        "partition_key": SECOND, "dataset": "photos", "replaced": run_id, "asked_by": "ada", "why": "a wrong camera",
        "uris": None,
    }  # fmt: skip
    assert notes(settings) == []
    assert take_back(second) is None
    second.publish()
    assert counts(second) == PUBLISHED


def test_single_objects_leave_and_all_other_rows_stay_as_they_were(days: list[Partition]) -> None:
    first, second = days
    settings, before, pixels = first.settings, held(first), second.rows("photos_pixels")
    features, quarantine, run = second.features, second.quarantine, second.run
    uris = [uri for uri in (*features, *quarantine) if uri.endswith(("/a.jpg", "/cut.jpg"))]
    would = take_back(second, uris=[uri for uri in quarantine if uri.endswith("/cut.jpg")], dry_run=True)
    assert str(would).endswith(": 0 registered and 1 quarantined rows; 2 registered rows stay")
    withdrawal = take_back(second, uris=[*uris, "s3://elsewhere/a.jpg"])
    assert str(withdrawal).endswith(f"; 1 registered rows stay, as run {second.run['run_id']}")
    second.check()
    assert names_of(second.features) == {"b.jpg"}
    assert names_of(second.quarantine) == {"empty.jpg", "text.jpg"}
    for now, then in (
        (second.features, features), (second.quarantine, quarantine), (second.rows("photos_pixels"), pixels),
    ):  # fmt: skip
        assert without_run(now) == {uri: row for uri, row in without_run(then).items() if uri not in uris}
    changed = {name for name, value in second.run.items() if value != run[name]}
    assert changed == {"run_id", "listed", "registered", "reused", "quarantined", "reasons"}
    assert (run["reused"], second.run["reused"]) == (2, 1)  # they have the bytes of the day before
    assert held(first) == before
    (row,) = told(settings)
    assert (row["uris"], row["registered"], row["quarantined"]) == (3, 1, 1)
    assert withdrawal is not None
    assert withdrawal.stay == 1
    assert take_back(second, uris=uris) is None
    assert take_back(second, uris=[*second.features, *second.quarantine]) is not None
    assert counts(second) == NOTHING  # nothing is left of it


@pytest.mark.long
def test_pixels_that_the_dataset_no_longer_has_leave_too(days: list[Partition]) -> None:
    _, second = days
    pixels = second.rows("photos_pixels")
    plain = Partition(second.dataset.model_copy(update={"pixels": "none"}), second.settings, SECOND)
    plain.publish()
    (uri,) = [uri for uri in pixels if uri.endswith("/a.jpg")]
    take_back(plain, uris=[uri])
    plain.check()
    stale = plain.rows("photos_pixels")
    assert without_run(stale) == {other: row for other, row in without_run(pixels).items() if other != uri}
    take_back(plain)
    assert counts(plain) == NOTHING


def test_expired_snapshots_are_cleaned_up_in_all_tables_and_no_error_of_that_is_one_of_the_withdrawal(
    days: list[Partition], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = days
    cleaned: list[tuple[str, str, int]] = []

    def clean(table: Any, lake: str) -> int:
        cleaned.append((table.name()[-1], lake, len(read.runs(first.settings))))
        if len(cleaned) > len(changed):
            raise OSError("a message that may hold a password")
        return 0

    changed = ("quarantine", "photos", "photos_pixels", "withdrawals", "runs")
    monkeypatch.setattr(retention, "remove_expired", clean)
    assert take_back(first) is not None
    assert cleaned == [(name, first.settings.lake, 1) for name in changed]
    assert warnings(caplog) == []
    assert take_back(second) is not None
    assert counts(second) == NOTHING
    assert warnings(caplog) == [
        f"features.{name}: the files of expired snapshots stay until the next publication (OSError)" for name in changed
    ]


@pytest.mark.parametrize("table", ["photos", "photos_pixels"])
def test_a_partition_leaves_the_other_tables_where_one_was_dropped(days: list[Partition], table: str) -> None:
    first, second = days
    settings = first.settings
    with tables.open_catalog(settings) as catalog:
        catalog.drop_table(("features", table))
    assert take_back(second) is not None
    assert counts_of_others(second, table) == without(table, NOTHING)
    assert counts_of_others(first, table) == without(table, PUBLISHED)
    assert notes(settings) == []
    with tables.open_catalog(settings) as catalog:
        assert not catalog.table_exists(("features", table))


@pytest.mark.parametrize("table", ["photos", "photos_pixels"])
def test_one_that_is_interrupted_is_finished_where_a_table_is_dropped_then(
    days: list[Partition], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, table: str
) -> None:
    _, second = days
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        stop_at("photos", patched)
        take_back(second)
    with tables.open_catalog(second.settings) as catalog:
        catalog.drop_table(("features", table))
        publications.finish_interrupted(catalog, second.settings)
    assert counts_of_others(second, table) == without(table, NOTHING)
    assert notes(second.settings) == []
    assert warnings(caplog) == []


def counts_of_others(partition: Partition, dropped: str) -> dict[str, int]:
    """How many rows each table but this one has."""
    there = without(dropped, PUBLISHED)
    return {name: read.table(partition.settings, name, partitions=(partition.key,)).num_rows for name in there}


def without(table: str, numbers: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in numbers.items() if name != table}


@pytest.mark.long
def test_a_further_models_table_is_taken_back_too_and_another_datasets_of_such_a_name_is_not(
    tmp_path: Path, settings: Settings
) -> None:
    photos = fill(tmp_path / "photos", {f"{SECOND}/{name}.jpg": jpeg(at) for at, name in enumerate("ab")})
    models = ("mobilenet_v2", "resnet50")
    Lake(settings, photos).published(*models)
    Lake(settings, photos, "photos__other").published("mobilenet_v2")
    (uri,) = [row["uri"] for row in read.table(settings, "photos").to_pylist() if row["uri"].endswith("/a.jpg")]
    given = UnpublishParams(uris=(uri,), why="x", dry_run=False)
    assert unpublish.withdraw("photos", SECOND, given, "ada", settings) is not None
    names = ("photos", "photos__resnet50", "photos__other")
    assert [read.table(settings, name).num_rows for name in names] == [1, 1, 2]
    (row,) = read.runs(settings, "photos")
    assert [dict(row[name]).keys() for name in ("models", "models_reused")] == [{"resnet50"}, {"resnet50"}]
    assert Lake(settings, photos).run_ids("photos__resnet50") == {row["run_id"]}
    unpublish.withdraw("photos", SECOND, given.model_copy(update={"uris": None}), "ada", settings)
    assert [read.table(settings, name).num_rows for name in names] == [0, 0, 2]


@pytest.mark.long
@pytest.mark.parametrize("before", ["photos", "photos_pixels", "withdrawals", "runs"])
@pytest.mark.parametrize("single", [False, True])
def test_one_that_is_interrupted_is_finished_by_the_next_run_of_any_dataset(
    days: list[Partition], monkeypatch: pytest.MonkeyPatch, before: str, single: bool
) -> None:
    _, second = days
    uris = [uri for uri in second.features if uri.endswith("/a.jpg")] if single else None
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        stop_at(before, patched)
        take_back(second, uris=uris)
    assert len(notes(second.settings)) == 1
    assert len(read.runs(second.settings)) == 2  # readers can tell: the row of runs comes last
    publications.finish_interrupted(tables.open_catalog(second.settings), second.settings)
    assert notes(second.settings) == []
    assert len(told(second.settings)) == 1
    if single:
        second.check()
        assert names_of(second.features) == names_of(second.rows("photos_pixels")) == {"b.jpg"}
    else:
        assert counts(second) == NOTHING


def stop_at(name: str, patch: pytest.MonkeyPatch) -> None:
    """The process ends when it comes to this table."""

    def ends(real: Any) -> Any:
        def call(table: Any, *rest: Any) -> Any:
            if table.name()[-1] == name:
                raise KeyboardInterrupt
            return real(table, *rest)

        return call

    for module, function in ((tables, "replace_rows"), (tables, "replace_files"), (records, "keep")):
        patch.setattr(module, function, ends(getattr(module, function)))


@pytest.mark.long
def test_a_run_that_is_published_meanwhile_stays_whole_and_nothing_is_told(
    days: list[Partition], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = days
    run, real = second.whole_run(), tables.replace_rows
    done: list[Held] = []

    def meanwhile(table: Any, *rest: Any) -> bool:
        if table.name()[-1] == "quarantine" and not done:
            monkeypatch.setattr(tables, "replace_rows", real)
            register.register(run.layout.run_file, second.settings)
            done.append(held(second))
        return real(table, *rest)

    monkeypatch.setattr(tables, "replace_rows", meanwhile)
    with pytest.raises(OlderRun, match=rf"the run that is published now is {run.run_id}"):
        take_back(second)
    second.check()
    assert held(second) == done[0]
    assert counts(first) == PUBLISHED
    assert told(second.settings) == notes(second.settings) == []


@pytest.mark.long
def test_a_run_from_before_does_not_bring_the_rows_back_unless_it_is_told_to(days: list[Partition]) -> None:
    _, second = days
    run = second.whole_run()
    take_back(second)
    with pytest.raises(OlderRun, match=r"before rows of the partition were taken back at .*; start a new run, or publ"):
        register.register(run.layout.run_file, second.settings)
    assert counts(second) == NOTHING
    assert register.register(run.layout.run_file, second.settings, replace_newer=True).state == register.REGISTERED
    assert counts(second) == PUBLISHED
