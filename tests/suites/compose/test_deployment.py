"""The containers from nothing, with two Spark workers: what must hold of them. `make test-compose`

Not part of the suite: it builds an image of 3 GB. It brings the deployment up, backfills the demo's three days, has one
run refused, and then looks everywhere that a secret could have got to.
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from urllib.request import Request, urlopen

import pytest

from demo import photos
from deploy.compose import env
from deploy.local.api import Api
from imagefeatures import read
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps import SPARK_STEPS
from support.containers import OURS, PROJECT, WORKERS, Stack, figures

SERVICES = [(name, 1) for name in OURS] + [("spark-worker", index + 1) for index in range(WORKERS)]
STRANGER = """
from pyspark import SparkContext
print(SparkContext("spark://spark-master:7077", "stranger").parallelize([1], 1).count(), "task was run")
"""


def test_the_demo_adds_up(demo: str) -> None:
    assert "all          1,399       1,396            3" in demo


def test_the_page_shows_what_was_published(api: Api, demo: str) -> None:
    login = {"username": "admin", "password": api.password}
    token = api.post("/auth/token", login)["access_token"]
    page = Request(
        f"{api.address}/image-features/datasets/{photos.DATASET}", headers={"Authorization": f"Bearer {token}"}
    )
    with urlopen(page, timeout=60) as answer:
        text = answer.read().decode()
    assert all(day in text for day in photos.PARTITIONS)


def test_the_table_can_be_read_from_the_host(stack: Stack, demo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what docs/deploying.md says."""
    text = (REPOSITORY / "docs" / "deploying.md").read_text()
    (export,) = re.findall(r"(?s)```sh\n(set -a; \. \./\.env; set \+a\n.*?)```", text)
    line = f"{export.replace('./.env', str(stack.env_file))}\nenv -0"
    found = subprocess.run(["bash", "-c", line], stdout=subprocess.PIPE, check=True, text=True).stdout
    for name, value in (
        pair.split("=", 1) for pair in found.split("\0") if pair.startswith(("AWS_", "IMAGEFEATURES_"))
    ):
        monkeypatch.setenv(name, value)
    assert read.table(Settings.from_env(), photos.DATASET, columns=("uri",)).num_rows == 1396


def test_spark_sql_counts_what_was_registered(stack: Stack, demo: str) -> None:
    query = "QUERY=SELECT partition_key, count(*) FROM features.fruit GROUP BY partition_key ORDER BY partition_key"
    said = stack.output("run", "--rm", "--no-deps", "-T", "-e", query, "spark-sql").decode().splitlines()
    counts = dict(line.split("\t") for line in said if line.startswith("2026-"))
    assert sorted(counts) == list(photos.PARTITIONS)
    assert sum(map(int, counts.values())) == 1396


def test_every_worker_did_tasks_of_every_day_and_none_failed(stack: Stack, events: list[dict[str, object]]) -> None:
    started = [event for event in events if event["Event"] == "SparkListenerApplicationStart"]
    assert len(started) >= len(photos.PARTITIONS) * len(SPARK_STEPS)
    tasks = [event for event in events if event["Event"] == "SparkListenerTaskEnd"]
    assert {task["Task End Reason"]["Reason"] for task in tasks} == {"Success"}
    by_host = Counter(task["Task Info"]["Host"] for task in tasks)
    figures.append(f"{len(started)} Spark jobs, {len(tasks)} tasks, none failed; by worker: {sorted(by_host.values())}")
    workers = [
        one for one in stack.containers() if one["Config"]["Labels"]["com.docker.compose.service"] == "spark-worker"
    ]
    # A worker is in the store's network too; Spark knows it by its address among Spark's processes.
    addresses = {one["NetworkSettings"]["Networks"][f"{PROJECT}_spark"]["IPAddress"] for one in workers}
    assert set(by_host) == addresses
    assert len(addresses) == WORKERS
    assert min(by_host.values()) >= len(photos.PARTITIONS)


@pytest.mark.parametrize(("service", "index"), SERVICES)
def test_no_process_of_ours_has_rights(stack: Stack, service: str, index: int) -> None:
    status = stack.inside(service, "cat", "/proc/1/status", index=index).decode()
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert facts["Uid"].split() == ["50000"] * 4
    assert int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"


def test_nothing_is_published_but_three_ports_of_this_machine_alone(stack: Stack) -> None:
    bound = [
        binding
        for one in stack.containers()
        for ports in (one["NetworkSettings"]["Ports"] or {}).values()
        for binding in ports or []
    ]
    assert {binding["HostIp"] for binding in bound} == {"127.0.0.1"}
    ports = {stack.variables[name] for name in ("AIRFLOW_PORT", "OBJECT_STORE_PORT", "POSTGRES_PORT")}
    assert {binding["HostPort"] for binding in bound} == ports


def test_a_driver_without_the_secret_gets_no_executor(stack: Stack, demo: str) -> None:
    """And one that has it does: else the refusal would prove nothing."""
    program = ("airflow-scheduler", "timeout", "150", "python", "-c", STRANGER)
    right = stack.compose("run", "--rm", "--no-deps", "-T", *program, check=False, capture_output=True, text=True)
    assert "1 task was run" in right.stdout, right.stderr[-3000:]
    wrong = ("run", "--rm", "--no-deps", "-T", "--env", "_SPARK_AUTH_SECRET=in-the-environment")
    stranger = stack.compose(*wrong, *program, check=False, capture_output=True, text=True)
    assert stranger.returncode != 0
    assert "task was run" not in stranger.stdout
    assert "All masters are unresponsive" in stranger.stderr, stranger.stderr[-3000:]


