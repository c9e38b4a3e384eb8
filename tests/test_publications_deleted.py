"""Files that are deleted before they are published, as `forget` does: nothing is changed, and nothing half done."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures import layout, read, run_audit, shards, storage
from imagefeatures.errors import StoreError
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import FEATURIZE, register
from support.photos import fill, jpeg
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
