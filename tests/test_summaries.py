"""Bits flipped in the files between two steps of a run: never believed, always named, in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import manifest, run_audit, shards, storage, summaries
from imagefeatures.errors import AuditFailed
from imagefeatures.local import run_steps
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.shards import StagedFile
from imagefeatures.steps import INGEST, VALIDATE, ingest, register, resize, reuse, validate
from support.photos import fill, jpeg
from support.shared import THIS_PROCESS, MakeRun

FLIPS = 300

Reader = Callable[[], object]


@pytest.fixture
def run(make_run: MakeRun, settings: Settings, tmp_path: Path) -> Run:
    """A run with duplicates and known images, with every step done but register."""
    source = fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at % 4) for at in range(6)})
    fields = {"duplicates": "reject", "limits": {"max_rejected": 1}}
    first = make_run(source, {"shard_images": 3}, partition="2026-11-01", **fields)
    run_steps(first, THIS_PROCESS)
    register.register(first.layout.run_file, settings)
    second = make_run(source, {"shard_images": 3}, **fields)
    run_steps(second, THIS_PROCESS)
    assert shards.totals(shards.read_receipts(second.layout, "resize")).reused == 4
    return second


def files_and_readers(run: Run) -> Iterator[tuple[str, str, Reader]]:
    """(name, URI, the step that reads it) of each file that is not a receipt, or named by one."""
    layout = run.layout
    yield "manifest", manifest.read_listing(run).files[0].uri, lambda: ingest.run_shard(run, 0)
    yield "listing", layout.listing_summary, lambda: ingest.run_shard(run, 0)
    yield "known files", layout.known_files, lambda: reuse.known_files(run)
    duplicates = summaries.read_summary(layout.duplicates_summary, layout.duplicates)
    last = max(duplicates.files)
    yield "duplicates", duplicates.files[last].uri, lambda: validate.run_shard(run, last)
    yield "duplicates' summary", layout.duplicates_summary, lambda: validate.run_shard(run, last)
    known = summaries.read_summary(layout.known_summary, layout.known_images)
    yield "known images", known.files[0].uri, lambda: resize.run_shard(run, 0)
    yield "known images' summary", layout.known_summary, lambda: resize.run_shard(run, 0)


def damaged(data: bytes, chance: np.random.Generator) -> bytes:
    """The bytes with one bit flipped; some are cut short, or empty, as after a power cut."""
    how = chance.integers(20)
    if how == 0:
        return b""
    if how == 1:
        return data[: chance.integers(1, len(data))]
    bad = bytearray(data)
    bad[chance.integers(len(bad))] ^= 1 << chance.integers(8)
    return bytes(bad)


def test_each_of_300_damages_is_an_audit_failure_that_names_the_file(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = np.random.default_rng(3)
    files = list(files_and_readers(run))
    held = 0
    for attempt in range(FLIPS):
        name, uri, read = files[attempt % len(files)]
        path = Path(uri.removeprefix("file://"))
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, chance))
        with pytest.raises(AuditFailed) as failed:
            read()
        assert str(failed.value).startswith(f"{uri}: "), name
        assert "\n" not in str(failed.value)
        path.write_bytes(whole)
        held += 1
    with capsys.disabled():
        print(f" {held}/{FLIPS} damages found ", end="")
    for _, _, read in files:
        read()


def test_a_file_that_is_gone_is_named(run: Run) -> None:
    for name, uri, read in files_and_readers(run):
        path = Path(uri.removeprefix("file://"))
        path.rename(path.with_name("away"))
        if name in ("known files", "known images' summary"):  # without them every vector is computed
            read()
        else:
            with pytest.raises(AuditFailed, match="gone") as failed:
                read()
            assert str(failed.value).startswith(f"{uri}: ")
        path.with_name("away").rename(path)


def test_register_refuses_a_manifest_that_has_changed(run: Run, settings: Settings) -> None:
    uri = manifest.read_listing(run).files[1].uri
    path = Path(uri.removeprefix("file://"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(AuditFailed, match=f"^{uri}: "):
        register.register(run.layout.run_file, settings)


def test_register_refuses_a_uri_that_two_shards_hold(run: Run, settings: Settings) -> None:
    """A listing that was forged with all its digests: the same objects in both shards."""
    layout, listing = run.layout, manifest.read_listing(run)
    rows = manifest.read_manifest(run, 0, listing)
    assert rows.num_rows == manifest.read_manifest(run, 1, listing).num_rows == 3
    storage.delete_folder(layout.step(INGEST))
    storage.delete_folder(layout.step(VALIDATE))
    storage.delete_folder(layout.step("resize"))
    storage.delete_folder(layout.step("featurize"))
    files: dict[int, StagedFile] = {
        shard: summaries.write_shard_file(layout.listing, shard, rows) for shard in range(2)
    }
    facts = {"objects": 6, "bytes": listing.bytes, "shards": 2}
    summaries.write_summary(layout.listing_summary, summaries.Summary(facts, files))
    run = run.model_copy(update={"dataset": run.dataset.model_copy(update={"duplicates": "keep"})})
    run_steps(run, THIS_PROCESS)
    uri = rows["uri"][0].as_py()
    with pytest.raises(AuditFailed, match=f"^{uri} is in the manifest more than once$"):
        run_audit.audit_run(run)


def test_the_first_summary_counts(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/summary.json"
    for number in (1, 2):
        summaries.write_summary(uri, summaries.Summary({"number": number}))
    assert summaries.read_summary(uri, lambda shard, digest: "").facts == {"number": 1}


def test_what_a_search_has_found_is_read_once_it_has_ended_and_the_first_end_counts(tmp_path: Path) -> None:
    schema = pa.schema([("uri", pa.string()), ("shard", pa.int64())])
    search = summaries.Search(
        f"file://{tmp_path}/summary.json", lambda shard, digest: f"file://{tmp_path}/{shard}-{digest}.parquet", schema
    )
    assert search.has_ended() is False
    with pytest.raises(storage.ObjectMissing):
        search.ended()
    first = search.write(3, [("b", 2), ("a", 1)])
    assert (first[0], first[1].rows) == (3, 2)
    later = search.write(3, [("c", 3)])
    search.end([first])
    search.end([later])
    assert search.has_ended() is True
    assert search.ended() == summaries.Summary({}, dict([first]))
    assert search.read(3) == [("a", 1), ("b", 2)]
    assert search.read(4) == []
