"""The partitions of a dataset over time: which are missing, under way or taken back, and their calendar."""

from __future__ import annotations

import datetime as dt
import doctest
import re
from typing import Any

import pyarrow as pa
import pytest
from airflow.utils.state import DagRunState

from imagefeatures import schemas
from imagefeatures.catalog import tables
from imagefeatures.datasets import Dataset
from imagefeatures.settings import Settings
from support.web import PAGE, START, Site, dag_run_is, dataset_file, publish, return_from_plan, runs_row

NOW = dt.datetime(2026, 11, 16, 0, 5, tzinfo=dt.UTC)


def fruit(**fields: Any) -> Dataset:
    return Dataset(name="fruit", source="s3://photos/{partition}/", **fields)


def states(rows: list[dict[str, Any]], file: Dataset | None, under_way: Any = None) -> dict[str, str]:
    from imagefeatures_airflow.web.timeline import timeline

    return {cell.key: cell.state for cell in timeline(rows, file, under_way or {}, NOW).cells}


def test_a_partition_is_missing_once_its_run_is_due_and_nothing_is_published(site: Site) -> None:
    rows = [runs_row("fruit", "2026-11-11", {}), runs_row("fruit", "2026-11-13", {"CORRUPT": 1})]
    daily = fruit(schedule="0 0 * * *", start_date=dt.date(2026, 11, 1))
    assert states(rows, daily) == {
        "2026-11-11": "registered",  # what is before the first published partition is not missing
        "2026-11-12": "missing",
        "2026-11-13": "quarantined",
        "2026-11-14": "missing",
        "2026-11-15": "missing",  # its run was due at midnight, five minutes ago
    }
    mondays = fruit(schedule="0 0 * * 1")  # the run of the 16th fills the 9th
    assert states([runs_row("fruit", "2026-11-02", {})], mondays) == {
        "2026-11-02": "registered",
        "2026-11-09": "missing",
    }
    later = fruit(schedule="0 0 * * *", start_date=dt.date(2026, 11, 14))
    assert list(states(rows, later)) == ["2026-11-11", "2026-11-13", "2026-11-14", "2026-11-15"]
    assert "missing" not in {*states(rows, fruit()).values(), *states(rows, None).values()}
    whole = fruit(schedule="0 0 * * *")
    assert states([runs_row("fruit", "9999-12-31", {})], whole) == {"9999-12-31": "registered"}
    assert states([runs_row("fruit", "all", {})], whole) == {"all": "registered"}


def test_what_is_due_before_the_first_publication_is_missing_from_a_day_that_somebody_named(site: Site) -> None:
    from imagefeatures_airflow.web.timeline import timeline

    daily = fruit(schedule="0 0 * * *", start_date=dt.date(2026, 11, 12))
    days = ["2026-11-12", "2026-11-13", "2026-11-14", "2026-11-15"]
    assert states([], daily) == dict.fromkeys(days, "missing")
    assert [cell.key for cell in timeline([], daily, {}, NOW, "2026-11-14").cells] == days[2:]
    assert [cell.key for cell in timeline([], daily, {}, NOW, "2026-11-01").cells] == days
    undated = fruit(schedule="0 0 * * *")  # its start_date is the default of years ago
    assert states([], undated) == {}
    assert [cell.key for cell in timeline([], undated, {}, NOW, "2026-11-14").cells] == days[2:]
    assert states([], fruit(start_date=dt.date(2026, 11, 12))) == states([], None) == {}
    long_ago = fruit(schedule="0 0 * * *", start_date=dt.date(2020, 1, 1))
    assert len(states([], long_ago)) == 24 * 31


def test_partitions_are_drawn_before_the_first_publication_beside_the_next_step(site: Site, settings: Settings) -> None:
    today = dt.datetime.now(dt.UTC).date()
    days = [str(today - dt.timedelta(number)) for number in (3, 2, 1)]
    scheduled = f"schedule: 0 0 * * *\nstart_date: {days[0]}"
    dataset_file(settings, "dates", f"source: s3://photos/{{partition}}/\n{scheduled}")
    return_from_plan("features_dates", "manual__1", f"{settings.lake}/staging/dates/{days[1]}/a/run.json")
    dag_run_is("features_dates", "manual__1", DagRunState.RUNNING)
    for path in ("/", "/datasets/dates"):
        page = site.page(path)
        assert f"1 under way 2 missing Under way: {days[1]} ." in page.text, path
        assert page.html.count('<li class="running') == 1
        assert page.text.count("Nothing is published yet. To fill a partition, do one of these") == 1
        assert f"running {days[1]}" in page.text  # the last run
    dataset_file(settings, "melons")
    page = site.page()
    assert "1 under way 2 missing" in page.text
    assert "Open one of them to see how to fill it: dates , melons ." in page.text
    assert page.html.count("<figure") == 1
    assert "<figure" not in site.page("/datasets/melons").html


