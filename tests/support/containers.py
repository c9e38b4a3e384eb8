"""A deployment by docker-compose.yml for tests, with a project name, secrets and ports of its own."""

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
"""The services that run the project's image, except spark-worker, which has several containers."""

figures: list[str] = []
"""Measurements, printed at the end of the tests."""


@dataclass(frozen=True)
class Stack:
    """The deployment. env_file: used instead of .env."""

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

    def compose(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run `docker compose …` on this deployment, whose variables come only from the env file."""
        command = ["docker", "compose", "--env-file", str(self.env_file), "--project-name", PROJECT, *arguments]
        env = {name: value for name, value in os.environ.items() if name not in self.variables}
        return subprocess.run(command, cwd=REPOSITORY, env=env, check=check, **options)

    def output(self, *arguments: str) -> bytes:
        return self.compose(*arguments, stdout=subprocess.PIPE).stdout

    def inside(self, service: str, *arguments: str, index: int = 1) -> bytes:
        """The output of a command in a service's container."""
        return self.output("exec", "-T", "--index", str(index), service, *arguments)

    def containers(self) -> list[dict[str, Any]]:
        """The output of `docker inspect` for every container."""
        ids = self.output("ps", "--all", "--quiet").decode().split()
        return json.loads(subprocess.run(["docker", "inspect", *ids], stdout=subprocess.PIPE, check=True).stdout)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
