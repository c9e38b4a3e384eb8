"""`make up` as a process of its own, with a folder of its own instead of the checkout's."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.local.api import Api
from deploy.local.services import SERVICES, running_api
from imagefeatures.settings import REPOSITORY
from support.shared import until

MAKE_UP = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background has it ignored
from pathlib import Path
from deploy.local import __main__ as program
program.HOME = Path(sys.argv[1])
sys.argv[1:] = ["up", "--port", sys.argv[2]]
sys.exit(program.main())
"""
SECONDS = 240


@dataclass(frozen=True)
class Up:
    """One `make up`. out: what it prints, both streams."""

    process: subprocess.Popen[bytes]
    home: Path
    port: int
    out: Path

    @classmethod
    def start(cls, home: Path, port: int, **variables: str) -> Up:
        """variables: on top of the environment, such as the lake."""
        home.parent.mkdir(exist_ok=True)
        out = home.with_name(f"{home.name}-{len(list(home.parent.iterdir()))}.out")
        env = os.environ | {"PYTHONPATH": str(REPOSITORY)} | variables
        with out.open("wb") as sink:
            command = [sys.executable, "-c", MAKE_UP, str(home), str(port)]
            return cls(subprocess.Popen(command, env=env, stdout=sink, stderr=sink, cwd=REPOSITORY), home, port, out)

    @property
    def said(self) -> str:
        return self.out.read_text()

    @property
    def api(self) -> Api:
        return running_api(self.home, self.port)

    def wait_until_up(self) -> Up:
        until(lambda: "Ctrl-C stops it." in self.said or self.process.poll() is not None, SECONDS)
        assert self.process.poll() is None, self.said
        return self

    def services(self) -> dict[str, int]:
        """Service: process. Those that live."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # it has just ended
                words = " ".join(child.cmdline()).replace("_", "-")
                found |= {name: child.pid for name in SERVICES if re.search(rf"\bairflow {name}\b", words)}
        return found

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            raise