def test_sparks_rest_api_is_off(stack: Stack) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        stack.inside("airflow-scheduler", "bash", "-c", "exec 3<>/dev/tcp/spark-master/6066")
    stack.inside("airflow-scheduler", "bash", "-c", "exec 3<>/dev/tcp/spark-master/7077")


@pytest.mark.parametrize(
    ("service", "reached", "not_reached"),
    [
        ("spark-worker", {"spark-master/7077", "object-store/9000"}, {"postgres/5432", "airflow-apiserver/8080"}),
        ("spark-master", set(), {"postgres/5432", "airflow-apiserver/8080", "object-store/9000"}),
        (
            "airflow-dag-processor",
            {"postgres/5432", "airflow-apiserver/8080"},
            {"object-store/9000", "spark-master/7077"},
        ),
        ("airflow-triggerer", {"postgres/5432", "airflow-apiserver/8080"}, {"object-store/9000", "spark-master/7077"}),
        ("airflow-apiserver", {"postgres/5432", "object-store/9000"}, {"spark-master/7077"}),
    ],
)
def test_a_service_reaches_what_it_needs_alone(
    stack: Stack, service: str, reached: set[str], not_reached: set[str]
) -> None:
    def reaches(place: str) -> bool:
        try:
            stack.inside(service, "timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{place}")
        except subprocess.CalledProcessError:
            return False
        return True

    assert {place for place in reached | not_reached if reaches(place)} == reached


def test_no_container_may_take_the_whole_machine(stack: Stack) -> None:
    for one in stack.containers():
        limits = one["HostConfig"]
        assert 0 < limits["Memory"] <= 6 << 30, one["Name"]
        assert 0 < limits["PidsLimit"] <= 4096, one["Name"]
        assert limits["LogConfig"]["Config"]["max-size"] == "10m", one["Name"]


def test_the_workers_key_writes_the_lake_alone(stack: Stack) -> None:
    """tests/deploy/test_bucket_keys.py has every key and every right."""
    program = (
        "import boto3, os; s3 = boto3.client('s3'); bucket = os.environ['IMAGEFEATURES_LAKE'].split('/')[2]\n"
        "s3.put_object(Bucket=bucket, Key='lake/check', Body=b''); s3.delete_object(Bucket=bucket, Key='lake/check')\n"
        "s3.put_object(Bucket=bucket, Key='photos/check', Body=b'')"
    )
    line = ("exec", "-T", "spark-worker", "python", "-c", program)
    done = stack.compose(*line, check=False, capture_output=True, text=True)
    assert "AccessDenied" in done.stderr
    assert "photos" in done.stderr or "PutObject" in done.stderr


@pytest.mark.parametrize("user", ["airflow", "catalog"])
@pytest.mark.parametrize("database", ["airflow", "catalog"])
def test_a_databases_user_enters_that_one_alone(stack: Stack, user: str, database: str) -> None:
    line = f'PGPASSWORD="${user.upper()}_DB_PASSWORD" psql -h 127.0.0.1 -U {user} -d {database} -c "select 1"'
    done = stack.compose("exec", "-T", "postgres", "bash", "-c", line, check=False, capture_output=True, text=True)
    assert (done.returncode == 0) is (user == database), done.stderr
    assert user == database or "permission denied for database" in done.stderr


def test_no_secret_in_any_log(stack: Stack, refused: str) -> None:
    """Of containers, tasks, Spark's drivers and executors; Spark's event logs among them."""
    logs = stack.output("logs", "--no-color") + stack.inside("airflow-scheduler", "tar", "-cC", "/opt/airflow", "logs")
    logs += b"".join(
        stack.inside("spark-worker", "tar", "-cC", "/var/lib", "spark", index=at + 1) for at in range(WORKERS)
    )
    figures.append(f"{len(logs) / 1e6:.1f} MB of logs looked through for {len(stack.secrets)} secrets")
    for everyday in (b"TooManyRejected", b"SparkListenerEnvironmentUpdate", b"ExecutorRunner: Launch command"):
        assert everyday in logs
    assert hidden(stack, logs) == []


def test_no_secret_in_the_lake(stack: Stack, lake: dict[str, bytes], refused: str) -> None:
    assert b"max_rejected" in lake[refused]
    assert [(uri, name) for uri, data in lake.items() for name in hidden(stack, data)] == []


@pytest.mark.parametrize("database", ["airflow", "catalog"])
def test_no_secret_in_a_database(stack: Stack, refused: str, database: str) -> None:
    """Rendered fields, XComs, connections, audit log: whatever Airflow and the catalog have stored."""
    dump = stack.inside("postgres", "pg_dump", "-U", "postgres", database)
    assert (refused if database == "airflow" else "warehouse/features/fruit").encode() in dump
    assert hidden(stack, dump) == []


def test_no_secret_on_any_command_line(stack: Stack, refused: str, command_lines: set[str]) -> None:
    lines = "\n".join(command_lines)
    assert "CoarseGrainedExecutorBackend" in lines
    assert "spark-submit" in lines or "SparkSubmit" in lines
    assert hidden(stack, lines.encode()) == []


def test_a_secret_would_have_been_found(stack: Stack) -> None:
    for name, value in stack.secrets.items():
        assert hidden(stack, f"password={value}&".encode()) == [name]


def hidden(stack: Stack, where: bytes) -> list[str]:
    """The names of the secrets whose values are in there."""
    assert len(stack.secrets) == len(env.names_of_secrets()) >= 9
    return [name for name, value in stack.secrets.items() if value.encode() in where]
