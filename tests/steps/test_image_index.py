"""The search of reuse opens only files that may hold an image of the run, and believes no index that has changed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import layout, read, sealed, storage
from imagefeatures.errors import StoreError
from imagefeatures.forget import deny, pending
from imagefeatures.forget.pending import Pending
from imagefeatures.settings import Settings
from imagefeatures.steps import image_index
from imagefeatures.steps.image_index import _File, _Index
from support.photos import fill, jpeg
from support.reusing import PHOTOS, Make, begun, finished, local, planner
from support.shared import MakeRun

TABLE, EACH = "photos", 5


def one_by_one(work: Any, elements: Any) -> list[Any]:
    return [work(element) for element in elements]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened for their rows."""
    uris: list[str] = []
    real = read.file_batches

    def noted(uri: str, *given: Any) -> Any:
        uris.append(uri)
        return real(uri, *given)

    monkeypatch.setattr(read, "file_batches", noted)
    return uris


def ids_of(number: int) -> list[str]:
    return [hashlib.sha256(f"{number} {at}".encode()).hexdigest() for at in range(EACH)]


def written(lake: str, number: int) -> _File:
    path = f"warehouse/features/{TABLE}/data/{number:04d}.parquet"
    file = local(f"{lake}/{path}")
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image_id": [*ids_of(number), None, "no id"]}), file)
    return _File(path, file.stat().st_size)


def holding(lake: str, numbers: Iterable[int], files: Iterable[_File]) -> set[_File]:
    """What the index offers for the second image of each of these files."""
    wanted = np.unique(image_index.prefixes(pa.array([ids_of(number)[1] for number in numbers], pa.string())))
    return _Index(lake, TABLE).holding(wanted, set(files), one_by_one)


def segments(lake: str) -> list[Path]:
    return sorted(local(layout.image_index(lake, TABLE)).glob("*.bin"))


def test_only_new_files_are_opened_and_only_those_that_hold_an_image_are_offered(
    settings: Settings, opened: list[str]
) -> None:
    files = [written(settings.lake, number) for number in range(150)]
    assert holding(settings.lake, [3, 77], files[:-1]) == {files[3], files[77]}
    assert len(opened) == 149
    opened.clear()
    assert holding(settings.lake, [5, 149], files) == {files[5], files[149]}
    assert opened == [f"{settings.lake}/{files[149].path}"]
    opened.clear()
    assert holding(settings.lake, [1000], files) == holding(settings.lake, [], files) == set()
    assert holding(settings.lake, [3, 4], files[:4]) == {files[3]}, "a file that the plan has not found is not offered"
    assert opened == []
    assert sum(path.stat().st_size for path in segments(settings.lake)) == 8 * EACH * len(files)


def test_a_lake_that_was_moved_keeps_its_index(settings: Settings, tmp_path: Path, opened: list[str]) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    holding(settings.lake, [1], files)
    shutil.copytree(local(settings.lake), tmp_path / "moved")
    shutil.rmtree(local(settings.lake))
    opened.clear()
    assert holding(f"file://{tmp_path}/moved", [1], files) == {files[1]}
    assert opened == []


