"""The jobs under a real Spark: resuming, duplicates, reuse, and the last line that says why a job failed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from deploy.local.environment import environment
from imagefeatures import names, read, shards, steps, storage
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.steps.register import register
from imagefeatures.usage import drivers
from support import poison
from support.photos import fill, jpeg
from support.reusing import begun, finished
from support.shared import THIS_PROCESS

JOBS = REPOSITORY / "jobs"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nine small photos; two of them have the same bytes."""
    folder = tmp_path / "photos" / "grey"
    folder.mkdir(parents=True)
    for at in range(8):
        Image.new("RGB", (40, 30), (at * 30, 90, 90)).save(folder / f"{at}.jpg")
    (folder / "twin.jpg").write_bytes((folder / "3.jpg").read_bytes())
    return folder.parent


def submit(
    step: str, run: Run | str, tmp_path: Path, job: Path | None = None, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    uri = run if isinstance(run, str) else run.layout.run_file
    command = ["spark-submit", "--master", "local[2]", *options, str(job or JOBS / f"{step}.py"), "--run", uri]
    folders = [REPOSITORY, JOBS, REPOSITORY / "tests"]
    env = environment(tmp_path, 0) | {"PYTHONPATH": os.pathsep.join(map(str, folders))}
    return subprocess.run(command, env=env, capture_output=True, text=True)


@pytest.mark.long
def test_a_step_run_twice_does_nothing_and_a_lost_receipt_costs_one_shard(
    make_run, photos: Path, tmp_path: Path
) -> None:
    run = make_run(photos, params={"shard_images": 2}, duplicates="reject", limits={"max_rejected": 0.5})
    first = submit("ingest", run, tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "ingest: 9 objects listed, 0 objects passed over\n" in first.stdout
    assert "9 images in, 9 on, 6 shards (0 done before)" in first.stdout
    before = {receipt.shard: receipt for receipt in shards.read_receipts(run.layout, steps.INGEST)}
    (driver,) = drivers.read(run.layout)[steps.INGEST]
    assert driver.usage.core_seconds > 0.2  # no JVM starts in less
    assert all(receipt.usage.core_seconds > 0 for receipt in before.values())
    assert driver.usage.traffic.bytes_written > 0  # the listing
    read_by_workers = sum(receipt.usage.traffic.bytes_read for receipt in before.values())
    assert read_by_workers >= sum(path.stat().st_size for path in photos.rglob("*.jpg"))

    again = submit("ingest", run, tmp_path)
    assert "6 shards (6 done before)" in again.stdout
    assert {r.shard: r for r in shards.read_receipts(run.layout, steps.INGEST)} == before

    Path(run.layout.receipt("ingest", 2).removeprefix("file://")).unlink()
    assert "6 shards (5 done before)" in submit("ingest", run, tmp_path).stdout
    after = {receipt.shard: receipt for receipt in shards.read_receipts(run.layout, steps.INGEST)}
    assert [shard for shard in before if before[shard] != after[shard]] == [2]
    assert after[2].started_at > before[2].started_at

    judged = submit("validate", run, tmp_path)
    assert "9 images in, 8 on" in judged.stdout, judged.stdout + judged.stderr
    (rejected,) = [r.rejected for r in shards.read_receipts(run.layout, steps.VALIDATE) if r.rejected]
    (row,) = shards.read_staged(rejected).to_pylist()
    assert (Path(row["uri"]).name, row["reason"]) == ("twin.jpg", "DUPLICATE")
    assert row["detail"].endswith("grey/3.jpg")


@pytest.mark.long
def test_a_second_run_reuses_what_the_first_has_computed(
    make_run, tmp_path: Path, settings: Settings, lake_with_model: str
) -> None:
    folder = fill(tmp_path / "photos", {f"grey/{at:02d}.jpg": jpeg(at) for at in range(20)})
    first = make_run(folder, params={"shard_images": 6})
    finished(begun(first))
    register(first.layout.run_file, settings)
    fill(folder, {"grey/20.jpg": jpeg(20), "grey/twin.jpg": jpeg(3)})
    run = make_run(folder, params={"shard_images": 6})
    run_steps(run, THIS_PROCESS, (steps.INGEST, steps.VALIDATE))
    for step in ("resize", "featurize"):
        done = submit(step, run, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "22 images in, 22 on" + " (21 reused)" * (step == "resize") in done.stdout
    outcome = register(run.layout.run_file, settings)
    assert (outcome.summary["reused"], outcome.summary["computed"]) == (21, 1)
    rows = read.table(settings, "photos", columns=("uri", "features")).to_pylist()
    # The first run's vectors repeat three numbers. The model's vectors do not.
    assert [Path(row["uri"]).name for row in rows if row["features"][:3] != row["features"][3:6]] == ["20.jpg"]
    assert len(rows) == 22


@pytest.mark.long
def test_poisonous_images_fail_no_spark_task_and_no_other_image(make_run, tmp_path: Path) -> None:
    kinds = {3: "crash", 4: "hang", 50: "eat", 51: "abort", 90: "crash"}
    expected = poison.lay_out(tmp_path / "photos" / "grey", 100, kinds)
    limits = {"decode_seconds": 3, "max_rejected": 1}
    run = make_run(tmp_path / "photos", params={"shard_images": 30}, limits=limits)
    run_steps(run, THIS_PROCESS, (steps.INGEST, steps.VALIDATE))
    # local[2] gives a task one attempt: a single failed task would fail the job.
    done = submit("resize", run, tmp_path, Path(__file__).with_name("poisoned_resize.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100 images in, 95 on" in done.stdout
    receipts = shards.read_receipts(run.layout, "resize")
    rows = [row for r in receipts if r.rejected for row in shards.read_staged(r.rejected).to_pylist()]
    assert {Path(row["uri"]).name: row["reason"] for row in rows} == expected


def test_a_job_runs_as_a_module_and_leaves_no_spark_behind(make_run, photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "imagefeatures_spark.ingest", "--run", make_run(photos).layout.run_file]
    env = environment(tmp_path, 0) | {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, JOBS)))}
    # It returns when the JVM, too, has let go of what it prints to.
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "9 images in, 9 on" in done.stdout.splitlines()[-1]


def test_a_refused_job_ends_with_exit_status_65_and_one_line(make_run, photos: Path, tmp_path: Path) -> None:
    gone = make_run(photos).layout.run_file
    Path(gone.removeprefix("file://")).unlink()
    refused = submit("ingest", gone, tmp_path)
    assert refused.returncode == 65
    assert refused.stdout.strip().splitlines()[-1] == (
        f"ingest: ParamsError: --run: there is no {gone}; start a new run of this partition"
    )


@pytest.mark.parametrize("uri", ["--conf=spark.ui.enabled=true", "file:///elsewhere/run.json"])
def test_a_run_from_elsewhere_is_refused_with_exit_status_65_and_one_line(uri: str, tmp_path: Path, settings) -> None:
    refused = submit("ingest", uri, tmp_path)
    assert refused.returncode == 65, refused.stdout + refused.stderr
    (line,) = refused.stdout.strip().splitlines()
    assert line.startswith("ingest: ParamsError: ")
    assert "--run: " in line


def test_a_job_of_one_datasets_dag_refuses_the_run_of_another(make_run, photos: Path, tmp_path: Path) -> None:
    run = make_run(photos)
    conf = ("--conf", f"{names.DATASET_CONF}=birds")
    refused = submit("ingest", run, tmp_path, options=conf)
    assert refused.returncode == 65, refused.stdout + refused.stderr
    assert refused.stdout.strip().splitlines()[-1] == (
        f"ingest: ParamsError: --run: {run.layout.run_file} is a run of photos, not of birds"
    )
    assert shards.read_receipts(run.layout, steps.INGEST) == []


@pytest.mark.long
def test_a_damaged_staged_file_stops_the_next_step_with_the_files_name(make_run, photos: Path, tmp_path: Path) -> None:
    run = make_run(photos, params={"shard_images": 9})
    assert submit("ingest", run, tmp_path).returncode == 0
    victim = shards.read_receipts(run.layout, steps.INGEST)[0].output
    damaged = bytearray(storage.read(victim.uri))
    damaged[len(damaged) // 2] ^= 1
    storage.write(victim.uri, bytes(damaged))
    stopped = submit("validate", run, tmp_path)
    assert stopped.returncode == 65
    assert "AuditFailed: " in stopped.stdout.strip().splitlines()[-1]
    assert victim.uri in stopped.stdout


def test_an_empty_source_is_refused_with_its_uri(make_run, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    (tmp_path / "photos").rename(tmp_path / "elsewhere")  # after plan has looked
    refused = submit("ingest", run, tmp_path)
    assert refused.returncode == 65
    last = refused.stdout.strip().splitlines()[-1]
    assert f"NoInput: NO_INPUT: there is no folder file://{tmp_path}/photos/" in last


@pytest.mark.long
def test_pixels_alone_are_made_without_a_model_and_a_second_run_decodes_nothing(
    make_run, photos: Path, tmp_path: Path, settings: Settings
) -> None:
    tables = []
    for _ in range(2):
        run = make_run(photos, params={"shard_images": 4}, pixels="keep", features="none")
        for step in steps.SPARK_STEPS:
            done = submit(step, run, tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
        row = register(run.layout.run_file, settings).row
        tables.append((row["reused"], read.table(settings, "photos", what="pixels").drop_columns(["run_id"])))
    assert [reused for reused, _ in tables] == [0, 9]
    assert tables[0][1].equals(tables[1][1])
    assert read.pixels(tables[0][1]).shape == (9, 224, 224, 3)
