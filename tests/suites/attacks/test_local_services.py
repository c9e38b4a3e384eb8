"""`make up` on a machine that others use too: what it listens on, what they can read; and services that are killed.

The real command, with a folder of its own instead of the checkout's.
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local.claim import free_port
from deploy.local.services import PASSWORDS, SERVICES
from support.make_up import SECONDS, Up
from support.shared import until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    before = os.umask(0o022)  # others may read what is not closed to them
    started = Up.start(tmp_path_factory.mktemp("checkout") / ".airflow", free_port())
    os.umask(before)
    yield started.wait_until_up()
    started.stop()


def listening(pid: int) -> dict[tuple[str, int], str]:
    """Address and port: command line. Of all that listens of a process and of those below it."""
    found = {}
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                found[connection.laddr.ip, connection.laddr.port] = " ".join(process.cmdline())
    return found


def test_everything_listens_on_this_machine_alone(up: Up) -> None:
    found = listening(up.process.pid)
    assert ("127.0.0.1", up.port) in found
    assert {address for address, _ in found} == {"127.0.0.1"}
    assert 8793 not in {port for _, port in found}  # the log server, whose address cannot be set


def test_nobody_else_may_read_passwords_keys_and_logs(up: Up) -> None:
    assert stat.S_IMODE(up.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((up.home / PASSWORDS).stat().st_mode) == 0o600
    for log in (up.home / "logs").glob("*.log"):
        assert up.api.password not in log.read_text(errors="replace")


def test_a_second_make_up_names_the_first_and_stops_nothing(up: Up) -> None:
    before = up.services()
    second = Up.start(up.home, free_port())
    assert second.process.wait(60) == 0
    assert f"Airflow runs in {up.home} already. Process {up.process.pid} has started it" in second.said
    assert f"http://127.0.0.1:{up.port}" in second.said
    assert up.services() == before
    assert up.api.healthy()


def test_another_checkout_on_the_same_port_is_refused_before_anything_starts(up: Up, tmp_path: Path) -> None:
    other = Up.start(tmp_path / "other" / ".airflow", up.port)
    assert other.process.wait(60) == 1
    line = f"PortTaken: port {up.port} of 127.0.0.1 is taken by process {up.services()['api-server']} (airflow api"
    assert line in other.said
    assert f"started in {up.home}" in other.said
    assert {path.name for path in other.home.iterdir()} == {PASSWORDS, "running.json"}
    assert up.api.healthy()


def test_airflows_home_has_nothing_in_red(up: Up) -> None:
    def health() -> dict[str, str]:
        found = up.api.get("/api/v2/monitor/health")
        return {part: found[part]["status"] for part in found}

    wanted = {"metadatabase", "scheduler", "triggerer", "dag_processor"}
    until(lambda: health() == dict.fromkeys(wanted, "healthy"), SECONDS)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param("2026-11-02T05:00:00.000Z", "2026-11-05T04:59:59.999Z", id="New York"),
        pytest.param("2026-11-01T15:00:00.000Z", "2026-11-04T14:59:59.999Z", id="Tokyo"),
        pytest.param("2026-11-01T23:00:00.000Z", "2026-11-03T23:00:00.000Z", id="Berlin, with midnights typed"),
    ],
)
def test_a_backfill_fills_the_days_that_were_typed_in_a_browser(up: Up, first: str, last: str) -> None:
    """The instants are what Airflow's form sends for the 2nd to the 4th of November."""
    until(lambda: any(dag["dag_id"] == "features_fruit" for dag in up.api.get("/api/v2/dags")["dags"]), SECONDS)
    request = {"dag_id": "features_fruit", "from_date": first, "to_date": last, "reprocess_behavior": "completed"}
    found = up.api.post("/api/v2/backfills/dry_run", request)
    assert [run["partition_key"] for run in found["backfills"]] == ["2026-11-02", "2026-11-03", "2026-11-04"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_that_is_killed_is_named_and_started_again(up: Up, name: str) -> None:
    before = up.services()
    assert set(before) == set(SERVICES)
    os.kill(before[name], signal.SIGKILL)
    line = f"airflow {name} was ended by SIGKILL; see {up.home / 'logs' / f'{name}.log'}. It is started again in 1 s"
    until(lambda: line in up.said and set(up.services()) == set(SERVICES) and up.api.healthy(), SECONDS)
    after = up.services()
    assert after.pop(name) != before.pop(name)
    assert after == before
    assert up.process.poll() is None
    dags = up.api.get("/api/v2/dags?limit=1")
    assert "dags" in dags


def test_ctrl_c_ends_what_was_started_in_the_meantime_too(up: Up) -> None:
    below = [process.pid for process in psutil.Process(up.process.pid).children(recursive=True)]
    up.stop()
    assert up.process.returncode == 0
    assert "stopping …" in up.said
    until(lambda: not any(psutil.pid_exists(pid) for pid in below), 60)


def test_make_up_that_was_killed_leaves_nothing_in_the_way_and_a_service_that_always_ends_is_given_up(
    tmp_path: Path,
) -> None:
    home, port = tmp_path / ".airflow", free_port()
    killed = Up.start(home, port).wait_until_up()
    below = [process.pid for process in psutil.Process(killed.process.pid).children(recursive=True)]
    killed.process.kill()
    killed.process.wait()
    again = Up.start(home, port).wait_until_up()
    assert again.api.password in again.said
    assert not any(psutil.pid_exists(pid) for pid in below)

    began = time.monotonic()
    while again.process.poll() is None and time.monotonic() - began < SECONDS:
        if pid := again.services().get("dag-processor"):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
    assert again.process.wait(60) == 1
    log = home / "logs" / "dag-processor.log"
    assert f"ServiceFailed: airflow dag-processor was ended by SIGKILL; see {log}. It has ended 6 times" in again.said
    assert not again.api.healthy()
