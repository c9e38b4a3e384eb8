"""The pages of datasets and partitions: their numbers, and what they say when there is nothing to show."""

from __future__ import annotations

import datetime as dt
import re
import socket
from pathlib import Path

import pytest

from imagefeatures.settings import Settings, program
from imagefeatures.steps import MEASURED, SPARK_STEPS
from imagefeatures.upkeep import kept
from imagefeatures.upkeep.report import Line, Report
from imagefeatures_airflow.web import access, published
from support.web import FINGERPRINT, PAGE, Site, dataset_file, publish, runs_row

SECRET = "s3cret-canary"


def test_the_first_page_has_totals_and_the_latest_partitions(site: Site, settings: Settings) -> None:
    dataset_file(settings, "fruit")
    dataset_file(settings, "herbs", "source: s3://herbs/{partition}/\nstart_date: 2026-10-05")
    dataset_file(settings, "broken", "pattern: []")
    days = [f"2026-11-{day:02}" for day in range(1, 13)]
    reasons = {"2026-11-12": {"CORRUPT": 2, "TRUNCATED": 1}, "2026-11-01": {"TRUNCATED": 5}}
    publish(settings, *(runs_row("fruit", day, reasons.get(day, {})) for day in days))
    page = site.page()
    totals, latest = page.tables
    assert totals[1] == [
        "fruit", "12", "14,400", "14,392", "8", "<0.1 %", "6 TRUNCATED 2 CORRUPT", "2026-11-12", "2026-11-03 00:01 UTC",
        "none",
    ]  # fmt: skip
    assert totals[2] == ["herbs", "0", "0", "0", "0", "–", "nothing published yet", "none"]
    assert [row[0] for row in latest[2:]] == days[:1:-1]
    assert latest[2] == [
        "2026-11-12", "1,200", "1,197", "3", "2 CORRUPT 1 TRUNCATED", "–", "1,200", "600", "400", "90 s",
        "2026-11-03 00:01 UTC run-of-2026-11-12", "63e4fab4",
    ]  # fmt: skip
    assert "All 12 partitions of fruit" in page.text
    assert "Malformed dataset file broken.yaml: source: is required; pattern: must not be empty" in page.text
    assert "airflow backfill create --dag-id features_herbs --from-date 2026-10-05 --to-date 2026-10-05" in page.text


def test_the_page_of_a_dataset_has_all_its_partitions(site: Site, settings: Settings) -> None:
    days = [f"2026-11-{day:02}" for day in range(1, 13)]
    publish(settings, *(runs_row("fruit", day, {}) for day in days), runs_row("herbs", "2026-11-01", {}))
    page = site.page("/datasets/fruit")
    assert [row[0] for row in page.tables[0][2:]] == days[::-1]
    assert "There is no dataset file of this name any more" in page.text
    assert "There is no dataset nuts" in site.page("/datasets/nuts", 404).text


def test_the_partitions_of_a_dataset_come_a_hundred_a_page(site: Site, settings: Settings) -> None:
    days = [(dt.date(2026, 1, 1) + dt.timedelta(days=number)).isoformat() for number in range(230)]
    publish(settings, *(runs_row("photos", day, {}) for day in days))
    shown = []
    for number in (1, 2, 3):
        page = site.page(f"/datasets/photos?page={number}")
        (table,) = (table for table in page.tables if table[0][0] == "Partition")
        shown += [row[0] for row in table[2:]]
        assert f"Page {number} of 3" in page.text
        assert "230 whole" in page.text
        links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href") and value}
        beside = {f"{PAGE}/datasets/photos?page={other}" for other in (number - 1, number + 1) if 1 <= other <= 3}
        assert {link for link in links if "?page=" in link} == beside
    assert shown == days[::-1]
    assert [len(table) for table in site.page("/datasets/photos?page=4").tables] == [2], "its head alone"
    site.page("/datasets/photos?page=0", 422)


def test_the_page_of_a_partition_says_where_the_time_went(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("fruit", "2026-11-02", {"CORRUPT": 1, "TRUNCATED": 2}, reused=399))
    page = site.page("/datasets/fruit/partitions/2026-11-02")
    steps, quarantined = page.tables
    assert [row[0] for row in steps[1:]] == list(SPARK_STEPS)
    assert steps[3] == ["resize", "1,200", "2.0 s", "", "600", "5.0 MB"]
    assert [row[:2] for row in quarantined[1:]] == [["TRUNCATED", "2"], ["CORRUPT", "1"]]
    assert "Registered 1,197 99.8 % Reused 399 33.3 %" in page.text
    assert FINGERPRINT in page.text
    assert "nothing published for partition 2026-12-24" in site.page("/datasets/fruit/partitions/2026-12-24", 404).text


