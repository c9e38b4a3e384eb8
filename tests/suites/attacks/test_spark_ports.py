"""Spark on one machine: its ports, to others who work there. As `make run`, as by hand, and by `python -m`."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from imagefeatures.settings import REPOSITORY

JOB = Path(__file__).with_name("listening_job.py")
BY_HAND = ["spark-submit", "--master", "local[2]"]
OPEN = ["--conf", "spark.authenticate=false"]


@contextlib.contextmanager
def listening(*command: str) -> Iterator[list[tuple[str, int]]]:
    """What the job's processes listen on, while it runs. Nothing but PYSPARK_PYTHON and the path is set, as by hand."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    unset = {"SPARK_LOCAL_IP", "SPARK_SUBMIT_OPTS", "SPARK_CONF_DIR"}
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env |= {"PATH": path, "PYSPARK_PYTHON": sys.executable}
    env |= {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "jobs")))}
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    job = subprocess.Popen([*command, str(JOB)], env=env, start_new_session=True, **streams)
    assert job.stdout
    try:
        assert "listening" in (line.decode().strip() for line in job.stdout)
        processes = [psutil.Process(job.pid), *psutil.Process(job.pid).children(recursive=True)]
        connections = [connection for process in processes for connection in process.net_connections("inet")]
        yield [
            (connection.laddr.ip, connection.laddr.port)
            for connection in connections
            if connection.status == psutil.CONN_LISTEN
        ]
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()


def answer(address: tuple[str, int]) -> bytes:
    """What a port says to a request of Spark's own protocol, by somebody who knows no secret."""
    body = b"\xac\xed\x00\x05" + b"t\x00\x05hello" * 4  # a serialized Java object
    frame = struct.pack(">BqI", 3, 4711, len(body)) + body  # an RPC request with that number
    with socket.create_connection(address, 10) as connection, contextlib.suppress(OSError):
        connection.sendall(struct.pack(">q", len(frame) + 8) + frame)
        connection.settimeout(20)  # a busy machine answers late, and the last test needs the answer
        return connection.recv(65536)
    return b""


def test_spark_listens_on_this_machine_alone_and_asks_for_its_secret() -> None:
    for command in (BY_HAND, [sys.executable]):
        with listening(*command) as ports:
            assert ports
            assert {address.removeprefix("::ffff:") for address, _ in ports} == {"127.0.0.1"}
            answers = [answer(("127.0.0.1", port)) for _, port in ports]
        assert sum(b"SaslMessage" in said or b"hallenge" in said for said in answers) >= 2  # RPC and blocks
        assert not any(b"StreamCorrupted" in said or b"readObject" in said for said in answers)


def test_without_authentication_such_a_request_would_be_read() -> None:
    """Else the test above would prove nothing."""
    with listening(*BY_HAND, *OPEN) as ports:
        answers = [answer(("127.0.0.1", port)) for _, port in ports]
    assert not any(b"SaslMessage" in said or b"hallenge" in said for said in answers)
    assert any(b"Exception" in said for said in answers)
