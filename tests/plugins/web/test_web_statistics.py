"""The pages mark what is out of bounds, and have the statistics of the latest partitions as a table."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support.web import START, Site, publish, return_from_plan, runs_row

DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
WHY = "the vectors differ <b>from those of</b> 2026-11-01"


def describe(settings: Settings, day: str, dataset: str = "fruit", **changed: Any) -> None:
    row = {
        "partition_key": day, "dataset": dataset, "run_id": f"run-of-{day}", "table": dataset, "model": "mobilenet_v2",
        "fingerprint": "f", "computed_at": START, "listed": 1200, "quarantined": 30, "reasons": [],
        "images_per_second": 13.3, "pictures": 1170, "duplicates": 117, "labels": [], "unlabelled": 0, "formats": [],
        "modes": [], "sizes": [], "widths": [], "heights": [], "reference": [], "alerts": [],
    } | changed  # fmt: skip
    with tables.open_catalog(settings) as opened:
        table = tables.open_table(opened, settings, "statistics")
        table.append(pa.Table.from_pylist([row], schema=schemas.STATISTICS))


@pytest.fixture
def described(settings: Settings) -> Settings:
    """Three days of fruit, the last two with statistics, the last one with an alert; and a day of herbs without any."""
    publish(settings, *(runs_row("fruit", day, {}) for day in DAYS), runs_row("herbs", DAYS[0], {}))
    describe(settings, DAYS[1], alerts=[("count", "an alert of an earlier partition")])
    drifted = {"drift": 0.01234, "drift_bound": 0.0011, "drift_probability": 0.0005, "alerts": [("drift", WHY)]}
    describe(settings, DAYS[2], **drifted)
    describe(settings, DAYS[0], run_id="of-another-run", alerts=[("drift", "of a run that was replaced")])
    return settings


def test_the_first_page_marks_the_alerts_of_the_newest_partition(site: Site, described: Settings) -> None:
    page = site.page()
    assert f"fruit {DAYS[2]} : drift {WHY}" in page.text
    assert "<b>from" not in page.html
    assert ("a", "href", f"/image-features/datasets/fruit/partitions/{DAYS[2]}") in page.attributes
    assert "earlier partition" not in page.text
    assert "was replaced" not in page.text


def test_the_page_of_a_dataset_has_a_table_of_the_latest_partitions(site: Site, described: Settings) -> None:
    statistics, partitions = site.page("/datasets/fruit").tables
    assert statistics[1:] == [
        [DAYS[2], "1,170", "10 %", "2.5 %", "13.3", "0.0123", "0.0011", f"drift : {WHY}"],
        [DAYS[1], "1,170", "10 %", "2.5 %", "13.3", "–", "–", "count : an alert of an earlier partition"],
    ]
    assert [row[0] for row in partitions[2:]] == list(DAYS[::-1])
    assert len(site.page("/datasets/herbs").tables) == 1


@pytest.mark.parametrize("of_run", [False, True])
def test_the_page_of_a_partition_and_that_of_its_run_have_its_own(
    of_run: bool, site: Site, described: Settings
) -> None:
    describe(described, DAYS[2], table="fruit__resnet50", alerts=[("drift", "of the second model")])
    path = f"/datasets/fruit/partitions/{DAYS[2]}"
    if of_run:
        return_from_plan(
            "features_fruit", "manual__s", f"{described.lake}/staging/fruit/{DAYS[2]}/run-of-{DAYS[2]}/run.json"
        )
        path = "/dags/features_fruit/runs/manual__s"
    (statistics,) = (table for table in site.page(path).tables if "Drift" in table[0])
    assert [row[0] for row in statistics[1:]] == [DAYS[2], f"{DAYS[2]} fruit__resnet50"]
    assert statistics[2][7] == "drift : of the second model"
    assert "Statistics of this partition" in site.page(path).text
    without = site.page(f"/datasets/fruit/partitions/{DAYS[0]}")
    assert "Statistics" not in without.text


def test_a_table_that_cannot_be_read_is_said_and_the_rest_is_shown(
    site: Site, described: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from imagefeatures_airflow.web import statistics

    def fails(*_: Any) -> None:
        raise RuntimeError("a password")

    monkeypatch.setattr(statistics, "_read", fails)
    page = site.page("/datasets/fruit")
    assert "The statistics cannot be read now." in page.text
    assert len(page.tables) == 1
    assert "Image features" in site.page().text
    assert "cannot be read: RuntimeError" in caplog.text
    assert "password" not in caplog.text + page.text


def test_a_catalog_that_hangs_holds_a_page_up_once_and_not_for_long(
    site: Site, described: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import published, statistics

    hung, begun = threading.Event(), []

    def hangs(*_: Any) -> list[Any]:
        begun.append(1)
        hung.wait(60)
        return []

    monkeypatch.setattr(statistics, "_read", hangs)
    monkeypatch.setattr(statistics, "READ_SECONDS", 0.2)
    monkeypatch.setattr(published, "FRESH_SECONDS", 60.0)
    statistics._kept.clear()
    try:
        for path in ("/datasets/fruit", "/datasets/fruit", "/datasets/herbs"):
            assert "The statistics cannot be read now." in site.page(path).text
        assert len(begun) == 1
    finally:
        hung.set()
    statistics._unread.clear()
    monkeypatch.setattr(statistics, "READ_SECONDS", 60.0)
    assert "The statistics cannot be read now." not in site.page("/datasets/fruit").text


def test_statistics_that_were_just_read_are_shown_again(
    site: Site, described: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import published, statistics

    monkeypatch.setattr(published, "FRESH_SECONDS", 60.0)
    statistics._kept.clear()
    assert len(site.page("/datasets/fruit").tables) == 2
    monkeypatch.setattr(statistics, "_read", lambda *_: pytest.fail("they are fresh"))
    assert len(site.page("/datasets/fruit").tables) == 2
    monkeypatch.setattr(statistics, "_read", lambda *_: [])
    monkeypatch.setattr(published, "FRESH_SECONDS", 0.0)
    assert len(site.page("/datasets/fruit").tables) == 1
