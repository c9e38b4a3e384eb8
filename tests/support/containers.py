"""A deployment by docker-compose.yml under a name, with secrets and on ports of its own: nobody else's is touched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from deploy.compose import env
from imagefeatures.settings import REPOSITORY

PROJECT = "image-features-test"
WORKERS = 2
OURS = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer", "spark-master")
"""Services of the project's image; and spark-worker, of which there are more than one."""

figures: list[str] = []
"""What was measured; printed at the end."""


@dataclass(frozen=True)
class Stack:
    """The deployment. env_file: what it uses in place of .env."""

    env_file: Path

    @classmethod
    def described_in(cls, folder: Path) -> Stack:
        """Write the env file: the example with fresh secrets, free ports, two workers, and Spark's event log."""
        stack = cls(folder / ".env")
        env.write(stack.env_file)
        events = "-Dspark.eventLog.enabled=true -Dspark.eventLog.dir=file:/opt/airflow/logs"
        plain = "-Dspark.eventLog.compress=false -Dspark.eventLog.rolling.enabled=false"
        with stack.env_file.open("a") as file:
            for name in ("AIRFLOW_PORT", "OBJECT_STORE_PORT", "POSTGRES_PORT"):
                print(f"{name}={free_port()}", file=file)
            print(f"SPARK_WORKERS={WORKERS}\nSPARK_WORKER_CORES=1\nSPARK_SUBMIT_EXTRA='{events} {plain}'", file=file)
        return stack

    @cached_property
    def variables(self) -> dict[str, str]:
        return env.read(self.env_file)

    @property
    def secrets(self) -> dict[str, str]:
        return {name: self.variables[name] for name in env.names_of_secrets()}

    def compose(self, *words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[Any]:
        """docker compose … of this deployment. Its environment is the env file alone."""
        command = ["docker", "compose", "--env-file", str(self.env_file), "--project-name", PROJECT, *words]
        clean = {name: value for name, value in os.environ.items() if name not in self.variables}
        return subprocess.run(command, cwd=REPOSITORY, env=clean, check=check, **options)

    def output(self, *words: str) -> bytes:
        return self.compose(*words, stdout=subprocess.PIPE).stdout

    def inside(self, service: str, *words: str, index: int = 1) -> bytes:
        """What a command prints in a service's container."""
        return self.output("exec", "-T", "--index", str(index), service, *words)

    def containers(self) -> list[dict[str, Any]]:
        """What `docker inspect` says of every container."""
        ids = self.output("ps", "--all", "--quiet").decode().split()
        return json.loads(subprocess.run(["docker", "inspect", *ids], stdout=subprocess.PIPE, check=True).stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
