"""The page of a DAG run: its partition, and its note."""

from __future__ import annotations

from airflow.utils.state import DagRunState

from imagefeatures.settings import Settings
from support.web import Site, dag_run_is, publish, return_from_plan, runs_row


def test_the_page_of_a_dag_run_finds_the_partition_that_was_planned(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    runs = {"own": "2026-11-02/run-of-2026-11-02", "other": "2026-11-02/other-run", "running": "2026-11-05/a-run"}
    for dag_run, folder in runs.items():
        run_file = f"{settings.lake}/staging/fruit/{folder}/run.json"
        return_from_plan("features_fruit", f"manual__{dag_run}+00:00", run_file)
    return_from_plan("features_fruit", "manual__foreign+00:00", "file:///elsewhere/run.json")
    dag_run_is("features_fruit", "manual__other+00:00", DagRunState.SUCCESS)
    said = {
        "own": "fruit 2026-11-02 This DAG run published this partition.",
        "other": "2026-11-02 The partition holds what another run has published; this DAG run's own is other-run.",
        "running": "fruit 2026-11-05 This DAG run fills partition 2026-11-05, which is not published yet.",
        "foreign": "fruit This DAG run has no partition yet. Listed",
        "new": "fruit Airflow knows no run of this name.",
    }
    for dag_run, note in said.items():
        assert note in site.page(f"/dags/features_fruit/runs/manual__{dag_run}%2B00:00").text
    assert "other_dag fills no dataset" in site.page("/dags/other_dag/runs/manual__own", 404).text


def test_a_dag_run_that_fills_a_published_partition_again_says_so(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("limes", "2026-11-02", {}))
    return_from_plan("features_limes", "manual__again", f"{settings.lake}/staging/limes/2026-11-02/again/run.json")
    dag_run_is("features_limes", "manual__again", DagRunState.RUNNING, plan="success")
    said = "This DAG run fills partition 2026-11-02 again; until it is published the partition holds what another"
    assert said in site.page("/dags/features_limes/runs/manual__again").text


def test_a_dag_run_that_failed_after_it_had_published_is_called_failed(site: Site, settings: Settings) -> None:
    publish(settings, runs_row("figs", "2026-11-02", {}))
    run_file = f"{settings.lake}/staging/figs/2026-11-02/run-of-2026-11-02/run.json"
    return_from_plan("features_figs", "manual__checked", run_file)
    dag_run_is("features_figs", "manual__checked", DagRunState.FAILED, register="success", statistics="failed")
    page = site.page("/dags/features_figs/runs/manual__checked")
    assert "This DAG run published this partition. Failed: statistics; that task's log says more." in page.text
    assert ("p", "class", "note bad") in page.attributes


def test_the_page_of_a_published_dag_run_says_how_long_its_tasks_took_and_leads_to_their_logs(
    site: Site, settings: Settings
) -> None:
    publish(settings, runs_row("nuts", "2026-11-02", {}))
    return_from_plan(
        "features_nuts", "manual__2", f"{settings.lake}/staging/nuts/2026-11-02/run-of-2026-11-02/run.json"
    )
    dag_run_is("features_nuts", "manual__2", DagRunState.SUCCESS, register="success", ingest="success", checks="failed")
    page = site.page("/dags/features_nuts/runs/manual__2")
    assert "This DAG run published this partition." in page.text
    assert page.tables[-1] == [  # in the order of the run; what it has besides comes last
        ["Task", "State", "Takes", "Log"],
        ["ingest", "done", "30 s", "Log of ingest"],
        ["register", "done", "30 s", "Log of register"],
        ["checks", "failed", "30 s", "Log of checks"],
    ]
    assert {"ingest", "register", "checks"} <= {value for tag, name, value in page.attributes if name == "id"}  # tabs
    of_tasks = "/dags/features_nuts/runs/manual__2/tasks/"
    links = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    found = [value.removeprefix(of_tasks) for value in links if value.startswith(of_tasks)]
    assert found == ["ingest", "register", "checks"]
    assert "Tasks of this DAG run" not in site.page("/datasets/nuts/partitions/2026-11-02").text
    return_from_plan(  # whose task instances Airflow has removed
        "features_nuts", "manual__3", f"{settings.lake}/staging/nuts/2026-11-02/run-of-2026-11-02/run.json"
    )
    assert "Tasks of this DAG run" not in site.page("/dags/features_nuts/runs/manual__3").text


def test_the_slowest_shards_of_a_published_run_stay_on_its_pages(site: Site, settings: Settings) -> None:
    kept = [
        {"step": "resize", "shard": 12, "images": 512, "seconds": 64.0},
        {"step": "ingest", "shard": 0, "images": 3, "seconds": 0.0},
    ]
    publish(settings, runs_row("pears", "2026-11-02", {}, slowest=kept), runs_row("pears", "2026-11-01", {}))
    return_from_plan(
        "features_pears", "manual__1", f"{settings.lake}/staging/pears/2026-11-02/run-of-2026-11-02/run.json"
    )
    for path in ("/datasets/pears/partitions/2026-11-02", "/dags/features_pears/runs/manual__1"):
        page = site.page(path)
        assert page.tables[1] == [
            ["Shard", "Step", "Images", "Takes", "Images per second"],
            ["12", "resize", "512", "64 s", "8.0"],
            ["0", "ingest", "3", "0.0 s", "–"],
        ]
    assert "Slowest shards" not in site.page("/datasets/pears/partitions/2026-11-01").text  # older than the column


def test_the_page_of_a_classifier_shows_the_dataset_and_says_where_its_results_are(
    site: Site, settings: Settings
) -> None:
    publish(settings, runs_row("fruit", "2026-11-02", {}))
    said = site.page("/dags/classify_fruit/runs/manual__1").text
    assert "fruit This DAG run fits a classifier to the features" in said
    assert "learning.evaluations has a row for each classifier" in said
    assert "classify_other fills no dataset" in site.page("/dags/classify_other/runs/manual__1", 404).text
