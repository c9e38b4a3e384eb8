"""exports.hdf5: what HDF5 cannot hold, and a disk that is full, are told in one line; so is what NumPy cannot."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures.errors import InputError
from imagefeatures.settings import Settings
from support.exporting import FULL, exported, publish, rows_of


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


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (
            "etag",
            r"^s3://photos/.* 0000000 100%\.jpg: etag ends with the character 0, which NumPy's texts lose; choose",
        ),
        ("uri", r"^a\\x00: uri ends with the character 0, which NumPy's texts lose; choose another format$"),
        ("label", r"^label a\\x00: ends with the character 0, which NumPy's texts lose; choose another format$"),
    ],
)
def test_a_text_that_ends_with_the_character_0_is_not_cut_by_numpy(
    column: str, words: str, settings: Settings, tmp_path: Path
) -> None:
    publish(settings, tmp_path, [rows_of([0], **{column: "a\0"}), rows_of([1, 2], **{column: "a"})])
    with pytest.raises(InputError, match=words):
        exported(settings, tmp_path / "out.npz", columns=("etag",))
    assert not list(tmp_path.glob("out*"))
    exported(settings, tmp_path / "out.parquet", columns=("etag",))


@pytest.mark.long
def test_a_file_that_cannot_be_written_is_told_in_one_line(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(4000))])
    done = subprocess.run(
        [sys.executable, "-c", FULL, "out.h5"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    written, estimated = done.stdout.splitlines()
    assert written == f"file://{tmp_path}/out.h5: File too large"
    assert re.fullmatch(r"file:///.*/imagefeatures-export-\w+: File too large", estimated)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.glob("out*"))
