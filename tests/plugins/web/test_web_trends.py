"""What the pages draw of many partitions and datasets: trends, changes of the fingerprint; what they read for it."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from imagefeatures.settings import Settings
from support.web import FINGERPRINT, START, Page, Site, dataset_file, publish, runs_row

OTHER = "0f" * 16


def test_the_trends_are_drawn_of_the_newest_partitions(site: Site, settings: Settings) -> None:
    from imagefeatures_airflow.web.charts import BARS, HEIGHT, SHORTEST, charts

    days = [str(dt.date(2026, 1, 1) + dt.timedelta(days=at)) for at in range(BARS + 3)]
    rows = [runs_row("figs", day, {}) for day in days]
    rows[-1] |= {"listed": 1000, "quarantined": 100, "fingerprint": OTHER}
    rows[-2] |= {"listed": 1000, "quarantined": 5}
    rows[-3] |= {"finished_at": START + dt.timedelta(seconds=12)}  # 1,200 images in them
    rate, speed = charts(rows[::-1])
    assert (rate.title, speed.title) == ("Quarantined", "Images per second, with waiting")
    assert (rate.first, rate.last, len(rate.bars)) == (days[3], days[-1], BARS)
    assert (rate.newest, rate.most) == ("10 %", "10 %")
    assert [(bar.height, bar.kind, bar.changed) for bar in rate.bars[-3:]] == [
        (0.0, "", False),
        (pytest.approx(HEIGHT / 20), "few", False),
        (HEIGHT, "bad", True),
    ]
    assert speed.most == "100"
    assert speed.newest == "13.3"
    assert [bar.height for bar in speed.bars[-3:-1]] == [HEIGHT, pytest.approx(HEIGHT * 12 / 90)]
    assert min(bar.height for bar in speed.bars) >= SHORTEST
    assert charts(rows[:1]) == ()
    publish(settings, *rows)
    page = site.page("/datasets/figs")
    assert page.tags.count("svg") == 2
    assert f"{days[-1]}: 10 %" in page.text
    assert page.html.count('class="change"') == 2


def test_a_change_of_the_fingerprint_is_told_with_the_partition_that_it_begins_with(
    site: Site, settings: Settings
) -> None:
    publish(settings, *(runs_row("kiwis", f"2026-11-0{day}", {}, fingerprint=OTHER) for day in (1, 2)))
    assert "fingerprint changed" not in site.page("/datasets/kiwis").text
    publish(settings, *(runs_row("kiwis", f"2026-11-0{day}", {}) for day in (3, 4)))
    told = f"The fingerprint changed 1 time, most recently with 2026-11-03 ( {OTHER[:8]} to {FINGERPRINT[:8]} )"
    for path in ("/", "/datasets/kiwis"):
        assert told in site.page(path).text


def test_a_change_of_any_models_fingerprint_is_told() -> None:
    from imagefeatures_airflow.web.timeline import Change, fingerprint_changes

    a, b, c = "a" * 32, "b" * 32, "c" * 32
    of_days: list[tuple[str, list[tuple[str, str]]]] = [
        (a, []), (a, [("resnet50", b)]), (a, [("resnet50", c)]), ("", []), (b, []), (b, [("resnet50", c)]),
    ]  # fmt: skip
    rows = [
        runs_row("kiwis", f"2026-11-0{day}", {}, fingerprint=fingerprint, models=models)
        for day, (fingerprint, models) in enumerate(of_days, 1)
    ]
    assert [(row["partition_key"][-1], changes) for row, changes in fingerprint_changes(rows[::-1])] == [
        ("5", [Change("", a, b)]),
        ("3", [Change("resnet50", b, c)]),
    ]


def test_of_many_datasets_those_that_were_published_last_are_drawn(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import datasets

    monkeypatch.setattr(datasets, "DRAWN", 2)
    for at, name in enumerate(("apples", "apricots", "avocados")):
        finished = dt.datetime(2027, 1, 9 - at, tzinfo=dt.UTC)
        publish(settings, *(runs_row(name, day, {}, finished_at=finished) for day in ("2026-11-01", "2026-11-02")))
    made: list[str] = []
    real = datasets.timeline

    def noted(rows: list[dict[str, Any]], *given: Any) -> Any:
        made.append(rows[0]["dataset"])
        return real(rows, *given)

    monkeypatch.setattr(datasets, "timeline", noted)
    page = site.page()
    assert made == ["apples", "apricots"]
    assert "Below are the 2 datasets that were published last." in page.text
    assert re.findall(r"Latest partitions of (\w+)</summary>", page.html) == ["apples", "apricots"]
    assert "avocados" in [row[0] for row in page.tables[0]]


def test_several_datasets_without_a_run_make_one_line(site: Site, settings: Settings) -> None:
    for name in ("dates", "melons", "quinces"):
        dataset_file(settings, name)
    page = site.page()
    assert "Open one of them to see how to fill it: dates , melons , quinces ." in page.text
    assert page.html.count('class="empty"') == 0
    assert "To fill a partition, do one of these" in site.page("/datasets/melons").text


def test_few_rejected_objects_are_not_told_in_the_red_of_many(site: Site, settings: Settings) -> None:
    publish(
        settings, runs_row("pears", "2026-11-01", {"CORRUPT": 2}), runs_row("pears", "2026-11-02", {"CORRUPT": 200})
    )
    page = site.page("/datasets/pears")
    kinds = [value.split()[-1] for tag, name, value in page.attributes if (tag, name) == ("td", "class")]
    assert (kinds.count("few"), kinds.count("bad")) == (1, 1)


def test_pages_of_a_million_rows_read_metadata_alone(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [str(dt.date(2026, 1, 1) + dt.timedelta(days=at)) for at in range(200)]
    rows = [runs_row("grapes", day, {"CORRUPT": 3}, listed=5003, registered=5000) for day in days]
    publish(settings, *rows)
    loaded: list[str] = []
    real = SqlCatalog.load_table

    def noted(catalog: SqlCatalog, identifier: Any) -> Any:
        table = real(catalog, identifier)
        loaded.append(".".join(table.name()))
        return table

    monkeypatch.setattr(SqlCatalog, "load_table", noted)
    for path in ("/", "/datasets/grapes"):
        page: Page = site.page(path)
        assert "1,000,000" in page.text
    assert set(loaded) == {"features.runs"}


def test_rights_of_many_datasets_are_one_question_to_the_database_each(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.dag import DagModel

    publish(settings, *(runs_row(f"d{number}", "2026-11-02", {}) for number in range(5)))
    asked: list[int] = []
    real = DagModel.get_dag_id_to_team_name_mapping

    def counted(dag_ids: list[str]) -> dict[str, str | None]:
        asked.append(len(dag_ids))
        return real(dag_ids)

    monkeypatch.setattr(DagModel, "get_dag_id_to_team_name_mapping", counted)
    site.page()
    assert len(asked) == 2  # which datasets, and of which of them the runs
    assert min(asked) >= 5
