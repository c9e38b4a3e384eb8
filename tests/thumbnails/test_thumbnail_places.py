"""Where thumbnails come from and where they are kept: the folder, the bytes of an object, pixels of a table."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imagefeatures import schemas, storage
from imagefeatures.catalog import tables
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from imagefeatures.storage import s3 as s3_store
from imagefeatures.thumbnails import pixels
from imagefeatures.thumbnails.folder import ThumbnailFolder
from imagefeatures.thumbnails.stored import bytes_of
from support import pixel_tables
from support.photos import jpeg
from support.publishing import DAY, delete_rows
from support.scripted_store import ScriptedStore, no
from support.shared import BUCKET

KIND = PixelFormat.of_shape((4, 5, 3))
DATA = jpeg(1)
DATA_ID = hashlib.sha256(DATA).hexdigest()


def names(count: int) -> list[str]:
    return [hashlib.sha256(bytes([number])).hexdigest() for number in range(count)]


def test_only_the_server_itself_may_look_into_a_folder_of_thumbnails(tmp_path: Path) -> None:
    (name,) = names(1)
    ThumbnailFolder(tmp_path / "kept").keep("photos", name, b"a thumbnail")
    path = tmp_path / "kept" / "photos" / name[:2] / f"{name}.jpg"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_removed_thumbnail_is_gone_from_every_dataset_and_is_counted(tmp_path: Path) -> None:
    folder, (first, second) = ThumbnailFolder(tmp_path), names(2)
    for dataset, name in (("photos", first), ("pears", first), ("photos", second)):
        folder.keep(dataset, name, b"a thumbnail")
    assert folder.remove([first, "f" * 64]) == 2
    assert [folder.read(dataset, first) for dataset in ("photos", "pears")] == [None, None]
    assert folder.read("photos", second) == b"a thumbnail"
    assert folder.remove([first]) == 0


def test_a_thumbnail_is_old_before_the_moment_and_not_at_it(tmp_path: Path) -> None:
    folder, both = ThumbnailFolder(tmp_path), names(2)
    for number, name in enumerate(both):
        folder.keep("photos", name, b"a thumbnail")
        os.utime(folder._path("photos", name), (1000 + number, 1000 + number))
    assert folder.older_than(1001) == {folder._path("photos", both[0]): len(b"a thumbnail")}


def test_what_another_process_removes_first_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder, (first, second, third) = ThumbnailFolder(tmp_path, most_bytes=0), names(3)
    unlink, is_file = Path.unlink, Path.is_file

    def slow_unlink(path: Path, missing_ok: bool = False) -> None:
        unlink(path)
        unlink(path, missing_ok)

    def quick_others(path: Path) -> bool:
        there = is_file(path)
        if path.stem == third:
            unlink(path)
        return there

    for name in (first, second):
        path = folder._path("photos", name)
        path.parent.mkdir(parents=True)
        path.write_bytes(b"a thumbnail")
    with monkeypatch.context() as race:
        race.setattr(Path, "unlink", slow_unlink)
        assert folder.remove([first]) == 1
        race.setattr(Path, "is_file", quick_others)
        folder.keep("photos", third, b"a thumbnail")  # the first write looks at the size
    assert [folder.read("photos", name) for name in (first, second, third)] == [None] * 3
    assert not caplog.text
    folder.keep("photos", third, b"a thumbnail")
    assert folder.read("photos", third)


def test_an_object_has_its_bytes_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(DATA)
    uri = f"file://{tmp_path}/a.jpg"
    assert bytes_of(uri, DATA_ID, len(DATA)) == DATA
    assert bytes_of(uri, DATA_ID, len(DATA) - 1) == b""
    assert bytes_of(uri, hashlib.sha256(b"other").hexdigest(), len(DATA)) == b""
    (tmp_path / "a folder").mkdir()
    assert bytes_of(f"file://{tmp_path}/a folder", DATA_ID, len(DATA)) == b""
    assert bytes_of(f"file://{tmp_path}/gone.jpg", DATA_ID, len(DATA)) == b""


def test_an_object_of_a_bucket_has_its_bytes(s3: Any) -> None:
    uri = f"s3://{BUCKET}/a.jpg"
    storage.write(uri, DATA)
    assert bytes_of(uri, DATA_ID, len(DATA)) == DATA


@pytest.mark.parametrize("answer", [no(403, "InvalidAccessKeyId"), no(403, "AccessDenied"), no(503, "SlowDown")])
def test_an_object_that_a_store_does_not_give_has_no_bytes(
    scripted: ScriptedStore, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, dict[str, str], bytes]
) -> None:
    monkeypatch.setattr(s3_store, "RETRY_SECONDS", 0.0)
    scripted.always = answer
    assert bytes_of(f"s3://{BUCKET}/a.jpg", DATA_ID, len(DATA)) == b""
    scripted.script = [(200, {"ETag": '"v1"'}, b"x")]  # it tells the size, and then refuses the bytes
    assert bytes_of(f"s3://{BUCKET}/a.jpg", DATA_ID, len(DATA)) == b""
    assert "GET" in scripted.asked


def found(settings: Settings, image_id: str, partition: str = DAY) -> list[str]:
    return [one for one, _ in pixels.pictures_beside(settings, "photos", partition, image_id)]


def test_of_a_large_file_one_row_group_is_read(settings: Settings, tmp_path: Path) -> None:
    rows = pixel_tables.rows_of(range(9), kind=KIND)
    path = tmp_path / "rows.parquet"
    pq.write_table(rows, path, **(schemas.pixels_file(KIND.size) | {"row_group_size": 3}))
    table = tables.open_table(tables.open_catalog(settings), settings, "photos_pixels", KIND)
    tables.replace_files(table, DAY, [f"file://{path}"], "one")
    ids = rows["image_id"].to_pylist()
    for at in (0, 2, 3, 4, 5, 8):
        first = at // 3 * 3
        assert found(settings, ids[at]) == ids[first : first + 3]


def test_pixels_are_those_of_the_partition_and_of_files_without_deleted_rows(
    settings: Settings, tmp_path: Path
) -> None:
    days = {
        DAY: pixel_tables.rows_of(range(2), kind=KIND),
        "2026-11-03": pixel_tables.rows_of([2, 3], "2026-11-03", KIND),
    }
    for day, rows in days.items():
        pixel_tables.publish(settings, tmp_path, [rows], day, KIND)
    (first, second), others = (rows["image_id"].to_pylist() for rows in days.values())
    assert found(settings, others[0]) == []
    assert found(settings, second) == [first, second]
    table = tables.open_table(tables.open_catalog(settings), settings, "photos_pixels", KIND)
    (file,) = (task.file.file_path for task in table.scan().plan_files() if DAY in task.file.file_path)
    delete_rows(table, file, [0])
    assert found(settings, second) == []
    assert found(settings, others[0], "2026-11-03") == others


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (PixelFormat((4, 5, 1), layout="L"), True),
        (PixelFormat((4, 5, 3)), True),
        (PixelFormat((3, 5, 2), layout="LA"), False),
        (PixelFormat((4, 5, 4), layout="RGBA"), False),
        (PixelFormat((4, 5, 3), "uint16", "bands"), False),
    ],
    ids=str,
)
def test_only_grey_and_rgb_pixels_of_8_bits_are_pictures(
    settings: Settings, tmp_path: Path, kind: PixelFormat, shown: bool
) -> None:
    rows = pixel_tables.rows_of(range(2), kind=dataclasses.replace(kind, dtype="uint8"))
    if kind.dtype != "uint8":
        values = pa.array([bytes(kind.size)] * 2, kind.storage)
        rows = rows.set_column(rows.column_names.index("pixels"), schemas.pixels_table(kind).field("pixels"), values)
    pixel_tables.publish(settings, tmp_path, [rows], kind=kind)
    ids = rows["image_id"].to_pylist()
    assert found(settings, ids[1]) == (ids if shown else [])


def test_a_file_that_is_older_than_the_column_of_copies_shows_its_pixels(settings: Settings, tmp_path: Path) -> None:
    rows = pixel_tables.rows_of(range(2), kind=KIND)
    pixel_tables.publish(settings, tmp_path, [rows.drop_columns(["copy"])], kind=KIND)
    ids = rows["image_id"].to_pylist()
    assert found(settings, ids[1]) == ids
