"""Statistics say nothing of what was forgotten or taken back: neither now nor in what is kept of their past."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from imagefeatures import names, read, schemas, unpublish
from imagefeatures.catalog import statistics, tables
from imagefeatures.errors import CatalogRefused, StoreError
from imagefeatures.forget import pending, work
from imagefeatures.quality import record
from imagefeatures.quality.declared import Alerts
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from support.forgetting import request
from support.measured import WIDTH, clouds, measured, publish

FIRST, SECOND = "2026-11-01", "2026-11-02"
PERSON = hashlib.sha256(b"a person").hexdigest()


def ids(day: str, count: int) -> list[str]:
    return [PERSON, *(hashlib.sha256(f"{day} {row}".encode()).hexdigest() for row in range(1, count))]


def with_person(settings: Settings, day: str, seed: int, count: int = 70) -> np.ndarray:
    """Publish a partition whose first picture is of the person, and measure it. Returns the vectors."""
    vectors = clouds(seed, count)
    labels = ["ada lovelace", *["other"] * (count - 1)]
    measured(settings, day, publish(settings, day, vectors, ids=ids(day, count), labels=labels))
    return vectors


def all_files(settings: Settings) -> list[dict[str, Any]]:
    """The rows of every data file that is in the table's folder, whether or not a snapshot names it."""
    folder = Path(settings.lake.removeprefix("file://")) / "warehouse" / "features" / "statistics" / "data"
    return [row for file in folder.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]


def mean_of(vectors: np.ndarray) -> np.ndarray:
    mean: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
    return mean


def check_forgotten(settings: Settings, vectors: np.ndarray) -> None:
    rows = {row["partition_key"]: row for row in read.table(settings, "statistics").to_pylist()}
    assert rows[FIRST]["pictures"] == len(vectors) - 1
    assert rows[FIRST]["labels"] == [("other", len(vectors) - 1)]
    np.testing.assert_allclose(rows[FIRST]["mean"], mean_of(vectors[1:]), atol=1e-6)
    stored = all_files(settings)
    assert len(stored) == len(rows)  # no file of the past, beside which the new mean would tell the vector
    assert "ada lovelace" not in {label for row in stored for label, _ in row["labels"]}
    check_manifests(settings)


def check_manifests(settings: Settings) -> None:
    """No manifest that is left speaks of another file: it would repeat the bounds of its columns, labels among them."""
    folder = Path(settings.lake.removeprefix("file://")) / "warehouse" / "features" / "statistics"
    with tables.open_catalog(settings) as catalog:
        table = catalog.load_table(("features", "statistics"))
        lists = {snapshot.manifest_list for snapshot in table.snapshots()}
        manifests = {one.manifest_path: one for snapshot in table.snapshots() for one in snapshot.manifests(table.io)}
        entries = [each for one in manifests.values() for each in one.fetch_manifest_entry(table.io, False)]
    assert {f"file://{file}" for file in (folder / "metadata").glob("*.avro")} == lists | manifests.keys()
    there = {f"file://{file}" for file in (folder / "data").rglob("*.parquet")}
    assert {entry.data_file.file_path for entry in entries} == there


@pytest.mark.long
def test_forgetting_a_picture_leaves_statistics_without_it_and_none_of_the_past(settings: Settings) -> None:
    with_person(settings, FIRST, 3)  # is published again below
    vectors = with_person(settings, FIRST, 0)
    publish_other = clouds(1, 60)
    other = measured(settings, SECOND, publish(settings, SECOND, publish_other))
    assert len(all_files(settings)) == 3
    work.forget(request([PERSON]), "ada", settings)
    check_forgotten(settings, vectors)
    (kept,) = [row for row in read.table(settings, "statistics").to_pylist() if row["partition_key"] == SECOND]
    assert kept["computed_at"] == other["computed_at"]


