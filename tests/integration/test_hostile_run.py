"""A whole run of the DAG over the bad inputs that need no disturbance."""

from __future__ import annotations

import re
from pathlib import Path

from demo.photos import Day
from deploy.local.api import Api
from imagefeatures import read
from support.airflow_session import DAYS, Deployment, ended, trigger
from support.hostile import FILES, ODD_KEYS, SMALL
from support.photos import fill, jpeg


def test_every_bad_input_is_a_row_of_a_table(api: Api, deployment: Deployment, layout: tuple[Path, list[Day]]) -> None:
    bad = {f"bad/{at:02d}{hostile.ending}": hostile for at, hostile in enumerate(FILES.values())}
    bad = {key: hostile for key, hostile in bad.items() if hostile.fields in ({}, SMALL)}
    odd = {f"odd/{key}": jpeg(at) for at, key in enumerate(ODD_KEYS)}
    source = fill(layout[0] / "hostile", {key: hostile.make() for key, hostile in bad.items()} | odd)
    expected = {key: " ".join(hostile.answer) for key, hostile in bad.items()}
    expected |= dict.fromkeys(odd, "resize ok RGB")

    run = ended(api, trigger(api, "hostile", partition=DAYS[0]))
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
