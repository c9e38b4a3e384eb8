"""What each job does with the shards of a run, with lists in place of Spark."""

from __future__ import annotations

import io
import re
import sys
import zipimport
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagefeatures import local, manifest, shards, steps, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import AuditFailed, TooManyRejected
from imagefeatures.models import engines, gpus, prepare
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index, reuse, validate
from imagefeatures.steps.register import register
from imagefeatures.usage import meter
from imagefeatures_spark import distribute, featurize, ingest, resize
from imagefeatures_spark import validate as validate_job
from support.lists_as_spark import Context
from support.photos import fill, jpeg
from support.redriving import Partition
from support.reusing import Spy
from support.several import FIRST, SECOND, THIRD, Lake
from support.shared import PARTITION, SPEC, MakeRun

THREE = {"grey/0.jpg": jpeg(0), "grey/1.jpg": jpeg(1), "grey/twin.jpg": jpeg(1)}


@pytest.fixture(autouse=True)
def _measured_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job says of its workers that they only work. Here they are this process, which does other things later."""
    monkeypatch.setattr(meter, "_last_reading", None)


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    """Three photos in two shards; two of them have the same bytes."""
    return make_run(
        fill(tmp_path / "photos", THREE | {"grey/notes.txt": b"x"}),
        params={"shard_images": 2},
        pattern="*.jpg",
        duplicates="reject",
        limits={"max_rejected": 0.5},
    )


@pytest.fixture
def featurized(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """The engine of the featurize job, which counts."""
    spy = Spy()
    bundle = engines.Bundle("f", SPEC, {})
    monkeypatch.setattr(prepare, "read_bundle", lambda *_: bundle)
    monkeypatch.setattr(engines, "cached", lambda name, given: spy if (name, given) == ("openvino", bundle) else None)
    return spy


def rejected(run: Run, step: str) -> list[tuple[str, str]]:
    """(file name, reason) of each object that the step has rejected."""
    staged = [receipt.rejected for receipt in shards.read_receipts(run.layout, step) if receipt.rejected]
    return [(Path(row["uri"]).name, row["reason"]) for file in staged for row in shards.read_staged(file).to_pylist()]


def test_the_jobs_take_a_run_from_its_listing_to_its_vectors(
    run: Run, featurized: Spy, capsys: pytest.CaptureFixture[str]
) -> None:
    for job in (ingest, validate_job, resize, featurize):
        job.work(Context(), run)
    said = re.sub(r"\d+\.\d s", "… s", capsys.readouterr().out)
    said = re.sub(r"\d+ images/s", "… images/s", said)
    assert said.splitlines() == [
        "ingest: 3 objects listed, 1 object passed over (pattern 1)",
        *(
            f"{step}: {images}, 2 shards (0 done before); busy … s, … images/s; Spark up in … s, work … s"
            for step, images in (
                ("ingest", "3 images in, 3 on"),
                ("validate", "3 images in, 2 on"),
                ("resize", "2 images in, 2 on"),
                ("featurize", "2 images in, 2 on"),
            )
        ),
    ]
    assert rejected(run, "validate") == [("twin.jpg", "DUPLICATE")]
    assert featurized.featurized == 2
    assert not reuse.search(run).has_ended()  # the table has nothing yet


def test_each_line_is_in_the_log_when_it_is_printed_and_not_when_the_job_ends(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(log))  # a pipe, as spark-submit has it
    real, seen = ingest.ingest.run_shard, []
    monkeypatch.setattr(ingest.ingest, "run_shard", lambda *given: seen.append(log.getvalue()) or real(*given))
    ingest.work(Context(), run)
    assert seen[0] == b"ingest: 3 objects listed, 1 object passed over (pattern 1)\n"
    assert log.getvalue().count(b"\n") == 2


def test_only_shards_without_a_receipt_are_done_again(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    ingest.work(Context(), run)
    before = {receipt.shard: receipt for receipt in shards.read_receipts(run.layout, steps.INGEST)}
    again = Context()
    ingest.work(again, run)
    assert again.parallelized == []
    Path(run.layout.receipt("ingest", 1).removeprefix("file://")).unlink()
    ingest.work(again, run)
    assert again.parallelized == [(1, 1)]  # one shard, in a task of its own
    after = {receipt.shard: receipt for receipt in shards.read_receipts(run.layout, steps.INGEST)}
    assert [shard for shard in before if before[shard] != after[shard]] == [1]
    assert re.findall(r"\d shards \(\d done before\)", capsys.readouterr().out) == [
        "2 shards (0 done before)",
        "2 shards (2 done before)",
        "2 shards (1 done before)",
    ]


def test_duplicates_are_searched_once_and_only_where_they_are_rejected(
    run: Run, make_run: MakeRun, tmp_path: Path
) -> None:
    kept = make_run(tmp_path / "photos", params={"shard_images": 2}, pattern="*.jpg", duplicates="keep")
    for planned, searches in ((run, [(2, 2), (2, 2)]), (kept, [(2, 2)])):
        ingest.work(Context(), planned)
        context = Context()
        validate_job.work(context, planned)
        assert context.parallelized == searches  # the search over both shards, then the shards themselves
        again = Context()
        validate_job.work(again, planned)
        assert again.parallelized == []
    assert not validate.search(kept).has_ended()
    assert rejected(kept, "validate") == []


def test_a_duplicate_of_what_a_re_drives_partition_holds_is_found(tmp_path: Path, settings: Settings) -> None:
    photos = fill(tmp_path / "photos", {f"{PARTITION}/{name}": b"" for name in ("1.jpg", "3.jpg")})
    fill(photos, {f"{PARTITION}/2.jpg": jpeg(1)})
    fields = {"name": "photos", "source": f"file://{photos}/{{partition}}/", "duplicates": "reject"}
    partition = Partition(Dataset.model_validate(fields), settings)
    partition.publish()
    fill(photos, {f"{PARTITION}/1.jpg": jpeg(1), f"{PARTITION}/3.jpg": jpeg(3)})
    run = partition.planned()
    ingest.work(Context(), run)
    validate_job.work(Context(), run)
    assert rejected(run, "validate") == [("1.jpg", "DUPLICATE")]


def test_one_shard_is_searched_in_one_task(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": jpeg(1)}), duplicates="reject")
    ingest.work(Context(), run)
    context = Context()
    validate_job.work(context, run)
    assert context.parallelized == [(1, 1), (1, 1)]


def test_validate_ends_with_the_failure_budget(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": jpeg(1), "2.jpg": b"no picture"}))
    ingest.work(Context(), run)
    with pytest.raises(TooManyRejected, match=r"^1 of 2 objects rejected"):
        validate_job.work(Context(), run)


def test_vectors_that_the_table_has_are_found_once_and_not_computed_again(
    make_run: MakeRun, tmp_path: Path, settings: Settings, featurized: Spy, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = fill(tmp_path / "photos", THREE)
    before = make_run(folder)
    for job in (ingest, validate_job, resize, featurize):
        job.work(Context(), before)
    register(before.layout.run_file, settings)
    assert featurized.featurized == 2  # two of them have the same bytes
    fill(folder, {"grey/new.jpg": jpeg(7)})
    run = make_run(folder, params={"shard_images": 2})
    for job in (ingest, validate_job):
        job.work(Context(), run)
    files, count = len(reuse.known_files(run)), manifest.read_listing(run).shards
    first, second, third = Context(), Context(), Context()
    resize.work(first, run)
    # The files of the table and the shards are joined; then the shards are done.
    assert first.parallelized == [(files, files), (count, count), (count, count)]
    assert "resize: 4 images in, 4 on (3 reused)" in capsys.readouterr().out
    featurize.work(Context(), run)
    assert featurized.featurized == 3
    Path(run.layout.receipt("resize", 0).removeprefix("file://")).unlink()
    resize.work(second, run)
    assert second.parallelized == [(1, 1)]  # it has been searched
    Path(run.layout.known_summary.removeprefix("file://")).unlink()
    resize.work(third, run)
    assert third.parallelized == []  # nothing is left to resize, so nothing is searched


@pytest.mark.parametrize("few", [0, 100], ids=["by the index", "in all files"])
def test_the_join_finds_the_images_of_every_models_table_as_a_local_run_does(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(file_index, "FEW", few)
    lake = Lake(settings, fill(tmp_path / "photos" / "a", THREE).parent)
    fill(tmp_path / "photos" / "b", {"1.jpg": jpeg(1), "2.jpg": jpeg(2)})
    fill(tmp_path / "photos" / "c", THREE | {"2.jpg": jpeg(2)})
    lake.published(FIRST, SECOND, partition="a")
    lake.published(FIRST, THIRD, partition="b")
    run = lake.planned(lake.dataset(FIRST, SECOND, THIRD), "c", shard_images=2)
    for job in (ingest, validate_job):
        job.work(Context(), run)
    todo = range(manifest.read_listing(run).shards)
    files = reuse.known_files(run)
    assert sorted({reuse.output_of(run, file).table for file in files}) == sorted(run.tables)
    found = []
    for find in (partial(resize.find_known, Context(), run, files), partial(local.find_known, run)):
        find(list(todo))
        found.append([reuse.search(run).read(shard) for shard in todo])
        storage.delete_folder(run.layout.step(steps.RESIZE))
    assert found[0] == found[1]
    by_table = [files[number].table for of_shard in found[0] for number, _ in of_shard]
    assert {table: by_table.count(table) for table in run.tables} == {
        "photos": 4,
        f"photos__{SECOND}": 3,
        f"photos__{THIRD}": 3,
    }


def test_many_files_of_the_table_are_joined_in_a_few_slices_for_each_core(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reuse, "row_locations", lambda *_: [])
    monkeypatch.setattr(reuse, "identities", lambda *_: [])
    monkeypatch.setattr(file_index, "FEW", 20)
    context = Context()
    resize.find_known(context, run, [reuse.KnownFile(f"file:///{number}", 1) for number in range(20)], [0, 1])
    assert context.parallelized == [(20, 8), (2, 2)]
    assert reuse.search(run).has_ended()
    storage.delete_folder(run.layout.step(steps.RESIZE))
    monkeypatch.setattr(file_index, "candidates", lambda *_: [])  # by the index no file has an image of the run
    resize.find_known(none := Context(), run, [reuse.KnownFile("file:///0", 1)], [0, 1])
    assert none.parallelized == []
    assert reuse.search(run).has_ended()


def test_a_second_attempt_of_a_task_gives_a_silent_store_less_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shortened: list[bool] = []
    monkeypatch.setattr(storage, "shorten_retries", shortened.append)
    manifest.list_source(run, workers=1)
    for attempt in (None, 0, 1):
        task = None if attempt is None else SimpleNamespace(attemptNumber=lambda attempt=attempt: attempt)
        monkeypatch.setattr(distribute, "TaskContext", SimpleNamespace(get=lambda task=task: task))
        with pytest.raises(AuditFailed, match="no such shard"):
            distribute.spread(Context(), run, steps.INGEST, 1, failing)
    assert shortened == [False, False, True]


def failing(_: int) -> Any:
    raise AuditFailed("no such shard")


def test_python_reads_no_archive_again_that_a_shard_has_left_in_its_cache(run: Run, tmp_path: Path) -> None:
    """Spark lets Python do that before each task, for its own jar too."""
    import zipfile

    archive, folder = str(tmp_path / "spark.jar"), str(tmp_path)
    with zipfile.ZipFile(archive, "w") as jar:
        jar.writestr("module.py", "")
    sys.path_importer_cache[archive] = zipimport.zipimporter(archive)
    sys.path_importer_cache[folder] = None
    try:
        ingest.work(Context(), run)
        assert archive not in sys.path_importer_cache
        assert folder in sys.path_importer_cache
    finally:
        for path in (archive, folder):
            sys.path_importer_cache.pop(path, None)


def test_a_worker_computes_on_the_gpu_of_its_task(run: Run, featurized: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    for job in (ingest, validate_job, resize):
        job.work(Context(), run)
    used: list[str | None] = []
    monkeypatch.setattr(gpus, "use_gpu", used.append)
    bundles = [Context().broadcast(prepare.read_bundle(run.model, run.preprocessing, run.lake))]
    gpu = SimpleNamespace(resources=lambda: {"gpu": SimpleNamespace(addresses=["5"])})
    for task in (None, gpu):
        monkeypatch.setattr(featurize, "TaskContext", SimpleNamespace(get=lambda task=task: task))
        featurize.on_worker(run, 0, bundles)
    assert used == [None, "5"]


def test_a_task_that_spark_gave_no_gpu_has_none() -> None:
    given = {"gpu": SimpleNamespace(addresses=[]), "fpga": SimpleNamespace(addresses=["0"])}
    assert featurize.gpu_of(given) is None
    assert featurize.gpu_of({}) is None
    assert featurize.gpu_of({"gpu": SimpleNamespace(addresses=["2", "3"])}) == "2"
