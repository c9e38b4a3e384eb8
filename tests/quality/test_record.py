"""A published partition has one row of statistics for each of its tables, whatever came before and in between."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import read
from imagefeatures.catalog import statistics, tables
from imagefeatures.errors import CatalogError
from imagefeatures.quality import measure, record
from imagefeatures.quality.declared import Alerts
from imagefeatures.quality.sketch import DIMENSIONS
from imagefeatures.settings import Settings
from support.measured import FINGERPRINT, clouds, measured, publish
from support.publishing import in_processes
from support.registering import held_back, let_go

DAYS = [f"2026-11-{day:02}" for day in range(1, 30)]

RECORD = """
import sys
from imagefeatures.quality import record
from imagefeatures.settings import Settings
settings = Settings.from_env()
print("ready", flush=True)
sys.stdin.read(1)
record.record("photos", sys.argv[1], sys.argv[2], None, settings)
"""


def rows(settings: Settings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read.table(settings, "statistics").to_pylist()
    return sorted(found, key=lambda row: (row["partition_key"], row["table"]))


def test_a_row_says_what_the_rows_of_the_partition_are(settings: Settings) -> None:
    vectors = clouds(0, 60)
    ids = [f"{max(row, 10):064x}"[::-1] for row in range(60)]  # the first eleven are one image
    labels = ["apple", "pear", None] * 20
    run_id = publish(
        settings, DAYS[0], vectors, ids=ids, labels=labels, quarantined=20, reasons=[("TRUNCATED", 20)],
        copies=[vectors + 100],
    )  # fmt: skip
    row = measured(settings, DAYS[0], run_id)
    (stored,) = rows(settings)
    assert {name: value for name, value in stored.items() if not isinstance(value, list) or value == []} == {
        "partition_key": DAYS[0], "dataset": "photos", "run_id": run_id, "table": "photos", "model": "mobilenet_v2",
        "fingerprint": FINGERPRINT, "computed_at": row["computed_at"], "listed": 80, "quarantined": 20,
        "images_per_second": 8.0, "pictures": 60, "duplicates": 10, "unlabelled": 20, "reference": [],
        "drift": None, "drift_probability": None, "drift_bound": None, "alerts": [],
    }  # fmt: skip
    assert dict(stored["labels"]) == {"apple": 20, "pear": 20}
    assert stored["reasons"] == [("TRUNCATED", 20)]
    assert stored["formats"] == [("jpg", 60)]
    assert stored["modes"] == [("RGB", 60)]
    assert stored["sizes"] == [1000, 1003, 1030, 1056, 1059]
    assert stored["widths"] == [40, 43, 70, 96, 99]
    assert stored["heights"] == [30] * 5
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # of the pictures: the copies are elsewhere
    np.testing.assert_allclose(stored["mean"], unit.mean(axis=0), atol=1e-6)
    assert len(stored["covariance"]) == DIMENSIONS**2


def test_a_partition_has_one_row_however_often_it_is_measured_and_published(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(settings, DAYS[0], clouds(0))
    before = measured(settings, DAYS[0], first)
    with monkeypatch.context() as patch:
        patch.setattr(record, "measure", lambda *_: pytest.fail("a retry measures nothing"))
        again = measured(settings, DAYS[0], first)
    assert again["computed_at"] == before["computed_at"]
    second = publish(settings, DAYS[0], clouds(1, 55))
    assert record.record("photos", DAYS[0], first, None, settings) is None  # it is replaced
    measured(settings, DAYS[0], second)
    (row,) = rows(settings)
    assert (row["run_id"], row["pictures"]) == (second, 55)
    assert record.record("photos", DAYS[1], second, None, settings) is None
    assert record.record("birds", DAYS[0], second, None, settings) is None


@pytest.mark.long
def test_drift_is_measured_against_the_last_partitions_before_it_of_the_same_fingerprint(settings: Settings) -> None:
    for number, day in enumerate(DAYS[:6]):
        own = {} if number != 2 else {"fingerprint": "0" * 32}
        run_id = publish(settings, day, clouds(number, 60 if number != 4 else 20), **own)
        if number != 3:
            measured(settings, day, run_id)
    # Not the third, of another fingerprint, nor the fourth, which was not measured, nor the fifth, of 20 pictures.
    assert [row["reference"] for row in rows(settings)] == [[], DAYS[:1], [], [], DAYS[:2]]
    alerts = Alerts(drift=0.01, window=2)
    for number, shift in ((6, 0.0), (7, 0.5)):
        last = measured(settings, DAYS[number], publish(settings, DAYS[number], clouds(number, 60, shift)), alerts)
    assert last["reference"] == [DAYS[5], DAYS[6]]
    assert last["drift"] > last["drift_bound"] > 0
    assert last["drift_probability"] <= 0.01
    ((alert, why),) = last["alerts"]
    assert alert == "drift"
    assert why.startswith(f"the vectors differ from those of {DAYS[5]} to {DAYS[6]} by ")
    assert why.endswith(" once in 100 partitions")
    assert [row["alerts"] for row in rows(settings)[:-1]] == [[]] * 6
    # An earlier day that is published again is compared with those before it, not with those after.
    again = measured(settings, DAYS[1], publish(settings, DAYS[1], clouds(9)))
    assert again["reference"] == DAYS[:1]


def test_few_pictures_have_counts_and_no_vectors(settings: Settings) -> None:
    row = measured(settings, DAYS[0], publish(settings, DAYS[0], clouds(0, 49)))
    assert (row["pictures"], row.get("mean"), row.get("covariance")) == (49, None, None)
    empty = measured(settings, DAYS[1], publish(settings, DAYS[1], clouds(0, 0)))
    assert (empty["pictures"], empty["sizes"], empty["labels"]) == (0, [], [])
    assert [row["mean"] for row in rows(settings)] == [None, None]


def test_a_lake_without_the_table_is_read_and_goes_on(settings: Settings) -> None:
    publish(settings, DAYS[0], clouds(0))  # which an earlier version has published
    assert rows(settings) == []
    with tables.open_catalog(settings) as catalog:
        assert statistics.rows_of(catalog, "photos", DAYS) == []
        assert not statistics.remove(catalog, "photos", DAYS[0], "r")
        statistics.forget_past(catalog, settings.lake, {("photos", DAYS[0])})
        assert not catalog.table_exists(("features", "statistics"))
    record.renew("photos", DAYS[0], [], settings)
    assert measured(settings, DAYS[1], publish(settings, DAYS[1], clouds(1)))["reference"] == []


def test_what_changes_while_it_is_measured_is_not_recorded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = publish(settings, DAYS[0], clouds(0))
    real = measure.measure

    def meanwhile(*given: Any) -> Any:
        found = real(*given)
        publish(settings, DAYS[0], clouds(1))
        return found

    monkeypatch.setattr(record, "measure", meanwhile)
    with pytest.raises(CatalogError, match="has changed while its statistics were computed; try again"):
        record.record("photos", DAYS[0], run_id, None, settings)
    assert rows(settings) == []


def test_rows_of_a_run_that_is_being_published_are_not_measured(settings: Settings) -> None:
    run_id = publish(settings, DAYS[0], clouds(0))
    with tables.open_catalog(settings) as catalog:
        runs = tables.open_table(catalog, settings, "runs")
        before = runs.scan().to_arrow().cast(pa.schema(runs.scan().to_arrow().schema))
        publish(settings, DAYS[0], clouds(1))  # its row of features.runs comes last, and is not there yet
        tables.replace_rows(runs, DAYS[0], "photos", before, run_id)
    with pytest.raises(CatalogError, match=f"another run than {run_id} is being published; try again"):
        record.record("photos", DAYS[0], run_id, None, settings)


def record_a_day(settings: Settings, day: str, run_id: str) -> None:
    assert record.record("photos", day, run_id, None, settings)


@pytest.mark.long
def test_a_backfill_that_measures_many_partitions_at_once_has_a_row_for_each(settings: Settings) -> None:
    published = [(settings, day, publish(settings, day, clouds(0))) for day in DAYS[:4]]
    in_processes(record_a_day, published)
    assert [row["partition_key"] for row in rows(settings)] == DAYS[:4]


@pytest.mark.long
def test_what_is_killed_and_tried_again_leaves_one_row(settings: Settings) -> None:
    run_id = publish(settings, DAYS[0], clouds(0))
    for seconds in (0.05, 0.2, 0.4, 0.8):
        process = held_back(RECORD, DAYS[0], run_id)
        let_go(process)
        time.sleep(seconds)
        process.kill()
        process.wait()
        assert len(rows(settings)) <= 1
    measured(settings, DAYS[0], run_id)
    (row,) = rows(settings)
    assert (row["run_id"], row["pictures"]) == (run_id, 60)


def test_of_the_other_partitions_only_the_columns_that_are_compared_are_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = {day: publish(settings, day, clouds(0, 60)) for day in DAYS[:3]}
    asked, real = [], read.table

    def noted(settings: Settings, name: str, **given: Any) -> pa.Table:
        if name == "runs":
            asked.append((given["partitions"], given["columns"]))
        return real(settings, name, **given)

    monkeypatch.setattr(read, "table", noted)
    measured(settings, DAYS[2], run_ids[DAYS[2]])
    assert asked == [([DAYS[2]], None), (None, record.OF_OTHERS)]
