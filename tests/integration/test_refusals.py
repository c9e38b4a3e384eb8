"""What cannot work is refused early, in one line, without a retry, and publishes nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from deploy.local.api import Api, ApiError
from deploy.local.run_partition import run_partition
from imagefeatures import read
from support.airflow_session import DAYS, Deployment, trigger


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("partition", "../x"),
        ("partition", "$(touch /tmp/x)"),
        ("sample", 0),
        ("sample", "half"),
        ("max_rejected", 1.5),
        ("decode_seconds", -1),
        ("shard_images", 0),
        ("shard_bytes", 10**12),
    ],
)
def test_the_trigger_form_refuses_values_out_of_bounds(api: Api, field: str, value: Any) -> None:
    with pytest.raises(ApiError) as refusal:
        trigger(api, "fruit", **{"partition": DAYS[0], field: value})
    assert refusal.value.status == 400
    assert f"Invalid input for param {field}: " in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_malformed_dataset_file_is_one_import_error_and_hides_no_other_dag(api: Api) -> None:
    errors = api.get("/api/v2/importErrors")["import_errors"]
    assert [error["filename"] for error in errors] == ["malformed_datasets.py"]
    assert "broken.yaml: limits.max_bytes: " in errors[0]["stack_trace"]
    assert "Traceback" not in errors[0]["stack_trace"]
    good = {dag["dag_id"]: dag for dag in api.get("/api/v2/dags")["dags"]}
    assert "features_broken" not in good
    assert not good["features_fruit"]["has_import_errors"]


@pytest.mark.long
def test_a_spent_failure_budget_fails_the_run_at_once_and_says_why(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_partition(deployment.home / "run", "strict", DAYS[0])
    said = capsys.readouterr().out
    assert status == 1
    assert "TooManyRejected: " in said
    assert "limits.max_rejected allows 0.0%" in said
    (seconds,) = re.findall(r"^\d+ s: plan .*$", said, re.MULTILINE)
    assert "validate" in seconds
    assert "resize" not in seconds
    assert "tries" not in seconds
    published = {row["dataset"] for row in read.table(deployment.settings, "runs").to_pylist()}
    assert "strict" not in published


def test_an_unknown_parameter_is_refused_by_name(deployment: Deployment) -> None:
    code = (
        "import json, sys; from pathlib import Path; from imagefeatures_airflow import tasks\n"
        "try: tasks.plan(Path(sys.argv[2]), 'fruit', json.loads(sys.argv[1]), None)\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    given = json.dumps({"partition": DAYS[0], "shard_imagez": 5})
    env = deployment.env | {"PYTHONPATH": deployment.env["AIRFLOW__CORE__PLUGINS_FOLDER"]}
    done = subprocess.run(
        [sys.executable, "-c", code, given, str(deployment.settings.datasets)], env=env, capture_output=True, text=True
    )
    assert "ParamsError shard_imagez: unknown field" in done.stdout
