"""Tests of what a process uses, which must not see what other tests have left running in this one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from imagefeatures.settings import REPOSITORY

CHILD = "IMAGEFEATURES_TEST_ALONE"


def ran_alone(request: pytest.FixtureRequest) -> bool:
    """Run this test by itself in a process of its own, and fail as it does. False in that process: there it goes on."""
    if os.environ.get(CHILD):
        return False
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", request.node.nodeid]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {CHILD: "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    return True
