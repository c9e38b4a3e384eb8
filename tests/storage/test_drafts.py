"""Local files that are written piece by piece: a killed process leaves nothing, or what is removed a day later."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.errors import StoreError, StoreRefused
from imagefeatures.storage import drafts
from imagefeatures.storage.locks import locked

KILLED = """
import os, signal, sys
from imagefeatures import storage
draft = storage.draft(sys.argv[1])
draft.write(b"bytes of an image")
os.kill(os.getpid(), signal.SIGKILL)
"""

KILLED_BEFORE_ITS_NAME = """
import os, signal, sys
from imagefeatures import storage
os.replace = lambda *_: (print(flush=True), signal.pause())
storage.write(sys.argv[1], b"bytes of an image")
"""


@pytest.fixture(params=[None, errno.EOPNOTSUPP, errno.EISDIR, "no /proc"], ids=str)
def _file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """This one, and such that know no file without a name."""
    real = os.open

    def refuse(path: str, flags: int, *mode: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(request.param, os.strerror(request.param))
        return real(path, flags, *mode)

    if isinstance(request.param, int):
        monkeypatch.setattr(os, "open", refuse)
    elif request.param:
        monkeypatch.setattr(drafts, "_opened", lambda descriptor: f"/nowhere/{descriptor}")


def test_a_process_that_is_killed_while_it_writes_leaves_nothing(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED, f"file://{tmp_path}/run/file"])
    assert ended.returncode == -signal.SIGKILL
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.usefixtures("_file_system")
@pytest.mark.parametrize("before", [None, b"replaced"])
def test_a_file_has_its_bytes_and_its_mode_and_nothing_is_beside_it(tmp_path: Path, before: bytes | None) -> None:
    target = tmp_path / "run" / "file"
    if before:
        storage.write(f"file://{target}", before)
    descriptors = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - of Path.iterdir some are gone by then
    draft = storage.draft(f"file://{target}")
    draft.write(b"first ")
    draft.write(b"second")
    assert target.exists() == bool(before)
    draft.commit()
    assert target.read_bytes() == b"first second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    given_up = storage.draft(f"file://{target}")
    given_up.write(b"third")
    given_up.abort()
    assert [path.name for path in target.parent.iterdir()] == ["file"]
    assert target.read_bytes() == b"first second"
    assert sorted(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208
    with locked(f"file://{target}") as free:
        assert free is True


@pytest.mark.usefixtures("_file_system")
@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(errno.ENOSPC, StoreRefused, "no space left on its file system"), (errno.EIO, StoreError, "Input/output error")],
)
def test_a_disk_that_fails_is_told_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int, kind: type[Exception], words: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    draft = storage.draft(f"file://{tmp_path}/run/file")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(kind, match=rf"^file://{tmp_path}/run/file: {words}"):
        draft.write(b"bytes")
        draft.commit()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_file_that_cannot_be_begun_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/file/below: Not a directory"):
        storage.draft(f"file://{tmp_path}/file/below")
    real = os.open

    def fail(path: str, flags: int, *mode: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, flags, *mode)

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(StoreError, match=rf"^file://{tmp_path}/new: Input/output error$"):
        storage.draft(f"file://{tmp_path}/new")


def test_bytes_are_on_the_disk_before_their_first_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    for name in ("fsync", "link", "replace"):

        def call(*args: object, real: object = getattr(os, name), name: str = name, **options: object) -> None:
            events.append(name)
            real(*args, **options)  # type: ignore[operator]

        monkeypatch.setattr(os, name, call)
    draft = storage.draft(f"file://{tmp_path}/file")
    draft.write(b"bytes")
    draft.commit()
    assert events == ["fsync", "link", "replace", "fsync"]


def test_hidden_files_of_killed_processes_are_removed_after_a_day_and_nothing_else_is(tmp_path: Path) -> None:
    day = 24 * 3600
    ages = {
        ".draft-0123456789abcdef": day + 60,
        ".draft-fedcba9876543210": day - 60,
        ".draft-notes": 9 * day,
        "a": 9 * day,
    }
    folders = [tmp_path / "lake", tmp_path / "lake" / "run" / "ingest", tmp_path / "elsewhere"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        for name, age in ages.items():
            (folder / name).write_bytes(b"x")
            os.utime(folder / name, (time.time() - age,) * 2)
    (tmp_path / "lake" / "link").symlink_to(tmp_path / "elsewhere")
    assert storage.abort_old_uploads(f"file://{tmp_path}/lake", remove=False) == 2
    assert storage.abort_old_uploads(f"file://{tmp_path}/lake") == 2
    for folder in folders[:2]:
        assert {path.name for path in folder.iterdir() if path.is_file()} == set(ages) - {".draft-0123456789abcdef"}
    assert len(list(folders[2].iterdir())) == len(ages)
    assert storage.abort_old_uploads(f"file://{tmp_path}/lake") == 0
    assert storage.abort_old_uploads(f"file://{tmp_path}/none") == 0


def test_a_hidden_file_of_a_day_to_the_second_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts.time, "time", lambda: 2_000_000_000.0)
    draft = drafts.hidden_name(tmp_path / "file")
    draft.touch()
    for age, removed in ((24 * 3600, 0), (24 * 3600 + 1, 1)):
        os.utime(draft, (2_000_000_000 - age,) * 2)
        assert drafts.remove_old(str(tmp_path)) == removed


def test_a_hidden_file_goes_as_soon_as_its_process_has_ended_and_not_before(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_BEFORE_ITS_NAME, f"file://{tmp_path}/run/file"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # now it would get its name
            (draft,) = (tmp_path / "run").iterdir()
            assert storage.abort_old_uploads(f"file://{tmp_path}", ended=True) == 0
            assert draft.read_bytes() == b"bytes of an image"
        finally:
            process.kill()
    assert storage.abort_old_uploads(f"file://{tmp_path}") == 0
    assert storage.abort_old_uploads(f"file://{tmp_path}", ended=True) == 1
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.usefixtures("_file_system")
def test_what_is_being_written_piece_by_piece_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, removed = Path.replace, []

    def meanwhile(draft: Path, target: Path) -> Path:
        removed.append(storage.abort_old_uploads(f"file://{tmp_path}", ended=True))
        return real(draft, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    draft = storage.draft(f"file://{tmp_path}/run/file")
    draft.write(b"bytes")
    removed.append(storage.abort_old_uploads(f"file://{tmp_path}", ended=True))
    draft.commit()
    assert removed == [0, 0]
    assert (tmp_path / "run" / "file").read_bytes() == b"bytes"