def test_the_page_of_a_partition_says_what_its_run_has_cost(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = {f"{step}_core_seconds": 10.0 * at for at, step in enumerate(MEASURED)}
    cost |= {f"{step}_peak_memory": 300_000_000 for step in MEASURED} | {"register_peak_memory": None}
    cost |= {"bytes_read": 2_000_000_000, "bytes_written": 0, "get_requests": 3000, "put_requests": 2, "joules": 4999.7}
    cost |= {"http_requests": 0, "images_per_core_second": 8.0}
    publish(settings, runs_row("fruit", "2026-11-02", {}, **cost), runs_row("fruit", "2026-11-01", {}))
    page = site.page("/datasets/fruit/partitions/2026-11-02")
    assert (
        "Core time 150 s Images per core-second 8.0 Read 2.0 GB Written 0 B Requests 3,002 GET 3,000, PUT 2"
        in page.text
    )
    assert "Energy of the machine 5,000 J Cost of each step" in page.text
    assert [row[0] for row in page.tables[1][1:]] == list(MEASURED)
    assert page.tables[1][4] == ["resize", "30 s", "", "40.0", "300.0 MB"]
    assert page.tables[1][6] == ["register", "50 s", "", "–", "–"]
    assert "Money" not in page.text
    monkeypatch.setenv("IMAGEFEATURES_PRICES", "core_hour=2.4, gb_read=0.25, currency=EUR")
    priced = site.page("/datasets/fruit/partitions/2026-11-02").text
    assert "Money 0.600 EUR 500.00 EUR for a million images" in priced
    older = site.page("/datasets/fruit/partitions/2026-11-01").text
    assert "Core time " not in older.partition("Made by")[0]


def test_the_pages_say_how_many_objects_were_passed_over_and_why(site: Site, settings: Settings) -> None:
    first = runs_row("fruit", "2026-11-01", {}, passed_over=[("pattern", 1), ("exclude", 2000)])
    publish(settings, first, runs_row("fruit", "2026-11-02", {}, passed_over=[("pattern", 60)]))
    publish(settings, runs_row("fruit", "2026-11-03", {}, passed_over=[]), runs_row("fruit", "2026-11-04", {}))
    told = "Passed over 2,001 pattern 1, exclude 2,000"
    assert told in site.page("/datasets/fruit/partitions/2026-11-01").text
    assert "Passed over 2,061 exclude 2,000, pattern 61" in site.page("/datasets/fruit").text
    assert "Passed over 0 " in site.page("/datasets/fruit/partitions/2026-11-03").text
    page = site.page("/datasets/fruit/partitions/2026-11-04").text
    assert not re.search(r"Passed over \d", page)  # its version did not count
    assert "Passed over" not in page
    assert "Passed over there, but not taken" in site.page("/datasets/fruit").text  # what the word means


def explained(site: Site, path: str) -> list[str]:
    """The terms that the legend of a page explains."""
    return re.findall("<dt>(.*?)</dt>", site.page(path).html.partition('<dl class="words">')[2])


def test_a_legend_explains_the_terms_of_its_page_and_no_other(site: Site, settings: Settings) -> None:
    dataset_file(settings, "fruit")
    measured = {f"{step}_{what}": 1 for step in MEASURED for what in ("core_seconds", "peak_memory")}
    measured |= {"bytes_read": 1, "bytes_written": 1, "get_requests": 1, "put_requests": 1, "http_requests": 1}
    publish(settings, runs_row("fruit", "2026-11-01", {}, passed_over=[], images_per_core_second=1.0, **measured))
    plain = ["Registered", "Quarantined", "Took", "Images per second"]
    assert explained(site, "/") == [*plain, "Fingerprint"]  # one partition is no trend
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    trend = "Images per second, with waiting"
    assert explained(site, "/") == [*plain, trend, "Fingerprint"]
    assert explained(site, "/datasets/fruit") == [*plain[:2], "Passed over", *plain[2:], trend, "Fingerprint"]
    of_partition = [*plain[:3], "Worker time", plain[3], "Fingerprint"]
    assert explained(site, "/datasets/fruit/partitions/2026-11-02") == of_partition
    cost = ["Core time", "Most memory"]
    expected = [*plain[:2], "Passed over", "Took", "Worker time", plain[3], *cost, "Fingerprint"]
    assert explained(site, "/datasets/fruit/partitions/2026-11-01") == expected
    for path in ("/", "/datasets/fruit", "/datasets/fruit/partitions/2026-11-02"):
        body, _, legend = site.page(path).html.partition('<dl class="words">')
        for term in re.findall("<dt>(.*?)</dt>", legend):
            assert term in body, (path, term)


def test_the_bars_of_few_rejected_objects_are_not_those_of_many(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("fruit", "2026-11-01", {"CORRUPT": 2}), runs_row("fruit", "2026-11-02", {"CORRUPT": 12}))
    bars = {}
    for day in ("2026-11-01", "2026-11-02"):
        page = site.page(f"/datasets/fruit/partitions/{day}")
        bars[day] = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "class")][-1]
    assert bars == {"2026-11-01": "bar few", "2026-11-02": "bar bad"}  # from a hundredth of the listed objects on


