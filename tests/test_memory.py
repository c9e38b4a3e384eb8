"""Peak memory of a process that reads the receipts of a whole run. tests/suites/memory has the real jobs'."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from imagefeatures import steps
from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY
from imagefeatures.shards import Receipt, StagedFile
from support.photos import fill
from support.shared import MakeRun

SHARD = 512

FOLD = """
import json, sys
from benchmarks.memory import peak_mib
from imagefeatures import budget, shards, steps
from imagefeatures.plan import load_run
run, count = load_run(sys.argv[1]), int(sys.argv[2])
left = [shards.pending(run.layout, step, count + 3) for step in steps.SPARK_STEPS]
done = [shards.totals(shards.read_receipts(run.layout, step)) for step in steps.SPARK_STEPS]
budget.check_budget(run)
print(json.dumps([left, [[t.images, t.passed] for t in done], peak_mib()]))
"""


def write_receipts(run: Run, count: int) -> None:
    """Write receipts of every step for the first `count` shards, with nothing rejected."""
    for step in steps.SPARK_STEPS:
        folder = Path(run.layout.step(step).removeprefix("file://"))
        folder.mkdir(parents=True)
        for shard in range(count):
            output = StagedFile(run.layout.new_output(step, shard), SHARD, 10_000_000, "0" * 64)
            file = Path(output.uri.removeprefix("file://"))
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as sparse:  # a receipt whose files are gone counts for nothing
                sparse.truncate(output.size)
            receipt = Receipt(step, shard, SHARD, output, None, {}, 1000.0 + shard, 2.0)
            Path(run.layout.receipt(step, shard).removeprefix("file://")).write_text(json.dumps(asdict(receipt)))


def folded(run: Run, count: int) -> float:
    """Do what a driver does with `count` receipts, in a process of its own. Returns its peak in MiB."""
    write_receipts(run, count)
    command = [sys.executable, "-c", FOLD, run.layout.run_file, str(count)]
    found = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    left, done, peak = json.loads(found)
    assert left == [[count, count + 1, count + 2]] * 4
    assert done == [[SHARD * count] * 2] * 4
    return peak


@pytest.mark.long
def test_receipts_of_a_million_images_take_little_memory(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, all_of_them = (
        folded(make_run(fill(tmp_path / "photos", {"1.jpg": b"x"})), keys // SHARD + 1) for keys in (100_000, 1_000_000)
    )
    with capsys.disabled():
        print(f" {few:.0f} MiB with 196 shards' receipts, {all_of_them:.0f} MiB with 1,954's ", end="")
    assert all_of_them < 300
    assert all_of_them < 1.3 * few
