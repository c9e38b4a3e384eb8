"""Archives of Java classes: a JVM that cannot use one starts without it, and prints nothing of that."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from deploy.local import environment
from imagefeatures.settings import REPOSITORY

JVM_OPTIONS = REPOSITORY / "deploy" / "compose" / "jvm.options"
MAPPED_ELSEWHERE = ("-XX:+UnlockDiagnosticVMOptions", "-XX:ArchiveRelocationMode=1")
"""What happens by chance where the addresses that an archive was made for are taken."""


def started(*options: str) -> str:
    """What a JVM with these options prints before it does anything."""
    ran = subprocess.run(["java", *options, "--version"], capture_output=True, text=True, check=True)
    return ran.stdout.partition("openjdk")[0] + ran.stderr


@pytest.fixture
def of_another_java(tmp_path: Path) -> str:
    archive = bytearray(environment.LAUNCHER_ARCHIVE.read_bytes())
    archive[4] ^= 1  # the version of its header
    (tmp_path / "other.jsa").write_bytes(archive)
    return str(tmp_path / "other.jsa")


@pytest.mark.parametrize("variable", ["SPARK_LAUNCHER_OPTS", "SPARK_SUBMIT_OPTS"])
def test_here(variable: str, tmp_path: Path, of_another_java: str) -> None:
    options = shlex.split(environment.environment(tmp_path, 0)[variable])
    assert any(option.startswith("-XX:SharedArchiveFile=") for option in options)
    assert started(*options) == ""
    assert started(*options, *MAPPED_ELSEWHERE) == ""
    assert started(*options, f"-XX:SharedArchiveFile={of_another_java}") == ""


def test_in_the_containers(of_another_java: str) -> None:
    options = [option for option in JVM_OPTIONS.read_text(encoding="utf-8").split() if "SharedArchive" not in option]
    assert started(*options, f"-XX:SharedArchiveFile={environment.LAUNCHER_ARCHIVE}", *MAPPED_ELSEWHERE) == ""
    assert started(*options, f"-XX:SharedArchiveFile={of_another_java}") == ""