def test_partitions_under_way_are_named_as_links_ten_at_most(site: Site, settings: Settings) -> None:
    dataset_file(settings, "plums")
    publish(settings, runs_row("plums", "2026-11-30", {}))
    runs = [f"manual__{day:02}" for day in range(1, 13)]
    for day, run in enumerate(runs, 1):
        return_from_plan("features_plums", run, f"{settings.lake}/staging/plums/2026-11-{day:02}/{run}/run.json")
        dag_run_is("features_plums", run, DagRunState.RUNNING)
    for path in ("/", "/datasets/plums"):
        page = site.page(path)
        named = [f"2026-11-{day:02}" for day in range(12, 2, -1)]
        assert f"Under way: {' , '.join(named)} and 2 more." in page.text
        reached = re.findall(rf'<a href="{PAGE}/dags/features_plums/runs/(manual__\d\d)">2026', page.html)
        assert reached == runs[:1:-1]  # squares are skipped by the keyboard; these are not
    for run in runs[2:]:
        dag_run_is("features_plums", run, DagRunState.SUCCESS)
    assert "Under way: 2026-11-02 , 2026-11-01 ." in site.page("/datasets/plums").text


def test_what_runs_is_never_missing_behind_a_long_queue(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import dag_runs

    dataset_file(settings, "sloes", 'source: s3://photos/{partition}/\nschedule: "0 0 * * *"')
    newest = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    days = [str(newest - dt.timedelta(days=before)) for before in (6, 5, 4, 3, 2, 1, 0)]
    publish(settings, runs_row("sloes", days[0], {}))
    for at, day in enumerate(days[1:]):  # as of a backfill: Airflow starts the oldest
        run = f"manual__{at}"
        return_from_plan("features_sloes", run, f"{settings.lake}/staging/sloes/{day}/{run}/run.json")
        dag_run_is("features_sloes", run, DagRunState.QUEUED if at else DagRunState.RUNNING)
    said = "More than {} DAG runs are under way."
    for most, named in ((3, [days[6], days[5], days[1]]), (5, [*days[6:2:-1], days[1]]), (6, days[6:0:-1])):
        monkeypatch.setattr(dag_runs, "MOST", most)
        for path in ("/", "/datasets/sloes"):
            text = site.page(path).text
            assert f"Under way: {' , '.join(named)} ." in text, (most, path)
            assert text.count(said.format(most)) == (most < 6)


def test_missing_partitions_are_named_with_the_command_that_fills_them(site: Site, settings: Settings) -> None:
    dataset_file(settings, "lemons", 'source: s3://photos/{partition}/\nschedule: "0 0 * * *"')
    newest = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
    days = [str(newest - dt.timedelta(days=before)) for before in (14, 3, 0)]
    publish(settings, *(runs_row("lemons", day, {}) for day in days))
    missing = [str(newest - dt.timedelta(days=before)) for before in (1, 2, *range(4, 14))]
    text = site.page("/datasets/lemons").text
    assert f"Missing: {', '.join(missing[:10])} and 2 more. To fill {missing[1]} to {missing[0]}: airflow back" in text
    assert f"--dag-id features_lemons --from-date {missing[1]} --to-date {missing[0]} --reprocess" in text


def test_a_partition_that_was_taken_back_is_not_missing(site: Site, settings: Settings) -> None:
    from imagefeatures_airflow.web.timeline import timeline

    rows = [runs_row("fruit", day, {}) for day in ("2026-11-11", "2026-11-13")]
    daily, back = fruit(schedule="0 0 * * *"), {"2026-11-12", "2026-11-13", "2026-11-10"}
    found = timeline(rows, daily, {}, NOW, None, back)
    assert {cell.key: cell.state for cell in found.cells if cell.state != "missing"} == {
        "2026-11-11": "registered",
        "2026-11-12": "withdrawn",
        "2026-11-13": "registered",  # by a later run
    }
    dataset_file(settings, "figs", "source: s3://photos/{partition}/\nschedule: 0 0 * * *\nstart_date: 2020-01-01")
    today = dt.datetime.now(dt.UTC).date()
    days = [str(today - dt.timedelta(number)) for number in range(1, 5)]
    publish(settings, *(runs_row("figs", day, {}) for day in (days[0], days[3])))
    told = {"dataset": "figs", "replaced": "r", "asked_by": "ada", "why": "a wrong camera", "withdrawn_at": START}
    gone = [
        told | {"partition_key": day, "run_id": day, "uris": None, "registered": 1200, "quarantined": 0}
        for day in days[:3]
    ]
    with tables.open_catalog(settings) as catalog:
        table = tables.open_table(catalog, settings, "withdrawals")
        table.append(pa.Table.from_pylist(gone, schema=schemas.WITHDRAWALS))
    for path in ("/", "/datasets/figs"):
        assert "2 taken back" in site.page(path).text
    assert not re.search(r"\d missing", site.page("/datasets/figs").text)


def test_nothing_is_missing_before_the_first_run_of_a_schedule(site: Site, settings: Settings) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import update

    dataset_file(settings, "nuts", "source: s3://photos/{partition}/\nschedule: 0 0 * * *\nstart_date: 2020-01-01")
    today = dt.datetime.now(dt.UTC).date()
    publish(settings, *(runs_row("nuts", str(today - dt.timedelta(days)), {}) for days in (300, 1)))
    assert "298 missing" in site.page("/datasets/nuts").text
    for days, kind in ((299, "manual"), (4, "backfill"), (3, "scheduled")):
        return_from_plan("features_nuts", f"{kind}__1", "none")
        with create_session() as session:
            session.execute(
                update(DagRun)
                .where(DagRun.dag_id == "features_nuts", DagRun.run_id == f"{kind}__1")
                .values(run_type=kind, partition_key=str(today - dt.timedelta(days)), state=DagRunState.FAILED)
            )
    for path in ("/", "/datasets/nuts"):
        assert "3 missing" in site.page(path).text


def test_the_calendar_has_a_place_for_each_day_of_a_month(site: Site) -> None:
    from imagefeatures_airflow.web.timeline import timeline

    rows = [runs_row("fruit", day, {}) for day in ("2026-10-31", "2026-11-02", "2026-11-03")]
    newest, older = timeline(rows, None, {}, NOW).months
    assert (newest[0], older[0]) == ("2026-11", "2026-10")
    assert [len(days) for _, days in (newest, older)] == [31, 31]
    assert [at for at, cell in enumerate(newest[1], 1) if cell] == [2, 3]
    assert [at for at, cell in enumerate(older[1], 1) if cell] == [31]
    assert timeline([*rows, runs_row("fruit", "all", {})], None, {}, NOW).months == []
    years = [runs_row("fruit", f"{2020 + at // 12}-{at % 12 + 1:02}-01", {}) for at in range(40)]
    assert [month for month, _ in timeline(years, None, {}, NOW).months][::23] == ["2023-04", "2021-05"]


def test_the_calendar_says_that_it_shows_the_newest_months(site: Site, settings: Settings) -> None:
    said = "Partitions by day the newest 24 months; the numbers below are of all"
    days = [f"{2020 + at // 12}-{at % 12 + 1:02}-01" for at in range(25)]
    publish(settings, *(runs_row("olives", day, {}) for day in days[1:]))
    assert said not in site.page("/datasets/olives").text
    publish(settings, runs_row("olives", days[0], {}))
    page = site.page("/datasets/olives")
    assert said in page.text
    assert "25 whole" in page.text
    assert page.html.count('<li class="registered') == 24


def test_a_partition_that_a_dag_run_fills_is_under_way_and_leads_to_its_page(site: Site, settings: Settings) -> None:
    dataset_file(settings, "plums")
    publish(settings, runs_row("plums", "2026-11-02", {}))
    for partition, run, state in (
        ("2026-11-03", "manual__3", DagRunState.RUNNING),
        ("2026-11-04", "manual__4", DagRunState.SUCCESS),
        ("2026-11-02", "manual__5", DagRunState.QUEUED),
    ):
        return_from_plan("features_plums", run, f"{settings.lake}/staging/plums/{partition}/{run}/run.json")
        dag_run_is("features_plums", run, state)
    for path in ("/", "/datasets/plums"):
        page = site.page(path)
        assert "2 under way" in page.text
        assert not re.search(r"\d missing", page.text)
        links = [value for _, name, value in page.attributes if name == "href"]
        for run in ("manual__3", "manual__5"):
            assert f"{PAGE}/dags/features_plums/runs/{run}" in links
        assert f"{PAGE}/dags/features_plums/runs/manual__4" not in links
        assert "queued 2026-11-02" in page.text  # the last run


def test_who_may_not_see_runs_sees_none_of_them(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    dataset_file(settings, "limes")
    publish(settings, runs_row("limes", "2026-11-02", {}))
    return_from_plan("features_limes", "manual__1", f"{settings.lake}/staging/limes/2026-11-03/a/run.json")
    dag_run_is("features_limes", "manual__1", DagRunState.RUNNING)
    assert "1 under way" in site.page("/datasets/limes").text
    manager = get_auth_manager()
    may = manager.is_authorized_dag

    def but_no_runs(*, access_entity: DagAccessEntity | None = None, **given: Any) -> bool:
        return access_entity is not DagAccessEntity.RUN and may(access_entity=access_entity, **given)

    monkeypatch.setattr(manager, "is_authorized_dag", but_no_runs)
    for path in ("/", "/datasets/limes"):
        page = site.page(path)
        assert "manual__1" not in page.html
        assert "under way" not in page.text


def test_examples_in_docstrings(site: Site) -> None:
    from imagefeatures_airflow.web import timeline

    done = doctest.testmod(timeline)
    assert (done.failed, done.attempted) == (0, 1)
