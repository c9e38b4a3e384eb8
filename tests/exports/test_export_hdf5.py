"""exports.hdf5: what HDF5 cannot hold, and a disk that is full, are told in one line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.exporting import exported, publish, rows_of


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("etag", r"^s3://photos/.* 0000000 100%\.jpg: etag holds the character 0, which HDF5 cannot; choose another"),
        ("label", r"^label a\\x00b: holds the character 0, which HDF5 cannot; choose another format$"),
    ],
)
def test_a_text_with_the_character_0_is_refused_with_its_place(
    column: str, words: str, settings: Settings, tmp_path: Path
) -> None:
    publish(settings, tmp_path, [rows_of(range(3), **{column: "a\0b"})])
    with pytest.raises(InputError, match=words):
        exported(settings, tmp_path / "out.h5", columns=("etag",))
    assert not list(tmp_path.glob("out*"))
    exported(settings, tmp_path / "out.npz", columns=("etag",))


FULL = """
import resource
from imagefeatures.errors import StoreError
from imagefeatures.exports import export
from imagefeatures.settings import Settings
request = export.Request("photos", "out.h5")
ready = export.prepare(Settings.from_env(), request)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for work in (ready.write, lambda: export.prepare(Settings.from_env(), request)):
    try:
        work()
    except StoreError as error:
        print(error)
"""
"""No file may be longer than 20 kB once the export is prepared."""


@pytest.mark.long
def test_a_file_that_cannot_be_written_is_told_in_one_line(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(4000))])
    done = subprocess.run([sys.executable, "-c", FULL], cwd=tmp_path, capture_output=True, text=True, check=False)
    written, estimated = done.stdout.splitlines()
    assert written == f"file://{tmp_path}/out.h5: File too large"
    assert re.fullmatch(r"file:///.*/imagefeatures-export-\w+: File too large", estimated)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.glob("out*"))
