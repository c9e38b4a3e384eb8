"""A whole run of the DAG over the bad inputs that need no disturbance."""

from __future__ import annotations

import re

from deploy.local.api import Api
from imagefeatures import read
from support.airflow_session import Deployment, HostileRun, ended


def test_every_bad_input_is_a_row_of_a_table(api: Api, deployment: Deployment, hostile_run: HostileRun) -> None:
    source, expected = hostile_run.source, hostile_run.expected
    run = ended(api, hostile_run.run)
    assert run["state"] == "success"

    quarantine = [
        row for row in read.table(deployment.settings, "quarantine").to_pylist() if row["dataset"] == "hostile"
    ]
    answers = {row["uri"]: f"{row['step']} {row['reason']} {row['detail']}" for row in quarantine}
    features = read.table(deployment.settings, "hostile", columns=("uri", "mode")).to_pylist()
    assert len(quarantine) + len(features) == len(expected)
    answers |= {row["uri"]: f"resize ok {row['mode']}" for row in features}
    assert set(answers) == {f"file://{source}/{key}" for key in expected}
    wrong = {
        key: answers[f"file://{source}/{key}"]
        for key, answer in expected.items()
        if not re.fullmatch("{} {} .*{}.*".format(*answer.split(" ", 2)), answers[f"file://{source}/{key}"])
    }
    assert wrong == {}
