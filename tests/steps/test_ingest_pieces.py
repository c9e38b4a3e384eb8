"""A shard whose objects are larger than the listing could know: it goes through the steps by pieces."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from imagefeatures import local, manifest, steps
from imagefeatures.pieces import read_frozen
from imagefeatures.plan import Run
from imagefeatures.shards import read_output, read_receipt, read_receipts, read_staged
from support.hostile_http import Site, response, site
from support.shared import THIS_PROCESS, MakeRun

COUNT = 12
OTHERS = {"/3": b"<html>Sign in</html>", "/7": b"\x89PNG\r\n\x1a\n cut", "/9": bytes(6_000_000)}
"""No images, and one that is too large."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Twelve URLs of 0.5 MB each, three of which are no good images. The eleventh has 2 MB: more than a shard."""
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1/32")
    noise = np.random.default_rng(0)

    def bitmap(number: int) -> bytes:
        sink = io.BytesIO()
        side = 820 if number == 10 else 410
        Image.fromarray(noise.integers(0, 256, (side, side, 3), np.uint8)).save(sink, "BMP")
        return sink.getvalue()

    bodies = {f"/{number}": bitmap(number) for number in range(COUNT)} | OTHERS
    with site("127.0.0.1", {target: response(body=body) for target, body in bodies.items()}) as made:
        yield made


def outputs(run: Run) -> dict[str, pa.Table]:
    """What each step made of the one shard. Of the order of its chunks nothing is told."""
    manifest.list_source(run, workers=0)
    local.run_steps(run, THIS_PROCESS)
    assert all(len(read_receipts(run.layout, step)) == 1 for step in steps.SPARK_STEPS)
    return {step: read_output(run.layout, step, 0).combine_chunks() for step in steps.SPARK_STEPS}


def reasons(run: Run) -> list[tuple[str, str, str]]:
    """(step, uri, reason) of all that was rejected, in order."""
    files = [read_receipt(run.layout.receipt(step, 0)).rejected for step in steps.SPARK_STEPS]
    rows: list[dict[str, Any]] = [row for file in files if file for row in read_staged(file).to_pylist()]
    return [(row["step"], row["uri"].rpartition("/")[2], row["reason"]) for row in rows]


def test_a_shard_by_pieces_becomes_what_it_becomes_in_one_piece(host: Site, make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("".join(f"{host.url(f'/{number}')}\n" for number in range(COUNT)))
    source = {"kind": "uri_list", "uri": f"file://{tmp_path}/urls.txt", "http": {"requests_per_second": None}}
    fields = {"limits": {"max_bytes": 5_000_000, "max_rejected": 0.5}, "duplicates": "reject"}
    whole = make_run(source, {"shard_bytes": 64 << 20}, **fields)
    small = make_run(source, {"shard_bytes": 4 << 20}, partition="2026-11-03", **fields)
    pieces = {}
    for run in (whole, small):
        manifest.list_source(run, workers=0)
        local.run_steps(run, THIS_PROCESS, [steps.INGEST])
        file = read_receipt(run.layout.receipt(steps.INGEST, 0)).output
        pieces[run.shard_bytes] = len(list(read_frozen(file, run.shard_bytes)))
    assert pieces == {64 << 20: 1, 4 << 20: 2}
    found, wanted = outputs(small), outputs(whole)
    for step in (steps.INGEST, steps.VALIDATE, steps.RESIZE):
        assert found[step].equals(wanted[step]), step
    told = ["uri", "image_id", "width", "height", "features"]
    assert found[steps.FEATURIZE].select(told).equals(wanted[steps.FEATURIZE].select(told))
    assert len(found[steps.FEATURIZE]) == COUNT - len(OTHERS)
    assert reasons(small) == reasons(whole)
    assert reasons(small) == [
        ("ingest", "9", "TOO_LARGE"),
        ("validate", "3", "UNSUPPORTED_FORMAT"),
        ("validate", "7", "TRUNCATED"),
    ]