@pytest.mark.long
@pytest.mark.parametrize("at", ["renew", "forget_past"])
def test_a_request_that_ends_before_the_statistics_is_gone_on_with(
    at: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = with_person(settings, FIRST, 0)

    def fails(*_: Any) -> None:
        raise StoreError("the store is away")

    with monkeypatch.context() as patch:
        patch.setattr(record if at == "renew" else statistics, at, fails)
        with pytest.raises(StoreError):
            work.forget(request([PERSON]), "ada", settings)
    work.forget(request(["0" * 64]), "ada", settings)  # any request goes on with what was left
    check_forgotten(settings, vectors)


def test_a_partition_of_few_pictures_loses_its_mean(settings: Settings) -> None:
    with_person(settings, FIRST, 0, 50)
    work.forget(request([PERSON]), "ada", settings)
    ((row),) = all_files(settings)
    assert (row["pictures"], row["mean"], row["covariance"]) == (49, None, None)


def test_statistics_of_a_run_that_is_replaced_go_with_any_image(settings: Settings) -> None:
    """Nobody has measured the run that stands, and those of the one before may be computed with any image."""
    vectors = with_person(settings, FIRST, 0, 60)
    run_id = publish(settings, FIRST, vectors[1:], ids=ids(FIRST, 60)[1:])
    measured(settings, SECOND, publish(settings, SECOND, clouds(1, 20)))
    work.forget(request([PERSON]), "ada", settings)
    (row,) = all_files(settings)
    assert row["partition_key"] == SECOND
    check_manifests(settings)
    # The run that stands is measured and judged as any other.
    alerts = measured(settings, FIRST, run_id, Alerts(images_per_second=100))["alerts"]
    assert [alert for alert, _ in alerts] == ["images_per_second"]


def test_a_damaged_file_keeps_no_request_from_its_end(settings: Settings) -> None:
    with_person(settings, FIRST, 0, 60)
    measured(settings, SECOND, publish(settings, SECOND, clouds(1, 20)))
    with tables.open_catalog(settings) as catalog:
        table = catalog.load_table(("features", "photos"))
        (file,) = [one for one in read.files(settings, "photos") if FIRST in one]
        damaged = Path(file.removeprefix("file://")).with_name("damaged.parquet")
        damaged.write_bytes(Path(file.removeprefix("file://")).read_bytes())
        tables.replace_files(table, FIRST, [file, f"file://{damaged}"], read.runs(settings, "photos")[0]["run_id"])
    damaged.write_bytes(damaged.read_bytes()[:-8] + bytes(8))
    (report,) = work.forget(request([PERSON]), "ada", settings)
    assert report.unreadable == {f"file://{damaged}"}
    assert [row["partition_key"] for row in all_files(settings)] == [SECOND]
    assert list(pending.all_of(settings.lake)) == []


@pytest.mark.long
def test_checksums_that_spark_leaves_are_not_searched_and_go_with_their_files(settings: Settings) -> None:
    with_person(settings, FIRST, 0)
    measured(settings, SECOND, publish(settings, SECOND, clouds(1, 20)))
    folder = Path(settings.lake.removeprefix("file://")) / "warehouse" / "features"
    before = {*folder.glob("*/data/**/*.parquet")}
    for file in before:
        file.with_name(f".{file.name}.crc").write_bytes(b"crc\0\0\0\2\0" + bytes(4))
    (report,) = work.forget(request([PERSON]), "ada", settings)
    assert report.unreadable == set()
    left = {file.with_name(file.name[1:].removesuffix(".crc")) for file in folder.rglob(".*.crc")}
    assert left == {file for file in before if file.exists()}
    assert {file.relative_to(folder).parts[0] for file in before - left} == {"photos", "statistics"}


@pytest.mark.long
def test_a_dataset_that_an_earlier_version_called_statistics_is_searched_and_not_written_to(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # as that version had it
        patch.setattr(names, "SHARED", (names.QUARANTINE, names.RUNS))
        patch.delitem(schemas.TABLES, "statistics")
        publish(settings, FIRST, clouds(0, 5), name="statistics", ids=ids(FIRST, 5))
    run_id = publish(settings, FIRST, clouds(0, 20))
    with pytest.raises(
        CatalogRefused, match=r"^features\.statistics: is of a dataset .* run that dataset under another"
    ):
        record.record("photos", FIRST, run_id, None, settings)
    with pytest.raises(CatalogRefused, match=r"^features\.statistics: is of a dataset "):
        read.table(settings, "statistics")
    params = UnpublishParams.parse({"why": "a wrong camera", "dry_run": False})
    assert unpublish.withdraw("photos", FIRST, params, "ada", settings)
    (report,) = work.forget(request([PERSON]), "ada", settings)
    assert report.rows == 1
    assert {row["image_id"] for row in all_files(settings)} == set(ids(FIRST, 5)[1:])
    with tables.open_catalog(settings) as catalog:
        assert "computed_at" not in catalog.load_table(("features", "statistics")).schema().column_names


@pytest.mark.long
def test_a_file_of_a_commit_that_failed_goes_too_and_that_of_another_partition_stays(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = with_person(settings, FIRST, 0)
    measured(settings, SECOND, publish(settings, SECOND, clouds(1)))
    folder = Path(settings.lake.removeprefix("file://")) / "warehouse" / "features" / "statistics" / "data"
    for file in list(folder.rglob("*.parquet")):
        file.with_name("left.parquet").write_bytes(file.read_bytes())
    waited: list[float] = []
    monkeypatch.setattr(statistics.time, "sleep", waited.append)
    work.forget(request([PERSON]), "ada", settings)
    assert [file.parent.name for file in folder.rglob("left.parquet")] == [f"partition_key={SECOND}"]
    (seconds,) = waited  # until no commit can name it
    assert 0 < seconds <= statistics.COMMIT_SECONDS
    (left,) = folder.rglob("left.parquet")
    left.unlink()
    check_forgotten(settings, vectors)


@pytest.mark.long
def test_statistics_are_taken_back_with_their_partition(settings: Settings) -> None:
    given = {"why": "a wrong camera", "dry_run": False}
    for number, day in enumerate((FIRST, SECOND)):
        measured(settings, day, publish(settings, day, clouds(number)))
    assert unpublish.withdraw("photos", FIRST, UnpublishParams.parse(given), "ada", settings)
    (row,) = read.table(settings, "statistics").to_pylist()
    assert row["partition_key"] == SECOND
    some = UnpublishParams.parse(given | {"uris": [f"s3://b/{SECOND}/{row}.JPG" for row in range(5)]})
    assert unpublish.withdraw("photos", SECOND, some, "ada", settings)
    (row,) = read.table(settings, "statistics").to_pylist()
    (run,) = read.runs(settings, "photos")
    assert (row["run_id"], row["pictures"], len(row["mean"])) == (run["run_id"], 55, WIDTH)


@pytest.mark.long
def test_what_interrupts_a_withdrawal_leaves_no_statistics_of_what_is_gone(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(settings, FIRST, publish(settings, FIRST, clouds(0)))
    params = UnpublishParams.parse({"why": "a wrong camera", "dry_run": False})
    with monkeypatch.context() as patch:
        patch.setattr(tables, "agree", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            unpublish.withdraw("photos", FIRST, params, "ada", settings)
    unpublish.withdraw("photos", FIRST, params, "ada", settings)
    assert read.table(settings, "statistics").num_rows == 0
    assert read.runs(settings, "photos") == []


@pytest.mark.long
@pytest.mark.parametrize(("declared", "reference"), [("alerts: {window: 1, drift: 0.05}", 1), ("limts: {}", 3)])
def test_drift_is_measured_anew_by_the_alerts_of_the_dataset_file(
    settings: Settings, declared: str, reference: int
) -> None:
    """By the usual ones where the file cannot be read."""
    days = [f"2026-11-0{day}" for day in range(1, 5)]
    alerts = Alerts(window=1, drift=0.05)
    for number, day in enumerate(days[:-1]):
        measured(settings, day, publish(settings, day, clouds(number)), alerts)
    last = publish(settings, days[-1], clouds(9, 70, shift=2.0), ids=ids(days[-1], 70))
    before = measured(settings, days[-1], last, alerts)
    assert (before["reference"], [name for name, _ in before["alerts"]]) == (days[2:3], ["drift"])
    (settings.datasets / "photos.yaml").write_text(f"name: photos\nsource: s3://b/{{partition}}/\n{declared}\n")
    work.forget(request([PERSON]), "ada", settings)
    row = next(row for row in read.table(settings, "statistics").to_pylist() if row["partition_key"] == days[-1])
    assert (row["pictures"], row["alerts"]) == (69, before["alerts"])
    assert row["reference"] == days[3 - reference : 3]
