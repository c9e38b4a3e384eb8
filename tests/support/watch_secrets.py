"""The search for leaked secrets in files, objects, databases and command lines."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from imagefeatures import storage
from support.servers import POSTGRES_PASSWORD, postgres_programs
from support.shared import AWS
from support.spark_cluster import SPARK_SECRET

SECRETS = tuple(text.encode() for text in (AWS["AWS_SECRET_ACCESS_KEY"], POSTGRES_PASSWORD, SPARK_SECRET))


def in_files(folder: Path, *names: str) -> list[str]:
    """The files below a folder that contain a secret. names: patterns of the files to search; all by default."""
    files = {path for name in names or ("*",) for path in folder.rglob(name) if path.is_file()}
    return [str(path) for path in sorted(files) if _has_secret(path.read_bytes())]


def in_objects(prefix: str) -> list[str]:
    """The objects below a URI that contain a secret."""
    return [stored.uri for stored in storage.list_objects(prefix) if _has_secret(storage.read(stored.uri))]


def in_database(url: str) -> list[str]:
    """The lines of a PostgreSQL database's dump that contain a secret."""
    dump = [postgres_programs() / "pg_dump", "--inserts", url.replace("+psycopg", "")]
    lines = subprocess.run(dump, check=True, capture_output=True).stdout.splitlines()
    assert any(line.startswith(b"INSERT INTO") for line in lines)
    return [line.decode()[:200] for line in lines if _has_secret(line)]


@contextlib.contextmanager
def watched_command_lines() -> Iterator[set[str]]:
    """The command lines on this machine that contain a secret, collected while the context lasts."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            seen.update(_with_secret(Path("/proc").glob("[0-9]*/cmdline")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def _with_secret(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        with contextlib.suppress(OSError):  # the process has ended
            if _has_secret(line := file.read_bytes()):
                yield line.decode(errors="replace")


def _has_secret(data: bytes) -> bool:
    return any(secret in data for secret in SECRETS)
