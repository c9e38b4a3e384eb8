"""make, called by a test as a person would call it in a shell."""

from __future__ import annotations

import os
import subprocess

from imagefeatures.settings import REPOSITORY

OF_AN_OUTER_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"}
"""What make hands to a make that it calls, which then says which folder it is in, and takes its options."""


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """How make ended in the repository with *arguments*, also where `make test` called the test."""
    environ = {name: value for name, value in os.environ.items() if name not in OF_AN_OUTER_MAKE}
    command = ["make", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)
