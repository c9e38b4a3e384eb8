"""exports.tfrecord: a disk that is full is told in one line, whatever TensorFlow calls it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.settings import Settings
from support.exporting import FULL, exported, publish, rows_of


@pytest.mark.long
def test_a_file_that_cannot_be_written_is_told_in_one_line(settings: Settings, tmp_path: Path) -> None:
    publish(settings, tmp_path, [rows_of(range(4000))])
    command = [sys.executable, "-c", FULL, "out.tfrecord"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    written, estimated = done.stdout.splitlines()
    assert written == f"file://{tmp_path}/out.tfrecord: File too large"
    assert re.fullmatch(r"file:///.*/imagefeatures-export-\w+: File too large", estimated)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert not list(tmp_path.glob("out*"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("ResourceExhaustedError", "no space left on its file system"),
        ("OutOfRangeError", "File too large"),
        ("UnknownError", "Input/output error"),
        ("OpError", "Input/output error"),
    ],
)
def test_each_error_of_tensorflow_is_one_of_the_system(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, words: str
) -> None:
    import tensorflow as tf

    class Full:
        def __init__(self, path: str) -> None:
            error = getattr(tf.errors, kind)
            self._error = error(None, None, path, tf.errors.UNKNOWN) if kind == "OpError" else error(None, None, path)

        def __enter__(self) -> Full:
            raise self._error

        def __exit__(self, *args: object) -> None: ...

    publish(settings, tmp_path, [rows_of(range(4))])
    monkeypatch.setattr(tf.io, "TFRecordWriter", Full)
    with pytest.raises((StoreError, StoreRefused), match=rf"^file://\S+: {words}"):
        exported(settings, tmp_path / "out.tfrecord")
