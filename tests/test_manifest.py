"""The manifest: what is listed, how it is cut into shards, and samples."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import manifest
from imagefeatures.errors import AuditFailed, NoInput, StoreRefused
from imagefeatures.plan import Run
from imagefeatures.sources import Folder, Item, PassedOver
from support.listing import WORKERS, listed, sparse
from support.photos import fill
from support.shared import BUCKET, MakeRun

MIB = 2**20


def shares(run: Run) -> list[list[int]]:
    """Sizes of the objects of each shard."""
    listing = manifest.list_source(run, WORKERS)
    found = [manifest.read_manifest(run, shard)["size"].to_pylist() for shard in range(listing.shards)]
    assert sum(map(len, found)) == listing.objects
    assert sum(map(sum, found)) == listing.bytes
    assert all(found), "no shard is empty"
    return found


def test_the_listing_is_made_once_and_read_back_by_a_retry(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.jpg": b"x", "2.jpg": b"yy"})
    run = make_run(source)
    first = manifest.list_source(run, WORKERS)
    fill(source, {"3.jpg": b"late"})
    assert manifest.list_source(run, WORKERS) == first == manifest.read_listing(run)
    assert (first.objects, first.bytes) == (2, 3)
    assert len(listed(run)) == 2


def test_the_listing_of_another_attempt_is_never_mixed_with_the_one_that_counts(
    make_run: MakeRun, tmp_path: Path
) -> None:
    source = fill(tmp_path / "photos", {f"{at}.jpg": b"x" for at in range(8)})
    run = make_run(source)
    first = manifest.list_source(run, WORKERS)
    summary = Path(run.layout.listing_summary.removeprefix("file://"))
    counts = summary.read_bytes()
    summary.unlink()
    fill(source, {"0 new.jpg": b"late"})  # the shards of the second attempt hold other objects
    second = manifest.list_source(run, WORKERS)
    assert second.objects == 9
    assert second.files[0].uri != first.files[0].uri  # no attempt writes over the other's files
    summary.write_bytes(counts)  # the first attempt was the first to end
    assert manifest.list_source(run, WORKERS) == first
    assert listed(run) == [f"file://{source}/{at}.jpg" for at in range(8)]


class Repeating(Folder):
    """A source that lists an object twice, far apart."""

    def items(self, passed: PassedOver | None = None) -> Iterator[Item]:
        items = list(super().items(passed))
        yield from [*items, items[0]]


def test_a_uri_that_is_listed_twice_refuses_the_run(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {f"{at:04d}.jpg": b"x" for at in range(100)})
    run = make_run(source)
    run = run.model_copy(update={"source": Repeating(uri=run.source.uri)})
    with pytest.raises(StoreRefused, match=rf"^file://{source}/: the listing holds file://{source}/0000.jpg more than"):
        manifest.list_source(run, WORKERS)


def test_names_that_look_the_same_once_they_are_escaped_are_told_apart(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {r"a\udcff": b"text", r"a\udcff\udcff": b"text"})
    for name in (b"a\xff", b"a\xff\xff", rb"a\udcff" + b"\xff"):
        (source / os.fsdecode(name)).write_bytes(b"bytes")
    run = make_run(source)
    manifest.list_source(run, WORKERS)
    uris = listed(run)
    assert len(set(uris)) == 5
    assert {uri for uri in uris if "//" not in uri.removeprefix("file://")} == {
        rf"file://{source}/a\udcff",
        rf"file://{source}/a\udcff\udcff",
    }


def test_staging_of_another_version_is_refused_in_one_line(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    summary = Path(run.layout.listing_summary.removeprefix("file://"))
    summary.parent.mkdir()
    summary.write_text('{"objects": 1, "bytes": 1, "shards": 1}')
    with pytest.raises(
        AuditFailed, match=rf"^{run.layout.listing_summary}: .* not what this version wrote; start a new"
    ):
        manifest.list_source(run, WORKERS)


def test_pattern_and_folder_markers_decide_what_is_listed(make_run: MakeRun, s3: Any) -> None:
    for key in ("day/a.jpg", "day/b.png", "day/c.txt", "day/", "day/deep/d.jpg", "day-2/e.jpg"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    run = make_run(f"s3://{BUCKET}/day", pattern=["*.jpg", "*.png"])
    manifest.list_source(run, WORKERS)
    assert listed(run) == [f"s3://{BUCKET}/day/{key}" for key in ("a.jpg", "b.png", "deep/d.jpg")]


def test_on_empty_makes_an_empty_listing_an_error_or_an_empty_run(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.png": b"x"})
    run = make_run(fill(tmp_path / "gone", {"1.jpg": b"x"}), pattern="*.jpg")
    (tmp_path / "gone" / "1.jpg").rename(tmp_path / "gone" / "1.png")  # after plan has looked
    with pytest.raises(
        NoInput,
        match=rf"^NO_INPUT: 1 object at file://{tmp_path}/gone/, and none fits the pattern \['\*\.jpg'\]: 1\.png$",
    ):
        manifest.list_source(run, WORKERS)
    empty = manifest.list_source(make_run(source, pattern="*.jpg", on_empty="skip"), WORKERS)
    assert empty == manifest.Listing(objects=0, bytes=0, shards=0, passed_over={"pattern": 1})


def test_a_sample_that_takes_nothing_is_no_mistake_of_the_pattern(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.jpg": b"x", "2.jpg": b"x", "3.txt": b"x"})
    with pytest.raises(
        NoInput, match=rf"^NO_INPUT: 3 objects at file://{source}/, of which 2 fit the pattern, and none "
    ):
        make_run(source, {"sample": 1e-9}, pattern="*.jpg")
    listing = manifest.list_source(make_run(source, {"sample": 1e-9}, pattern="*.jpg", on_empty="skip"), WORKERS)
    assert listing.passed_over == {"sample": 2, "pattern": 1}


def test_a_small_run_keeps_every_worker_busy(make_run: MakeRun, tmp_path: Path) -> None:
    found = shares(make_run(sparse(tmp_path / "photos", [1000] * 20)))
    assert [len(shard) for shard in found] == [5] * (2 * WORKERS)


def test_one_object_makes_one_shard(make_run: MakeRun, tmp_path: Path) -> None:
    assert shares(make_run(sparse(tmp_path / "photos", [1000]))) == [[1000]]


@pytest.mark.parametrize(
    ("objects", "workers", "shards"),
    [(3, 2, 3), (10, 2, 4), (21, 2, 6), (30, 2, 6), (50, 3, 12), (79, 2, 16), (81, 2, 17), (1, 500, 1)],
)
def test_few_shards_are_a_multiple_of_the_workers(
    make_run: MakeRun, tmp_path: Path, objects: int, workers: int, shards: int
) -> None:
    fill(tmp_path / "photos", {f"{number:03}.jpg": b"same size" for number in range(objects)})
    run = make_run(f"file://{tmp_path}/photos/", {"shard_images": 5})
    listing = manifest.list_source(run, workers)
    assert (listing.objects, listing.shards) == (objects, shards)


def test_no_shard_holds_more_images_than_its_cap(make_run: MakeRun, tmp_path: Path) -> None:
    found = shares(make_run(sparse(tmp_path / "photos", [10] * 500), {"shard_images": 30}))
    assert max(map(len, found)) <= 30
    assert len(found) <= math.ceil(500 / 30) + 1


def test_the_cap_on_images_holds_among_small_objects(make_run: MakeRun, tmp_path: Path) -> None:
    found = shares(make_run(sparse(tmp_path / "photos", [1] * 100 + [100_000] * 10), {"shard_images": 20}))
    assert [len(shard) for shard in found[:5]] == [20] * 5


def test_no_shard_holds_more_bytes_than_its_cap(make_run: MakeRun, tmp_path: Path) -> None:
    sizes = [(at * 7919) % (300 * 1024) for at in range(200)]
    found = shares(make_run(sparse(tmp_path / "photos", sizes), {"shard_bytes": MIB}))
    assert max(map(sum, found)) <= MIB
    assert len(found) <= 1.5 * math.ceil(sum(sizes) / MIB)


def test_an_object_over_the_byte_cap_is_alone_in_its_shard(make_run: MakeRun, tmp_path: Path) -> None:
    sizes = [1000, 1000, 3 * MIB, 1000, 1000]
    run = make_run(sparse(tmp_path / "photos", sizes), {"shard_bytes": MIB})
    assert [3 * MIB] in shares(run)


def test_an_object_that_is_not_downloaded_makes_no_shards(make_run: MakeRun, tmp_path: Path) -> None:
    found = shares(make_run(sparse(tmp_path / "photos", [1000] * 40 + [2**42] + [1000] * 39)))
    assert [len(shard) for shard in found] == [20, 20, 21, 19]


def test_shards_are_alike_in_bytes_and_in_count(make_run: MakeRun, tmp_path: Path) -> None:
    sizes = [1000 + (at * 7919) % 9000 for at in range(400)]
    found = shares(make_run(sparse(tmp_path / "photos", sizes), {"shard_images": 50}))
    weights = [len(shard) / len(sizes) + sum(shard) / sum(sizes) for shard in found]
    assert max(weights) < 1.3 * 2 / len(found)
    assert min(weights[:-1]) > 0.7 * 2 / len(found)


def test_a_listing_longer_than_its_buffer_stays_whole_and_in_order(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "SPOOL_ROWS", 7)
    source = sparse(tmp_path / "photos", [1] * 100)
    run = make_run(source)
    manifest.list_source(run, WORKERS)
    assert listed(run) == [f"file://{source}/{at:05d}.jpg" for at in range(100)]


def test_a_sample_is_the_same_at_every_run_and_near_its_share(make_run: MakeRun, tmp_path: Path) -> None:
    source = sparse(tmp_path / "photos", [0] * 2000)
    samples = {}
    for share in (0.1, 0.25, 1.0):
        runs = [make_run(source, sample=share), make_run(source, {"sample": share})]
        for run in runs:
            manifest.list_source(run, WORKERS)
        assert listed(runs[0]) == listed(runs[1])
        samples[share] = set(listed(runs[0]))
        six_sigma = 6 * math.sqrt(2000 * share * (1 - share))
        assert abs(len(samples[share]) - 2000 * share) <= six_sigma
    assert samples[0.1] < samples[0.25] < samples[1.0]
