"""What is forgotten before a publication is written down: nothing is changed, and nothing half done."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import layout, publications, read, run_audit, shards, storage, unpublish
from imagefeatures.errors import AuditFailed, StoreError
from imagefeatures.forget import deny
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.run_params import UnpublishParams
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE, register
from support.photos import fill, jpeg
from support.redriving import small_partition
from support.shared import THIS_PROCESS, MakeRun

TABLES = ("quarantine", "photos", "runs")


def test_a_run_whose_file_is_gone_when_it_is_published_changes_no_table(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)} | {"bad.jpg": b""})
    first, second = (make_run(photos, {"reuse": False}, limits={"max_rejected": 0.5}) for _ in range(2))
    for run in (first, second):
        run_steps(run, THIS_PROCESS)
    register.register(first.layout.run_file, settings)
    before = {name: read.table(settings, name).to_pylist() for name in TABLES}

    real = run_audit.audit_run

    def audited_and_deleted(run: Run) -> run_audit.Audit:
        audit = real(run)
        storage.delete(shards.read_receipts(second.layout, FEATURIZE)[0].outputs[0].own.uri)
        return audit

    monkeypatch.setattr(run_audit, "audit_run", audited_and_deleted)
    with pytest.raises(StoreError, match=r": was deleted before it was published, as `forget` does; try again$"):
        register.register(second.layout.run_file, settings)
    assert {name: read.table(settings, name).to_pylist() for name in TABLES} == before
    assert list(storage.list_objects(layout.publications_folder(settings.lake))) == []


TEXT = b"no picture"
MEANWHILE = r": images were forgotten while the publication was made; try again$"


def audited_and_forgotten(monkeypatch: pytest.MonkeyPatch, settings: Settings, image_id: str) -> None:
    """Once, an image comes onto the list after the audit has looked at it."""
    real = run_audit.audit_run

    def audited(run: Run) -> run_audit.Audit:
        audit = real(run)
        monkeypatch.setattr(run_audit, "audit_run", real)
        deny.add(settings.lake, "one", [image_id], [])
        return audit

    monkeypatch.setattr(run_audit, "audit_run", audited)


@pytest.mark.parametrize("own", [True, False])
def test_a_run_that_was_audited_before_something_was_forgotten_is_audited_again(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """The image is in nothing but the run's quarantine, so no file is deleted. own: it is one of the run."""
    photos = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)} | {"bad.jpg": TEXT})
    run = make_run(photos, limits={"max_rejected": 0.5})
    run_steps(run, THIS_PROCESS)
    audited_and_forgotten(monkeypatch, settings, hashlib.sha256(TEXT).hexdigest() if own else "f" * 64)
    with pytest.raises(StoreError, match=MEANWHILE):
        register.register(run.layout.run_file, settings)
    assert read.runs(settings) == []
    assert read.table(settings, "quarantine").num_rows == 0
    assert list(storage.list_objects(layout.publications_folder(settings.lake))) == []
    if own:
        with pytest.raises(AuditFailed, match="holds an image that was forgotten after its fetch"):
            register.register(run.layout.run_file, settings)
    else:
        assert register.register(run.layout.run_file, settings).state == register.REGISTERED


def test_a_publication_that_had_begun_before_is_finished(
    make_run: MakeRun, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request since has seen it written down. Taken away, it would leave tables of two runs."""
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(4)}))
    run_steps(run, THIS_PROCESS)

    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(publications, "_swap", stopped)
        register.register(run.layout.run_file, settings)
    audited_and_forgotten(monkeypatch, settings, "f" * 64)
    assert register.register(run.layout.run_file, settings).state == register.REGISTERED


def test_a_withdrawal_that_copied_rows_while_something_was_forgotten_changes_no_table(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partition = small_partition(tmp_path / "photos", settings, limits={"max_rejected": 1})
    before = {name: read.table(settings, name).to_pylist() for name in TABLES}
    (uri, *_) = partition.features
    params = UnpublishParams.parse({"why": "a wrong camera", "dry_run": False, "uris": [uri]})
    real = unpublish._Part.copied

    def copied_and_forgotten(part: Any) -> Any:
        copied = real(part)
        deny.add(settings.lake, "one", ["f" * 64], [])
        return copied

    with monkeypatch.context() as patched:
        patched.setattr(unpublish._Part, "copied", copied_and_forgotten)
        with pytest.raises(StoreError, match=MEANWHILE):
            unpublish.withdraw("photos", partition.key, params, "ada", settings)
    assert {name: read.table(settings, name).to_pylist() for name in TABLES} == before
    assert list(storage.list_objects(layout.publications_folder(settings.lake))) == []
    assert unpublish.withdraw("photos", partition.key, params, "ada", settings)
    assert read.table(settings, "photos").num_rows == len(before["photos"]) - 1