def test_before_the_first_run_the_page_says_what_to_do_and_writes_nothing(site: Site, settings: Settings) -> None:
    assert "There is no dataset yet, or none" in site.page().text
    dataset_file(settings, "fruit")
    for path in ("/", "/datasets/fruit"):
        assert "Nothing is published yet. To fill a partition" in site.page(path).text
    assert not list(Path(settings.lake.removeprefix("file://")).iterdir())
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    assert "Nothing is published yet" not in site.page().text


def test_a_source_without_partitions_is_run_with_the_field_left_empty(site: Site, settings: Settings) -> None:
    dataset_file(settings, "whole", "source: s3://photos/")
    told = "To fill the table, open the DAG features_whole , press Trigger , and leave partition empty"
    assert told in site.page("/datasets/whole").text


@pytest.mark.parametrize(
    "url",  # connection refused; refused, or no driver; malformed; not a database
    [
        f"http://user:{SECRET}@127.0.0.1:1/",
        f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/catalog",
        f"postgresql:/user:{SECRET}@127.0.0.1",
        "sqlite:///{lake}/catalog.db",
    ],
)
def test_an_unreachable_catalog_is_one_line_without_its_password(
    site: Site, settings: Settings, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lake = settings.lake.removeprefix("file://")
    Path(lake, "catalog.db").write_bytes(b"not a database")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", url.format(lake=lake))
    page = site.page("/", 503)
    assert "The catalog cannot be read now (" in page.text
    assert page.tags.count("p") == 1
    assert SECRET not in page.html + "".join(capfd.readouterr())


def test_a_catalog_that_does_not_answer_is_a_timeout(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import published

    monkeypatch.setattr(published, "CATALOG_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"http://127.0.0.1:{silent.getsockname()[1]}/")
        assert "The catalog cannot be read now (TimeoutError)" in site.page("/", 503).text


def test_a_malformed_setting_is_named(site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEFEATURES_LAKE", "ftp://lake")
    assert "IMAGEFEATURES_LAKE: 'ftp://lake' is neither" in site.page("/", 503).text


def test_an_installed_page_names_the_setting_that_it_lacks(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagefeatures.settings.REPOSITORY", tmp_path)
    monkeypatch.delenv("IMAGEFEATURES_DATASETS")
    assert "IMAGEFEATURES_DATASETS: must be set" in site.page("/", 503).text


def test_a_copied_lake_is_told_in_the_log_with_both_places_and_the_way_out(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{tmp_path}/copy")
    page = site.page("/", 503)
    assert "The catalog cannot be read now (CatalogRefused). The log of Airflow's API server says why." in page.text
    assert str(tmp_path) not in page.html
    (record,) = [record for record in caplog.records if record.name.endswith("web.published")]
    text = record.getMessage()
    assert f"lies in {settings.lake}/warehouse/features/runs, which is not in this lake, file://{tmp_path}/copy" in text
    assert f"`{program()} relocate-lake`" in text


def test_the_first_page_says_what_the_last_upkeep_removed(site: Site, settings: Settings) -> None:
    assert "Upkeep" not in site.page().text
    first = Report(True, [Line("snapshots", 3), Line("kept rejects", 0)], ["features.<b>: damaged"])
    kept.keep(settings.lake, first, dt.datetime(2026, 11, 15, 3, 0, 9, tzinfo=dt.UTC))
    stray = Line("files of no snapshot", 1200, 3_500_000, 1_793_500_000.0)
    newest = Report(True, [Line("snapshots", 7), stray, Line("kept rejects")], [], {"herbs"})
    kept.keep(settings.lake, newest, dt.datetime(2026, 11, 22, 3, 0, 9, tzinfo=dt.UTC))
    published._latest.clear()
    page = site.page()
    (removed,) = page.tables
    assert removed == [
        ["Kind", "Count", "Size", "The oldest"],
        ["Snapshots", "7", "–", "–"],
        ["Files of no snapshot", "1,200", "3.5 MB", "2026-11-01 02:26 UTC"],
    ]
    assert "Upkeep The last one, at 2026-11-22 03:00 UTC , removed 1,207 things, 3.5 MB." in page.text
    assert "Left What herbs has outside of tables" in page.text
    assert "Upkeeps before 2026-11-15 03:00 UTC 3 things, 0 B, 1 left as it is" in page.text


def test_what_upkeep_left_is_said_in_the_words_of_its_report(site: Site, settings: Settings) -> None:
    report = Report(True, [Line("snapshots")], ["features.<b>x</b>: its folder is another table's too"])
    kept.keep(settings.lake, report, dt.datetime(2026, 11, 22, 3, 0, 9, tzinfo=dt.UTC))
    page = site.page()
    assert page.tables == []
    assert "2026-11-22 03:00 UTC , removed nothing. Left as it is features.<b>x</b>: its folder is another" in page.text


def test_who_may_not_read_the_logs_of_upkeep_sees_nothing_of_it(
    site: Site, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.keep(settings.lake, Report(True, [Line("snapshots", 7)]), dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC))
    monkeypatch.setattr(access, "may_read_logs", lambda user, dag_id: dag_id != "upkeep")
    assert "Upkeep" not in site.page().text
