"""Who has Airflow's folder, and who has the port: real processes, one after the other and at once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import claim
from deploy.local.claim import Owner, PortTaken, claimed, free_port, require_free
from imagefeatures.settings import REPOSITORY

HOLD = """
import sys, time
from pathlib import Path
from deploy.local.claim import claimed
with claimed(Path(sys.argv[1]), 4711) as other:
    print(other, flush=True)
    time.sleep(float(sys.argv[2]))
"""
LISTEN = """
import socket, sys, time
with socket.create_server((sys.argv[2], int(sys.argv[1]))):
    print("listening", flush=True)
    time.sleep(float(sys.argv[3]))
"""


@contextlib.contextmanager
def running(program: str, *words: object, folder: Path = REPOSITORY) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A Python process, and the first line that it has printed."""
    command = [sys.executable, "-c", program, *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_folder_has_one_owner_and_the_second_learns_who_it_is(tmp_path: Path) -> None:
    with running(HOLD, tmp_path, 60) as (first, said):
        assert said == "None"
        with claimed(tmp_path, 1) as other:
            assert other == Owner(first.pid, 4711)
        with running(HOLD, tmp_path, 60) as (_, also):
            assert also == f"Owner(pid={first.pid}, port=4711)"
    with claimed(tmp_path, 1) as other:
        assert other is None


def test_an_owner_that_was_killed_owns_nothing(tmp_path: Path) -> None:
    with running(HOLD, tmp_path, 60) as (first, _):
        first.send_signal(signal.SIGKILL)
        first.wait()
        with claimed(tmp_path, 1) as other:
            assert other is None


def test_what_the_owner_starts_does_not_hold_the_folder_for_it(tmp_path: Path) -> None:
    with claimed(tmp_path, 1):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    try:
        with claimed(tmp_path, 1) as other:
            assert other is None
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_is_taken_is_refused_at_once_by_the_name_of_its_holder(tmp_path: Path, address: str) -> None:
    port = free_port()
    folder = tmp_path / "another checkout"
    folder.mkdir()
    with running(LISTEN, port, address, 60, folder=folder) as (holder, _):
        began = time.monotonic()
        with pytest.raises(PortTaken) as refused:
            require_free(port, tmp_path / ".airflow")
        assert time.monotonic() - began < 5
    text = str(refused.value)
    assert f"port {port} of 127.0.0.1 is taken by process {holder.pid} (" in text
    assert f"started in {folder}); stop it, or choose another port, such as make up PORT=8081" in text
    assert "\n" not in text
    require_free(port, tmp_path)


def test_a_service_that_has_lost_its_parent_is_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with running(LISTEN, port, "127.0.0.1", 2, folder=tmp_path):
        require_free(port, tmp_path)
        with pytest.raises(PortTaken), running(LISTEN, port, "127.0.0.1", 60, folder=tmp_path):
            patient, claim.LEAVING_SECONDS = claim.LEAVING_SECONDS, 1
            try:
                require_free(port, tmp_path)
            finally:
                claim.LEAVING_SECONDS = patient


def test_a_connection_that_has_just_ended_does_not_hold_a_port(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        taken, _ = server.accept()
        taken.close()  # the server's side first: the port stays in TIME_WAIT
        client.close()
    require_free(port, tmp_path)
