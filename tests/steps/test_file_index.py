"""Keys of rows, and whole runs: a search opens files that may hold an image alone, and believes no index that lies."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import layout, manifest, read, sealed, shards, steps, storage
from imagefeatures.errors import StoreError
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index, index_segments
from imagefeatures.steps.file_index import IMAGES
from imagefeatures.steps.reuse import KnownFile
from support.indexes import EACH, ids_of, one_by_one, pending_request
from support.photos import fill, jpeg
from support.reusing import PHOTOS, Make, Spy, begun, finished, local, planner, resized_and_featurized
from support.several import FIRST, SECOND, Lake, Spies
from support.shared import PARTITION, MakeRun


@pytest.mark.parametrize("foreign", ["binary", "large_string", "dictionary"])
def test_columns_of_other_types_that_mean_the_same_are_read(foreign: str) -> None:
    types = {
        "binary": pa.binary(),
        "large_string": pa.large_string(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
    }
    table = pa.table({"image_id": ids_of(1), "fingerprint": ["f"] * EACH, "copy": pa.array([0] * EACH, pa.int64())})
    other = pa.table({name: table[name].cast(types[foreign]) for name in ("image_id", "fingerprint")})
    assert (
        file_index.keys(IMAGES, other.append_column("copy", table["copy"])).tolist()
        == (file_index.of_ids(ids_of(1)) ^ file_index.made("f", 0)).tolist()
    )
    with pytest.raises(pa.ArrowException):
        file_index.keys(IMAGES, table.set_column(2, "copy", pa.array(["x"] * EACH)))


def test_rows_of_another_fingerprint_or_copy_are_not_offered(settings: Settings) -> None:
    table = pa.table({"image_id": ids_of(1), "fingerprint": ["a", "a", "b", None, "a"], "copy": [None, 0, 0, 0, 1]})
    found = file_index.keys(IMAGES, table)
    numbers = file_index.of_ids(ids_of(1))
    expected = [numbers[0] ^ file_index.made("a", 0), numbers[1] ^ file_index.made("a", 0)]
    expected += [numbers[2] ^ file_index.made("b", 0), numbers[4] ^ file_index.made("a", 1)]
    assert found.tolist() == expected
    assert file_index.keys(IMAGES, table.drop_columns("copy"))[:2].tolist() == expected[:2]


def test_urls_are_found_that_have_a_version() -> None:
    uris = ["https://a/1.jpg", "HTTP://a/2.jpg", "s3://a/3.jpg", "https://a/4.jpg", None]
    etags = ['"x"', "", '"x"', None, '"x"']
    table = pa.table({"uri": uris, "etag": etags, "fingerprint": ["f"] * 5, "copy": pa.nulls(5, pa.int32())})
    expected = file_index.of_texts(uris[:2]) ^ file_index.made("f", 0)
    assert file_index.keys(file_index.URLS, table).tolist() == expected.tolist()


@pytest.fixture
def make(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(file_index, "FEW", 0)
    return planner(make_run, tmp_path / "photos")


def test_a_run_opens_the_files_of_its_images_alone(
    make: Make, make_run: MakeRun, tmp_path: Path, opened: list[str]
) -> None:
    one_each = {"shard_images": 1}
    first = finished(begun(make(one_each)))
    begun(make(), first.files)
    source = fill(tmp_path / "two", {"a.jpg": PHOTOS["red/3.jpg"], "b.jpg": jpeg(50)})
    opened.clear()
    second = finished(begun(make_run(source), first.files))
    assert (second.reused, second.computed) == (1, 1)
    (row,) = (row for row in first.rows if row["image_id"] in {one["image_id"] for one in second.rows})
    (uri,) = set(opened)
    assert pq.read_table(local(uri))["image_id"].to_pylist() == [row["image_id"]]


def test_copies_of_a_table_share_its_index(make: Make, monkeypatch: pytest.MonkeyPatch, opened: list[str]) -> None:
    """What one of them searches is not thrown away by another."""
    monkeypatch.setattr(index_segments, "SEGMENTS", 1)
    monkeypatch.setattr(index_segments, "TOGETHER", 1)
    run = begun(make(preprocess=[{"augment": {"copies": 2, "crop": 0.6}}, {"resize": {"size": [224, 224]}}]))
    resized_and_featurized(run, Spy())
    files = [
        KnownFile(written.output.uri, written.output.size, number=copy)
        for receipt in shards.read_receipts(run.layout, steps.FEATURIZE)
        for copy, written in enumerate(receipt.outputs)
        if written.output
    ]
    todo = range(manifest.read_listing(run).shards)
    assert len(files) == 3 * len(todo) > 6
    for already in (0, len(files)):
        opened.clear()
        offered = file_index.candidates(run, files, todo, IMAGES, one_by_one)
        assert [file for _, file in offered] == files
        assert len(opened) == len(files) - already
    opened.clear()
    known = [file for file in files if file.number == 1]
    assert [file for _, file in file_index.candidates(run, known, [0], IMAGES, one_by_one)] == known[:1]
    assert opened == []


@pytest.mark.parametrize("lie", ["of other files", "of other images"])
def test_an_index_that_lies_costs_a_computation_and_gives_no_wrong_vector(
    make: Make, make_run: MakeRun, tmp_path: Path, lie: str
) -> None:
    first = finished(begun(make({"shard_images": 1})))
    run = make_run(fill(tmp_path / "one", {"3.jpg": PHOTOS["red/3.jpg"]}))
    begun(run, first.files)
    assert finished(run).reused == 1
    path = local(layout.known(run.lake, "images", "photos")) / "index.json"
    content = json.loads(path.read_bytes())
    ((digest, entries),) = content["segments"]
    if lie == "of other files":
        files = [entry[0] for entry in entries]
        entries = [[file, *entry[1:]] for file, entry in zip([*files[1:], files[0]], entries, strict=True)]
    else:
        noise = np.random.default_rng(0).bytes(8 * len(entries))
        digest = hashlib.sha256(noise).hexdigest()
        path.with_name(f"{digest[:32]}.bin").write_bytes(noise)
    path.write_bytes(sealed.encode(content | {"segments": [[digest, entries]]}))
    second = finished(begun(make_run(tmp_path / "one"), first.files))
    assert (second.reused, second.computed) == (0, 1)
    assert second.vectors["3.jpg"] == first.vectors["3.jpg"]


def test_few_files_and_a_lake_of_which_something_is_being_forgotten_are_searched_without_an_index(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> list[object]:
        raise AssertionError("nothing is looked up")

    run = begun(make())
    files = [KnownFile(f"file:///{number}", 1) for number in range(3)]
    monkeypatch.setattr(file_index, "FEW", 3)
    assert file_index.candidates(run, files, [0], IMAGES, never) == list(enumerate(files))
    monkeypatch.setattr(file_index, "FEW", 2)
    with pytest.raises(AssertionError, match="nothing is looked up"):
        file_index.candidates(run, files, [0], IMAGES, never)
    pending_request(run.lake)
    assert file_index.candidates(run, files, [0], IMAGES, never) == list(enumerate(files))


def test_where_no_shard_is_left_no_file_is_offered(make: Make) -> None:
    first = finished(begun(make()))
    files = [KnownFile(*file) for file in first.files]
    assert file_index.candidates(first.run, files, [], IMAGES, one_by_one) == []
    assert file_index.candidates(first.run, files, [0], IMAGES, one_by_one) == [(0, files[0])]
    assert [path.name for path in local(layout.known(first.run.lake, "images")).iterdir()] == ["photos"]


def test_each_table_has_an_index_of_its_own(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_index, "FEW", 0)
    fill(tmp_path / "photos" / PARTITION, PHOTOS)
    lake = Lake(settings, tmp_path / "photos")
    lake.published(FIRST, SECOND)
    spies = Spies()
    lake.published(FIRST, SECOND, spies=spies)
    assert (spies.decoded, spies.computed) == (0, {})
    names = {path.name for path in local(layout.known(settings.lake, "images")).iterdir()}
    assert names == {"photos", f"photos__{SECOND}"}


def test_a_request_to_forget_stops_no_search(make: Make) -> None:
    first = finished(begun(make()))
    run = make()
    pending_request(run.lake)
    second = finished(begun(run, first.files))
    assert (second.reused, second.computed) == (8, 0)
    assert not any(storage.list_objects(layout.known(run.lake)))


def test_a_store_that_does_not_answer_stops_the_search(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finished(begun(make()))

    def silent(*_: object) -> bytes:
        raise StoreError("no answer in 60 s")

    monkeypatch.setattr(read, "file_batches", silent)
    with pytest.raises(StoreError, match="no answer in 60 s"):
        begun(make(), first.files)
