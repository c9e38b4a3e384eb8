"""What somebody gets who has an Airflow and a Spark, and installs the wheel: all of it, and nothing of a checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from deploy.local.api import Api
from imagefeatures.settings import REPOSITORY
from support.airflow_session import ended
from support.own_airflow import DAYS, PHOTOS, OwnAirflow
from support.shared import until
from support.spark_cluster import WORKERS, executors

PARSE = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(load_op_links=False)
print(json.dumps([sorted(bag.dags), bag.import_errors]))
"""
PLUGINS = """
import json
from airflow import plugins_manager
ours = [str(plugin.source) for plugin in plugins_manager._get_plugins()[0] if plugin.name == "image_features"]
print(json.dumps([ours, plugins_manager.get_import_errors()]))
"""
ROWS = """
import json
from imagefeatures import read
from imagefeatures.settings import Settings
rows = read.runs(Settings.from_env())
print(json.dumps({row["partition_key"]: [row["listed"], row["registered"], row["quarantined"]] for row in rows}))
"""


def answer(own: OwnAirflow, program: str) -> Any:
    """What a program of the environment prints last."""
    done = own.run("python", "-c", program)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_dag_file_of_three_lines_is_parsed_and_a_malformed_dataset_file_is_reported_beside_it(
    own: OwnAirflow,
) -> None:
    dags, errors = answer(own, PARSE)
    assert dags == ["features_birds"]
    assert [Path(file).name for file in errors] == ["malformed_datasets.py"]
    assert "bad.yaml: limts: unknown field" in next(iter(errors.values()))


def test_airflow_finds_the_plugin_by_its_entry_point(own: OwnAirflow) -> None:
    assert not (own.home / "plugins").exists()
    sources, errors = answer(own, PLUGINS)
    assert [source.partition("==")[0] for source in sources] == ["imagefeatures"]
    assert errors == {}


def test_a_day_runs_without_a_scheduler(own: OwnAirflow, tested: dict[str, Any]) -> None:
    assert tested["state"] == "success", tested
    assert set(tested["tasks"].values()) == {"success"}
    assert answer(own, ROWS)[DAYS[0]] == [PHOTOS, PHOTOS, 0]


def test_nothing_is_imported_from_the_repository(own: OwnAirflow, tested: dict[str, Any]) -> None:
    ours = {name: file for name, file in tested["files"].items() if name.partition(".")[0].startswith("imagefeatures")}
    assert {"imagefeatures.plan", "imagefeatures_airflow.pipeline", "imagefeatures_airflow.tasks"} <= ours.keys()
    packages = own.folder / "environment" / "lib"
    assert all(Path(file).is_relative_to(packages) for file in ours.values()), ours
    assert [file for file in tested["files"].values() if Path(file).is_relative_to(REPOSITORY)] == []
    assert str(REPOSITORY) not in json.dumps(own.variables(own.home, 0))
    assert f"{packages}" in tested["said"]  # spark-submit …/site-packages/imagefeatures_spark/ingest.py


def test_a_day_is_run_by_the_scheduler_and_both_workers_of_a_spark_cluster(own: OwnAirflow, api: Api) -> None:
    api.patch("/api/v2/dags/features_birds", {"is_paused": False})
    conf = {"partition": DAYS[1], "shard_images": 2}
    path = "/api/v2/dags/features_birds/dagRuns"
    run = ended(api, api.post(path, {"logical_date": None, "conf": conf}))
    assert run["state"] == "success", api.tasks("features_birds", run["dag_run_id"])
    assert answer(own, ROWS)[DAYS[1]] == [PHOTOS, PHOTOS, 0]
    ran = executors(own.folder / "work")
    assert len(ran) == WORKERS
    assert all(ran.values()), ran


def test_the_malformed_file_is_an_import_error_in_the_ui(api: Api) -> None:
    until(lambda: api.get("/api/v2/importErrors")["import_errors"], timeout_seconds=120)
    (error,) = api.get("/api/v2/importErrors")["import_errors"]
    assert error["filename"] == "malformed_datasets.py"
    assert "bad.yaml: limts: unknown field" in error["stack_trace"]


def test_the_page_shows_the_dataset_to_who_is_logged_in(api: Api) -> None:
    api.get("/api/v2/dags")  # logs in
    request = Request(f"{api.address}/image-features/", headers={"Authorization": f"Bearer {api._token}"})
    with urlopen(request, timeout=60) as page:
        text = page.read().decode()
    assert page.status == 200
    assert "birds" in text and DAYS[0] in text
    assert "bad.yaml: limts: unknown field" in text


def test_settings_without_a_lake_are_refused_by_the_variables_name(own: OwnAirflow) -> None:
    program = "from imagefeatures.settings import Settings; print(Settings.from_env().datasets)"
    for name, more in {"LAKE": {"IMAGEFEATURES_LAKE": ""}, "DATASETS": {}}.items():
        refused = own.run("python", "-c", program, **more)
        assert refused.returncode == 1
        assert f"SettingsError: IMAGEFEATURES_{name}: must be set. imagefeatures is installed in " in refused.stderr


def test_a_job_is_a_module_that_python_runs(own: OwnAirflow, tested: dict[str, Any]) -> None:
    gone = f"file://{own.folder}/lake/staging/birds/{DAYS[0]}/gone/run.json"
    refused = own.run("python", "-m", "imagefeatures_spark.ingest", "--run", gone)
    assert refused.returncode == 65, refused.stderr
    assert refused.stdout.splitlines()[-1].startswith(f"ingest: ParamsError: --run: there is no {gone}")
