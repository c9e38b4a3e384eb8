"""Real model servers, each in an environment of its own that `make test-serving` makes: KServe and Triton."""

from __future__ import annotations

import contextlib
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest

from imagefeatures.settings import REPOSITORY

PROGRAMS = REPOSITORY / "tests" / "suites" / "serving"
START_SECONDS = 120


@dataclass
class RealServer:
    """A server of the default model. kind: kserve or triton. state: a file with version and factor, for kserve."""

    kind: str
    xml: Path
    state: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, version: str, factor: float = 1.0) -> None:
        self.state.write_text(f"{version} {factor}")

    def start(self) -> None:
        python = REPOSITORY / ".bench" / ("serving" if self.kind == "kserve" else "triton") / "bin" / "python"
        program = [python, PROGRAMS / f"{self.kind}_model.py", str(self.port), self.xml, self.state]
        with (self.state.parent / f"{self.kind}.log").open("ab") as log:
            self.process = subprocess.Popen(list(map(str, program)), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), urlopen(f"{self.address}/v2/models/encoded/ready", timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.2)
        pytest.fail(f"{self.kind} has not started: {log.name}")

    def kill(self) -> None:
        """All of its processes, at once: Triton's own, and those of its models."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                subprocess.run(["kill", "-9", "--", f"-{self.process.pid}"], check=False, capture_output=True)
            self.process.wait()
