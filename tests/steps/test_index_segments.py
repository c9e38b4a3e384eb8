"""The index of a table offers files that hold a key, the newest alone, and believes nothing that has changed."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark import cloudpickle

from imagefeatures import layout, sealed, storage
from imagefeatures.forget import deny
from imagefeatures.settings import Settings
from imagefeatures.steps import file_index, index_segments
from imagefeatures.steps.file_index import IMAGES
from imagefeatures.steps.index_segments import STORED, File, Wanted
from support.indexes import (
    EACH,
    FINGERPRINT,
    TABLE,
    holding,
    ids_of,
    offered,
    one_by_one,
    pending_request,
    segments,
    written,
)
from support.reusing import local


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
    path = first if "segment" in damage else local(layout.known(settings.lake, "images", TABLE)) / "index.json"
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
    other = File(files[0].path, files[0].size + 1)
    opened.clear()
    assert holding(settings.lake, [], [other, *files[1:]]) == {other}
    assert opened == [f"{settings.lake}/{other.path}"]
    foreign = File("s3a://elsewhere/file.parquet", 10)
    assert holding(settings.lake, [], [foreign]) == {foreign}


def test_many_publications_leave_few_segments_without_files_that_were_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_segments, "SEGMENTS", 4)
    monkeypatch.setattr(index_segments, "LARGEST_SEGMENT", 12 * EACH)
    files: list[File] = []
    for number in range(60):
        files = [*files, written(settings.lake, number)][-40:]  # each day now replaces one
        of = min(number, 7)
        assert holding(settings.lake, [number - of, 1000], files) == {files[-1 - of]}
        assert len(segments(settings.lake)) <= 4 + 60 // 6 + 1
    content = sealed.decode("", (local(layout.known(settings.lake, "images", TABLE)) / "index.json").read_bytes())
    assert sorted(f"{one[0][:32]}.bin" for one in content["segments"]) == [
        path.name for path in segments(settings.lake)
    ]
    indexed = {File(*entry[0]) for one in content["segments"] for entry in one[1]}
    assert set(files) <= indexed
    assert len(indexed) < 60


def test_of_files_that_hold_the_same_the_newest_is_offered_and_older_segments_are_not_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_segments, "TOGETHER", 4)
    daily = ids_of(5000)
    files = [written(settings.lake, number, [*ids_of(number), *daily]) for number in range(20)]
    assert offered(settings.lake, daily, files) == {files[-1]}
    loaded: list[str] = []
    real = storage.read
    monkeypatch.setattr(storage, "read", lambda uri: loaded.append(uri) or real(uri))
    assert offered(settings.lake, daily, files) == {files[-1]}
    assert sum(uri.endswith(".bin") for uri in loaded) == 1
    assert offered(settings.lake, [*daily, ids_of(3)[0]], files) == {files[-1], files[3]}
    assert offered(settings.lake, daily, files[:7]) == {files[6]}, "a file that is not searched makes no other older"
    segments(settings.lake)[0].write_bytes(b"damaged")
    assert offered(settings.lake, [*daily, *(ids_of(n)[0] for n in range(3))], files) == {files[-1], *files[:3]}


def test_a_file_of_many_runs_is_offered_beside_newer_ones_that_its_newest_row_may_not_hold(settings: Settings) -> None:
    daily, other = ids_of(5000)[:1], ids_of(5001)[:1]
    old = written(settings.lake, 1, daily)
    mixed = written(settings.lake, 2, [*daily, *other], ["0000", "0009"])
    new = written(settings.lake, 3, daily)
    assert offered(settings.lake, daily, [old, mixed, new]) == {mixed, new}
    newest = written(settings.lake, 10, daily)
    assert offered(settings.lake, daily, [old, mixed, new, newest]) == {newest}


def test_the_order_of_runs_counts_across_segments(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_segments, "TOGETHER", 1)
    daily, others = ids_of(5000)[:1], ids_of(5001)
    mixed = written(settings.lake, 1, [*daily, *others], ["0005", *["0001"] * 3, "0009", "0009"])
    files = [mixed, written(settings.lake, 4, daily), written(settings.lake, 7, daily)]
    assert offered(settings.lake, daily, files) == {mixed, files[2]}
    assert offered(settings.lake, others, files) == {mixed}
    assert offered(settings.lake, daily, files[:2]) == {mixed, files[1]}


def test_what_is_found_by_one_of_two_keys_is_not_looked_for_by_the_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the picture itself, whose rows of the chain without augmentation are as good."""
    monkeypatch.setattr(index_segments, "TOGETHER", 1)
    images = np.unique(file_index.of_ids(ids_of(1)))
    files = {written(settings.lake, number, ids_of(1)) for number in (1, 2, 3)}
    wanted = Wanted.of([[images ^ file_index.made(one, 0) for one in ("other", FINGERPRINT)]])
    index = file_index.index(settings.lake, TABLE, IMAGES)
    index.holding(wanted, files, one_by_one)
    loaded: list[str] = []
    real = storage.read
    monkeypatch.setattr(storage, "read", lambda uri: loaded.append(uri) or real(uri))
    assert {file.path[-12:] for file in index.holding(wanted, files, one_by_one)} == {"0003.parquet"}
    assert sum(uri.endswith(".bin") for uri in loaded) == 1


