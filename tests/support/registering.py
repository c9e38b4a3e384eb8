"""A register in a process of its own, which waits until it is let go, so that it can be killed at a known moment."""

from __future__ import annotations

import subprocess
import sys
import time

from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY

REGISTER = """
import sys
from imagefeatures.steps import register
from imagefeatures.settings import Settings
settings = Settings.from_env()
print("ready", flush=True)
sys.stdin.read(1)
register.register(sys.argv[1], settings)
"""


def registering(run: Run) -> subprocess.Popen[str]:
    """A process that has imported all it needs, and registers the run once it is let go."""
    return held_back(REGISTER, run.layout.run_file)


def held_back(program: str, *arguments: str) -> subprocess.Popen[str]:
    """A process of a program that has said "ready", and does its work once it is let go."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def let_go(process: subprocess.Popen[str]) -> float:
    """Let it work. Returns the moment, as time.perf_counter has it."""
    assert process.stdin is not None
    process.stdin.write("x")
    process.stdin.flush()
    return time.perf_counter()