@pytest.mark.parametrize(
    "damage", ["a bit of a segment", "half a segment", "no segment", "a bit", "no index", "a list"]
)
def test_what_is_damaged_or_gone_is_made_again_and_nothing_is_missed(
    settings: Settings, opened: list[str], damage: str
) -> None:
    files = [written(settings.lake, number) for number in range(6)]
    holding(settings.lake, [], files[:3])
    holding(settings.lake, [2, 4], files)
    first, _ = segments(settings.lake)
    path = first if "segment" in damage else local(layout.image_index(settings.lake, TABLE)) / "index.json"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.unlink()
    if not damage.startswith("no"):
        damaged = {"half a segment": data[: len(data) // 2], "a list": b"[[]]"}
        storage.write(f"file://{path}", bytes(damaged.get(damage, data)))
    opened.clear()
    assert holding(settings.lake, [2, 4], files) == {files[2], files[4]}
    assert len(opened) == (3 if "segment" in damage else 6)
    opened.clear()
    assert holding(settings.lake, [0, 5], files) == {files[0], files[5]}
    assert opened == [], "it is whole again"


def test_a_file_that_cannot_be_read_or_has_another_size_is_left_to_the_search(
    settings: Settings, opened: list[str]
) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    local(f"{settings.lake}/{files[1].path}").write_bytes(b"no Parquet")
    assert holding(settings.lake, [], files) == {files[1]}
    written(settings.lake, 1)
    assert holding(settings.lake, [], files) == set()
    other = _File(files[0].path, files[0].size + 1)
    opened.clear()
    assert holding(settings.lake, [], [other, *files[1:]]) == {other}
    assert opened == [f"{settings.lake}/{other.path}"]
    foreign = _File("s3a://elsewhere/file.parquet", 10)
    assert holding(settings.lake, [], [foreign]) == {foreign}


def test_many_publications_leave_few_segments_without_files_that_were_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_index, "SEGMENTS", 4)
    monkeypatch.setattr(image_index, "LARGEST_SEGMENT", 12 * EACH)
    files: list[_File] = []
    for number in range(60):
        files = [*files, written(settings.lake, number)][-40:]  # each day now replaces one
        of = min(number, 7)
        assert holding(settings.lake, [number - of, 1000], files) == {files[-1 - of]}
        assert len(segments(settings.lake)) <= 4 + 60 // 6 + 1
    content = sealed.decode("", (local(layout.image_index(settings.lake, TABLE)) / "index.json").read_bytes())
    assert sorted(f"{one[0][:32]}.bin" for one in content["segments"]) == [
        path.name for path in segments(settings.lake)
    ]
    indexed = {_File(*file) for one in content["segments"] for file in one[1]}
    assert set(files) <= indexed
    assert len(indexed) < 60


def pending_request(lake: str) -> Pending:
    import datetime as dt

    request = Pending("r1", frozenset(), frozenset(), "ada", "asked", dt.datetime.now(dt.UTC))
    pending.keep(lake, request)
    return request


def test_an_index_from_before_a_request_to_forget_is_not_used(settings: Settings, opened: list[str]) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    holding(settings.lake, [], files)
    deny.add(settings.lake, "r1", ids_of(0), [])
    opened.clear()
    holding(settings.lake, [], files[1:])
    assert len(opened) == 2
    prefix = bytes.fromhex(ids_of(0)[0])[:8]
    assert not any(prefix in path.read_bytes() for path in segments(settings.lake))


def test_an_index_that_is_written_while_something_is_forgotten_does_not_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    real = image_index._written

    def meanwhile(*given: Any) -> Any:
        if not deny.is_pending(settings.lake):
            pending_request(settings.lake)  # and what there was is deleted
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(image_index, "_written", meanwhile)
        assert holding(settings.lake, [1], files) == {files[1]}
    assert deny.is_pending(settings.lake)
    assert not any(storage.list_objects(layout.image_index(settings.lake)))
    assert holding(settings.lake, [1], files) == {files[1]}
    assert not any(storage.list_objects(layout.image_index(settings.lake))), "it is still under way"


# Whole runs


@pytest.fixture
def make(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(image_index, "FEW", 0)
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


@pytest.mark.parametrize("lie", ["of other files", "of other images"])
def test_an_index_that_lies_costs_a_computation_and_gives_no_wrong_vector(
    make: Make, make_run: MakeRun, tmp_path: Path, lie: str
) -> None:
    first = finished(begun(make({"shard_images": 1})))
    run = make_run(fill(tmp_path / "one", {"3.jpg": PHOTOS["red/3.jpg"]}))
    begun(run, first.files)
    assert finished(run).reused == 1
    path = local(layout.image_index(run.lake, "photos")) / "index.json"
    content = json.loads(path.read_bytes())
    ((digest, files, counts),) = content["segments"]
    if lie == "of other files":
        files = [*files[1:], files[0]]
    else:
        noise = np.random.default_rng(0).bytes(8 * len(files))
        digest = hashlib.sha256(noise).hexdigest()
        path.with_name(f"{digest[:32]}.bin").write_bytes(noise)
    path.write_bytes(sealed.encode({"forgotten": content["forgotten"], "segments": [[digest, files, counts]]}))
    second = finished(begun(make_run(tmp_path / "one"), first.files))
    assert (second.reused, second.computed) == (0, 1)
    assert second.vectors["3.jpg"] == first.vectors["3.jpg"]


def test_a_request_to_forget_stops_no_search(make: Make) -> None:
    first = finished(begun(make()))
    run = make()
    pending_request(run.lake)
    second = finished(begun(run, first.files))
    assert (second.reused, second.computed) == (8, 0)
    assert not any(storage.list_objects(layout.image_index(run.lake)))


def test_a_store_that_does_not_answer_stops_the_search(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finished(begun(make()))

    def silent(*_: object) -> bytes:
        raise StoreError("no answer in 60 s")

    monkeypatch.setattr(read, "file_batches", silent)
    with pytest.raises(StoreError, match="no answer in 60 s"):
        begun(make(), first.files)
