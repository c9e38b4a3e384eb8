"""`make spark-sql QUERY=…`, as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from imagefeatures.settings import REPOSITORY


def spark_sql(query: str) -> list[list[str]]:
    """The rows that it prints, heads included."""
    command = [sys.executable, "-m", "deploy.local", "spark-sql"]
    env = os.environ | {"QUERY": query}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]
