"""A lake that cannot be written: refused in one line, and not retried as if it were an outage."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import subprocess
from pathlib import Path

import pytest

from imagefeatures import storage
from imagefeatures.cli import main
from imagefeatures.datasets import Dataset
from imagefeatures.errors import EXIT_INPUT_ERROR, StoreError, StoreRefused
from imagefeatures.manifest import list_source
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support import disks
from support.photos import fill
from support.scripted_store import ScriptedStore, no
from support.shared import BUCKET, MakeRun
from support.unprivileged import folder_of_nobody


def plan(settings: Settings, folder: Path) -> str:
    return plan_run(Dataset(name="photos", source=f"file://{folder}/"), RunParams(), "2026-11-02", settings)


def test_a_lake_that_may_not_be_written_refuses_the_run(settings: Settings) -> None:
    with folder_of_nobody() as folder:
        source = fill(folder / "photos", {"1.jpg": b"one"})
        (folder / "lake").mkdir(mode=0o500)
        there = dataclasses.replace(settings, lake=f"file://{folder}/lake", catalog=f"sqlite:///{folder}/catalog.db")
        says = "permission denied; give the service's user the right to write there"
        with pytest.raises(StoreRefused, match=rf"^file://{folder}/lake/staging/.*/run\.json: {says}$"):
            plan(there, source)


@disks.needs_mounts
def test_a_lake_on_a_disk_that_is_mounted_read_only_refuses_the_run(settings: Settings, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.jpg": b"one"})
    with disks.tmpfs(tmp_path / "disk", 1 << 20) as disk:
        storage.write(f"file://{disk}/lake/models/1", b"x")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        there = dataclasses.replace(settings, lake=f"file://{disk}/lake")
        with pytest.raises(
            StoreRefused, match=r"/run\.json: its file system is mounted read-only; mount it for writing$"
        ):
            plan(there, source)
        with pytest.raises(StoreRefused, match=rf"^file://{disk}/lake/models/: its file system is mounted read-only"):
            storage.delete_folder(f"file://{disk}/lake/models")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_whatever_step_of_a_write_fails_the_answer_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(StoreRefused, match=rf"^file://{tmp_path}/new/file: [^\n]+$"):
            storage.write(f"file://{tmp_path}/new/file", b"bytes")
    assert not (tmp_path / "new" / "file").exists()


def test_a_failing_disk_may_be_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="Input/output error"):
        storage.write(f"file://{tmp_path}/file", b"bytes")


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "AccessDenied", r"the store refuses \(AccessDenied\)"),
        (403, "QuotaExceeded", r"the store refuses \(QuotaExceeded\)"),
        (507, "XMinioStorageFull", r"no space left in the store \(XMinioStorageFull\); free some, then try again"),
    ],
)
def test_a_bucket_that_takes_nothing_is_refused_after_one_request(
    scripted: ScriptedStore, status: int, code: str, says: str
) -> None:
    scripted.always = no(status, code)
    with pytest.raises(StoreRefused, match=rf"^s3://{BUCKET}/key: {says}$"):
        storage.write(f"s3://{BUCKET}/key", b"x")
    assert scripted.asked == ["PUT"]


def test_the_folder_of_temporary_files_is_named_where_it_is_full(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("imagefeatures.manifest.pa.OSFile", full)
    with pytest.raises(
        StoreRefused, match=rf"^file://{tmp_path}/imagefeatures-[^/]+/listing\.arrow: no space left on its"
    ):
        list_source(run, 1)


def test_the_command_ends_with_one_line_and_the_status_of_what_no_retry_changes(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "photos", {"1.jpg": b"x"})
    (settings.datasets / "photos.yaml").write_text(f"name: photos\nsource: file://{source}/\n")
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{tmp_path}/file")
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", f"sqlite:///{tmp_path}/catalog.db")
    assert main(["run", "photos", "2026-11-02", "--workers", "1"]) == EXIT_INPUT_ERROR
    err = capsys.readouterr().err
    assert re.fullmatch(rf"imagefeatures: file://{tmp_path}/file is a file, not a folder\n", err)
