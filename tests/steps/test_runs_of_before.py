"""Runs that a version before has begun: their files lack what came since, and go on."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import run_audit, shards, storage
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, SPARK_STEPS, resize
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


def written_as_before(run: Run, step: str, rows_a_piece: int) -> None:
    """Give a step's output the form that it had: Parquet with all columns, and a receipt that knows of no other."""
    uri = run.layout.receipt(step, 0)
    receipt, table = json.loads(storage.read(uri)), shards.read_output(run.layout, step, 0)
    sink = io.BytesIO()
    options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(table, sink, row_group_size=rows_a_piece, **options)
    data = sink.getvalue()
    storage.write(receipt["output"]["uri"], data)
    for name in ("output", "rejected", "reused"):
        if receipt[name]:
            receipt[name] = {key: value for key, value in receipt[name].items() if not key.startswith("blob_")}
    receipt["output"] |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    storage.write(uri, json.dumps(receipt).encode())


@pytest.mark.parametrize(("shard_bytes", "rows_a_piece"), [(64 << 20, 100), (1 << 20, 4)])
def test_a_run_goes_on_whose_bytes_and_pixels_lie_in_parquet(
    make_run: MakeRun, tmp_path: Path, shard_bytes: int, rows_a_piece: int
) -> None:
    noise = [jpeg(at, 600, 800) for at in range(9)]
    photos = fill(tmp_path / "photos", {f"{at}.jpg": data for at, data in enumerate([*noise, noise[0], b"none"])})
    fields = {"keep_rejected": True, "limits": {"max_rejected": 1}}
    params = {"shard_images": 20, "shard_bytes": shard_bytes}
    anew = make_run(photos, params, **fields)
    run_steps(anew, THIS_PROCESS)
    begun = make_run(photos, params, partition="2026-11-03", **fields)
    run_steps(begun, THIS_PROCESS, [INGEST])
    written_as_before(begun, INGEST, rows_a_piece)
    run_steps(begun, THIS_PROCESS, SPARK_STEPS[1:3])
    written_as_before(begun, RESIZE, rows_a_piece)
    run_steps(begun, THIS_PROCESS, [FEATURIZE])
    for step in SPARK_STEPS[:3]:
        found, wanted = (shards.read_output(run.layout, step, 0).combine_chunks() for run in (begun, anew))
        assert found.equals(wanted), step
    features = [shards.read_output(run.layout, FEATURIZE, 0, ["uri", "features"]) for run in (begun, anew)]
    assert features[0].equals(features[1])
    assert run_audit.audit_run(begun).registered == 10
    digest = hashlib.sha256(b"none").hexdigest()
    for run in (begun, anew):
        assert storage.read(run.layout.rejected_bytes("UNSUPPORTED_FORMAT", digest)) == b"none"