def test_spark_can_send_the_work_to_its_workers(settings: Settings) -> None:
    files = [written(settings.lake, number) for number in range(3)]

    def sent(work: Any, elements: Any) -> list[Any]:
        return [pickle.loads(cloudpickle.dumps(work))(element) for element in elements]

    wanted = Wanted.of([[np.unique(file_index.of_ids(ids_of(1))) ^ file_index.made(FINGERPRINT, 0)]])
    assert file_index.index(settings.lake, TABLE, IMAGES).holding(wanted, set(files), sent) == {files[1]}
    assert pickle.loads(cloudpickle.dumps(file_index.URLS)) == file_index.URLS


def test_an_index_that_an_earlier_version_wrote_is_made_anew(settings: Settings, opened: list[str]) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    folder = layout.known(settings.lake, "images", TABLE)
    earlier = b"8 bytes."
    digest = hashlib.sha256(earlier).hexdigest()
    storage.write(f"{folder}/{digest[:32]}.bin", earlier)
    content = {"forgotten": deny.state(settings.lake), "segments": [[digest, [files[0]], [1]]]}
    storage.write(f"{folder}/index.json", sealed.encode(content))
    assert holding(settings.lake, [2], files) == {files[2]}
    assert len(opened) == 3
    assert not any(path.read_bytes() == earlier for path in segments(settings.lake))


def test_an_index_from_before_a_request_to_forget_is_not_used(settings: Settings, opened: list[str]) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    holding(settings.lake, [], files)
    before = b"".join(path.read_bytes() for path in segments(settings.lake))
    deny.add(settings.lake, "r1", ids_of(0), [])
    opened.clear()
    holding(settings.lake, [], files[1:])
    assert len(opened) == 2
    prefix = (file_index.of_ids(ids_of(0)[:1]) ^ file_index.made(FINGERPRINT, 0)).astype(STORED).tobytes()
    assert prefix in before
    assert not any(prefix in path.read_bytes() for path in segments(settings.lake))


def test_an_index_that_is_written_while_something_is_forgotten_does_not_stay(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [written(settings.lake, number) for number in range(3)]
    real = index_segments._segment

    def meanwhile(*given: Any) -> Any:
        if not deny.is_pending(settings.lake):
            pending_request(settings.lake)  # and what there was is deleted
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(index_segments, "_segment", meanwhile)
        assert holding(settings.lake, [1], files) == {files[1]}
    assert deny.is_pending(settings.lake)
    assert not any(storage.list_objects(layout.known(settings.lake)))
    assert holding(settings.lake, [1], files) == {files[1]}
    assert not any(storage.list_objects(layout.known(settings.lake))), "it is still under way"
