"""The process that parses a stranger's model: what its end means, and what it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own import process
from imagefeatures.models.own.files import ModelFiles

FILES = ModelFiles("s3://b/small.tflite", "tflite", {"model.tflite": b"no model"})


def runs(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Let the process run this Python in place of its own; `folder` is its folder."""
    monkeypatch.setattr(process, "PROGRAM", f"import os, sys, time; folder = sys.argv[1]; {body}")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("os.kill(os.getpid(), 11)", r"the process that read it crashed \(SIGSEGV\): the file is broken$"),
        ("os.abort()", r"the process that read it crashed \(SIGABRT\)"),
        ("os.kill(os.getpid(), 9)", r"the process that read it was killed by the system, most likely for its memory$"),
        ("sys.exit('a last word')", r"the process that read it ended with status 1 \(a last word\)$"),
        ("open(folder + '/refused.txt', 'w').write('two\\nlines')", "two lines$"),
        ("time.sleep(60)", r"reading it took longer than 0\.5 seconds$"),
    ],
)
def test_whatever_ends_it_is_one_line_with_the_file(monkeypatch: pytest.MonkeyPatch, body: str, line: str) -> None:
    runs(monkeypatch, body)
    monkeypatch.setattr(process, "SECONDS", 0.5 if "sleep" in body else 60)
    with pytest.raises(ModelMismatch, match=rf"^model: s3://b/small\.tflite: {line}"):
        process.describe(FILES)


def test_it_has_no_credentials_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runs(monkeypatch, "open(folder + '/refused.txt', 'w').write(' '.join(sorted(os.environ)) + ' ' + os.getcwd())")
    with pytest.raises(ModelMismatch) as refused:
        process.describe(FILES)
    *names, folder = str(refused.value).split()[2:]
    assert set(names) <= {
        "CUDA_VISIBLE_DEVICES", "HOME", "KERAS_BACKEND", "KERAS_HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH",
        "TF_CPP_MIN_LOG_LEVEL", "TMPDIR",
    }  # fmt: skip
    assert folder.startswith(str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_memory_without_end_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = "import resource; from imagefeatures.models.own import child; child.MEMORY_BYTES = 1 << 28; child._limit()"
    monkeypatch.setattr(process, "PROGRAM", f"import sys; sys.path[:] = sys.argv[2:]; {limits}; bytearray(1 << 30)")
    with pytest.raises(ModelMismatch, match=r"ended with status 1 \(MemoryError\)$"):
        process.describe(FILES)


def test_a_file_that_openvino_cannot_read_is_refused_in_one_line() -> None:
    with pytest.raises(ModelMismatch, match=r"^model: s3://b/small\.tflite: it cannot be read \(") as refused:
        process.describe(FILES)
    assert "\n" not in str(refused.value)
