"""The statistics of a run beside those of others: of which outputs, against which partitions, and by which alerts."""

from __future__ import annotations

from typing import Any, cast

import pytest
from pyiceberg.catalog import Catalog

from imagefeatures import names, read
from imagefeatures.catalog import retention, statistics, tables
from imagefeatures.errors import CatalogError, DatasetError, SettingsError
from imagefeatures.quality import measure, record
from imagefeatures.quality.declared import Alerts
from imagefeatures.quality.sketch import DIMENSIONS
from imagefeatures.settings import Settings
from support.measured import clouds, measured, publish, run_row

DAYS = [f"2026-11-0{day}" for day in range(1, 8)]


def test_each_table_of_a_run_has_its_model_and_its_fingerprint() -> None:
    run = run_row("photos", DAYS[0], 1, fingerprint="f1", models=[("resnet50", "f2")], pixels="f3")
    assert list(record.outputs_of(run)) == [
        ("photos", "mobilenet_v2", "f1"), ("photos__resnet50", "resnet50", "f2"),
        ("photos_pixels", names.NO_MODEL, "f3"),
    ]  # fmt: skip
    assert list(record.outputs_of(run | {"models": None, "pixels": None})) == [("photos", "mobilenet_v2", "f1")]


def test_the_reference_is_the_last_partitions_before_it_that_are_made_in_the_same_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of six days: the last one is later, one of another fingerprint, one of few pictures, one of a replaced run."""
    runs = [run_row("photos", day, 1, run_id=f"run-{day}", fingerprint="f") for day in DAYS[:6]]
    runs[1]["fingerprint"] = "another"
    sketch = {"mean": [0.5] * 4, "covariance": [0.25] * DIMENSIONS**2}
    rows = [
        {"partition_key": run["partition_key"], "run_id": run["run_id"], "table": table, "pictures": 60 + at, **sketch}
        for at, run in enumerate(runs) for table in ("photos_pixels", "photos")
    ]  # fmt: skip
    rows[5]["mean"] = None
    rows[9]["run_id"] = "replaced"
    asked: list[Any] = []

    def rows_of(catalog: Catalog, dataset: str, partitions: Any, columns: Any) -> list[dict[str, Any]]:
        asked.append((dataset, list(partitions)))
        return [one for one in reversed(rows) if one["partition_key"] in partitions]

    monkeypatch.setattr(statistics, "rows_of", rows_of)
    row = {
        "partition_key": DAYS[5], "table": "photos", "model": "mobilenet_v2", "fingerprint": "f", "dataset": "photos",
    }  # fmt: skip
    found = record._reference(cast("Any", None), row, runs, 7)
    assert asked == [("photos", [DAYS[0], *DAYS[2:5]])]
    assert list(found) == [DAYS[0], DAYS[3]]
    assert [one.count for one in found.values()] == [60, 63]
    assert found[DAYS[0]].covariance.shape == (DIMENSIONS, DIMENSIONS)
    assert list(record._reference(cast("Any", None), row, runs, 3)) == [DAYS[3]]
    for other in ({"table": "photos__x"}, {"model": "resnet50"}, {"fingerprint": "g"}):
        assert record._reference(cast("Any", None), row | other, runs, 7) == {}


def test_a_partition_that_has_moved_is_told_against_the_one_before_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(settings, DAYS[0], publish(settings, DAYS[0], clouds(0)))
    levels, real = [], record.drift

    def noted(*given: Any) -> Any:
        levels.append(given[3])
        return real(*given)

    monkeypatch.setattr(record, "drift", noted)
    alerts = Alerts(drift=0.05, images_per_second=100)
    row = measured(settings, DAYS[1], publish(settings, DAYS[1], clouds(1, 60, 1.0)), alerts)
    (stored,) = [one for one in read.table(settings, "statistics").to_pylist() if one["partition_key"] == DAYS[1]]
    assert stored["reference"] == row["reference"] == DAYS[:1]
    assert stored["drift"] > stored["drift_bound"] > 0
    assert stored["drift_probability"] < 0.01
    assert [alert for alert, _ in stored["alerts"]] == ["drift", "images_per_second"]
    measured(settings, DAYS[2], publish(settings, DAYS[2], clouds(2)))
    assert levels == [0.05, 0.01]


def test_the_alerts_are_those_of_the_dataset_file_or_the_usual_ones(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert record._declared("photos", settings) == Alerts()
    file = settings.datasets / "photos.yaml"
    file.write_text("name: photos\nsource: s3://b/{partition}/\n")
    assert record._declared("photos", settings) == Alerts()
    file.write_text("name: photos\nsource: s3://b/{partition}/\nalerts: {window: 3}\n")
    assert record._declared("photos", settings) == Alerts(window=3)
    for error in (DatasetError("not so"), SettingsError("no folder")):

        def fails(*_: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(record, "find_dataset", fails)
        assert record._declared("photos", settings) == Alerts()


def test_what_is_measured_anew_keeps_its_alerts_and_what_is_taken_back_has_no_row(settings: Settings) -> None:
    run_id = publish(settings, DAYS[0], clouds(0))
    alerts = measured(settings, DAYS[0], run_id, Alerts(images_per_second=100))["alerts"]
    assert alerts
    with tables.open_catalog(settings) as catalog:
        before = statistics.rows_of(catalog, "photos", DAYS[:1], statistics.KEPT)
        record.renew("photos", DAYS[0], before, settings)
        (renewed,) = read.table(settings, "statistics").to_pylist()
        assert (renewed["run_id"], renewed["alerts"], renewed["pictures"]) == (run_id, alerts, 60)
        record.renew("photos", DAYS[0], [before[0] | {"table": "photos_pixels"}], settings)
        (renewed,) = read.table(settings, "statistics").to_pylist()
        assert renewed["alerts"] == []  # there was none of this table
        catalog.load_table("features.runs").delete()
        record.renew("photos", DAYS[0], before, settings)
    assert read.table(settings, "statistics").num_rows == 0


def test_what_is_taken_back_while_it_is_measured_is_not_recorded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = publish(settings, DAYS[0], clouds(0))
    real = measure.measure

    def meanwhile(*given: Any) -> Any:
        with tables.open_catalog(settings) as catalog:
            catalog.load_table("features.runs").delete()
        return real(*given)

    monkeypatch.setattr(record, "measure", meanwhile)
    with pytest.raises(CatalogError, match="has changed while its statistics were computed; try again"):
        record.record("photos", DAYS[0], run_id, None, settings)


def test_expired_files_that_cannot_be_removed_are_told_and_the_rows_are_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(table: Any, lake: str) -> None:
        assert (table.name()[-1], lake) == ("statistics", settings.lake)
        raise OSError("no answer")

    monkeypatch.setattr(retention, "remove_expired", fails)
    measured(settings, DAYS[0], publish(settings, DAYS[0], clouds(0, 3)))
    assert read.table(settings, "statistics").num_rows == 1
    said = "features.statistics: the files of expired snapshots stay until the next statistics (OSError)"
    assert [one.getMessage() for one in caplog.records if one.name == record.__name__] == [said]
