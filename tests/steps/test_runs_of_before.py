"""Runs that a version before has begun: their files lack what came since, and go on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from imagefeatures import run_audit, shards
from imagefeatures.local import run_steps
from imagefeatures.steps import FEATURIZE, resize
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun


def test_a_features_file_without_the_column_copy_is_of_the_picture_as_it_is(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(3)}))
    run_steps(run, THIS_PROCESS)
    real = shards.read_staged

    def as_before(file: shards.StagedFile, columns: list[str] | None = None) -> pa.Table:
        table = real(file, columns)
        return table.drop_columns(["copy"]) if "copy" in table.schema.names else table

    monkeypatch.setattr(shards, "read_staged", as_before)
    audit = run_audit.audit_run(run)
    assert audit.registered == 3
    receipts = shards.read_receipts(run.layout, FEATURIZE)
    assert audit.files["photos"] == [receipt.outputs[0].own.uri for receipt in receipts]


def test_pixels_that_were_written_as_never_null_are_joined_with_those_that_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = pa.schema([pa.field("uri", pa.string()), pa.field("pixels", pa.binary(4))])
    before = pa.schema([pa.field("uri", pa.string()), pa.field("pixels", pa.binary(4), nullable=False)])
    monkeypatch.setattr(resize, "read_staged", lambda _: pa.table([["a"], [b"1234"]], schema=before))
    joined = resize._with_unchanged(now.empty_table(), object())  # type: ignore[arg-type]
    assert joined == pa.table([["a"], [b"1234"]], schema=now)
    assert resize._with_unchanged(now.empty_table(), None) == now.empty_table()
