"""One day through Airflow on MinIO, PostgreSQL and a Spark cluster: as good as on one machine, and no secret told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from demo import photos, report
from deploy.local.run_partition import run_partition
from imagefeatures import read
from imagefeatures.settings import Settings
from support import watch_secrets
from support.spark_cluster import BUCKET, DAY, WORKERS, Stack, executors

Published = dict[str, Any]


def test_the_day_is_published_and_adds_up(
    published: Published, stack: Stack, day: tuple[Path, photos.Day], capsys: pytest.CaptureFixture[str]
) -> None:
    assert published["state"] == "success", published["tasks"]
    rows = read.table(stack.settings, "runs").to_pylist()
    assert report.check(rows, [day[1]]) == []
    seconds = ", ".join(f"{task['task_id']} {task['duration']:.0f}" for task in published["tasks"])
    with capsys.disabled():
        print(f"\n{rows[0]['listed']} photos on the cluster, seconds: {seconds}")


def test_both_spark_workers_worked(published: Published, stack: Stack) -> None:
    ran = executors(stack.work)
    assert len(ran) == WORKERS
    assert all(ran.values()), ran
    logs = sorted(stack.events.iterdir())
    assert len(logs) == 4
    for log in logs:
        events = [json.loads(line) for line in log.read_text().splitlines()]
        ended = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
        assert {event["Task End Reason"]["Reason"] for event in ended} == {"Success"}
        assert len({event["Task Info"]["Executor ID"] for event in ended}) == WORKERS


def test_the_tables_are_those_of_one_machine(
    published: Published,
    stack: Stack,
    day: tuple[Path, photos.Day],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets = tmp_path / "datasets"
    datasets.mkdir()
    (datasets / "fruit.yaml").write_text(f"name: fruit\nsource: file://{day[0].parent}/{{partition}}/\n")
    for name in ("IMAGEFEATURES_CATALOG", "AIRFLOW_CONN_SPARK_DEFAULT", "SPARK_SUBMIT_OPTS"):
        monkeypatch.delenv(name)
    for name in ("SQL_ALCHEMY_CONN", "SQL_ALCHEMY_CONN_ASYNC"):
        monkeypatch.delenv(f"AIRFLOW__DATABASE__{name}")
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{tmp_path}/lake")
    monkeypatch.setenv("IMAGEFEATURES_DATASETS", str(datasets))
    assert run_partition(tmp_path / "airflow", "fruit", DAY) == 0
    prefixes = {f"s3://{BUCKET}/photos/fruit/": stack.settings, f"file://{day[0].parent}/": Settings.from_env()}
    on_cluster, on_one_machine = (_content(settings, prefix) for prefix, settings in prefixes.items())
    assert on_cluster == on_one_machine


def _content(settings: Settings, prefix: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Both tables without what differs between deployments: uri below the prefix, and no ETag, run or time."""
    columns = ("uri", "image_id", "label", "width", "height", "mode", "size", "fingerprint", "features")
    features = read.table(settings, "fruit", columns=columns).to_pylist()
    rejected = read.table(settings, "quarantine", columns=("uri", "step", "reason", "detail")).to_pylist()
    assert all(row["uri"].startswith(prefix) for row in features + rejected)
    for row in features + rejected:
        row["uri"] = row["uri"].removeprefix(prefix)
    return tuple(sorted((tuple(row.values()) for row in rows), key=lambda row: row[0]) for rows in (features, rejected))


def test_no_secret_is_told(published: Published, stack: Stack) -> None:
    assert published["seen"] == set()  # on a command line
    logs = [path for path in stack.home.rglob("*.log") if path.stat().st_size]
    assert len(logs) >= 7
    assert watch_secrets.in_files(stack.home) == []  # Airflow's logs and configuration
    assert watch_secrets.in_files(stack.work) == []  # what the executors printed
    assert watch_secrets.in_files(stack.events) == []
    assert watch_secrets.in_objects(f"s3://{BUCKET}/lake") == []  # models and tables
    assert watch_secrets.in_database(stack.database) == []  # XCom, rendered fields, connections
    assert watch_secrets.in_database(stack.settings.catalog) == []


def test_a_secret_would_have_been_found(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"key=" + watch_secrets.SECRETS[0])
    assert watch_secrets.in_files(tmp_path) == [str(tmp_path / "log")]
