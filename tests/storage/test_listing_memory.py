"""The driver's memory while it lists a large bucket of a real server, which invents its keys."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.listing import endless_store
from imagefeatures.settings import REPOSITORY, Settings

KEYS = 30_000
"""`python -m benchmarks.listing` lists a million keys in the same memory."""


def test_listing_streams(settings: Settings, aws_env: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with endless_store() as address:
        env = os.environ | {"AWS_ENDPOINT_URL": address, "IMAGEFEATURES_LAKE": settings.lake}
        command = [sys.executable, "-m", "benchmarks.listing", "list", str(KEYS)]
        output = subprocess.run(command, env=env, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    objects, _, peak = (float(figure) for figure in output.split())
    with capsys.disabled():
        print(f" {objects:,.0f} keys listed in {peak:.0f} MiB of memory ", end="")
    assert objects == KEYS
    assert peak < 1024
