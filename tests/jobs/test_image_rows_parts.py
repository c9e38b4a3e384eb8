"""What a task reads at a time, what it makes of an image, and what it passes over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import IntegerType, StringType, StructType

from imagefeatures import bitmaps, storage
from imagefeatures.bitmaps import Bitmap
from imagefeatures.errors import InputError, NoInput, ParamsError, Rejected
from imagefeatures.manifest import UNKNOWN_BYTES
from imagefeatures.reasons import Reason
from imagefeatures.sources import Content, parquet_bytes
from imagefeatures_spark import image_rows
from imagefeatures_spark.image_options import Options
from imagefeatures_spark.image_source import ImageSource
from support.doors import parquet
from support.photos import encoded, fill, jpeg, picture
from support.shared import BUCKET

MIB = 2**20
TEXT = StringType()


def rows(columns: StructType, **options: str) -> list[dict[str, Any]]:
    reader = ImageSource(options).reader(columns)
    return [row for part in reader.partitions() for batch in reader.read(part) for row in batch.to_pylist()]


def test_a_task_reads_256_images_or_64_mebibytes() -> None:
    assert (image_rows.MOST_ROWS, image_rows.MOST_BYTES) == (256, 64 * MIB)

    def parts(*sizes: tuple[int | None, int | None]) -> list[int]:
        return [len(part) for part in image_rows.cut([{"size": size, "weight": of} for size, of in sizes], None)]

    assert parts(*[(1, None)] * 600) == [256, 256, 88]
    assert parts(*[(32 * MIB, 1)] * 5) == [2, 2, 1]
    assert parts((65 * MIB, None), (1, None), (1, None)) == [1, 2]
    assert parts((0, 65 * MIB), (0, 65 * MIB)) == [2]
    assert parts(*[(None, 32 * MIB)] * 3) == [2, 1]
    many = 64 * MIB // UNKNOWN_BYTES
    assert parts(*[(None, None)] * (many + 1)) == [many, 1]
    assert parts() == []


def test_what_was_fetched_is_held_within_the_same_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_rows, "MOST_ROWS", 3)
    monkeypatch.setattr(image_rows, "MOST_BYTES", 10)
    why = Rejected(Reason.NOT_FOUND, "gone")
    given = [b"12345", Content(b"12345"), b"1", why, why, why, why, b"x" * 11, b"1", b"x" * 10, why]
    found = list(image_rows.held_together(({"uri": str(at)}, blob) for at, blob in enumerate(given)))
    assert [[row["uri"] for row in some] for some, _ in found] == [
        ["0", "1"],
        ["2", "3", "4"],
        ["5", "6"],
        ["7"],
        ["8"],
        ["9", "10"],  # what was not fetched takes no room
    ]
    assert [blob for _, blobs in found for blob in blobs] == [b"12345", *given[:1], *given[2:]]
    (large,) = image_rows.held_together([({}, b"x" * 11)])
    assert large == ([{}], [b"x" * 11])
    assert list(image_rows.held_together(iter(()))) == []


@pytest.mark.parametrize(("channels", "mode"), [(1, 0), (3, 16), (4, 24)])
def test_an_image_says_its_size_and_opencvs_number_of_its_kind(channels: int, mode: int) -> None:
    found = image_rows._image("file:///a b.png", Bitmap(2, 3, channels, b"x"), True)
    assert found == {
        "origin": "file:///a%20b.png", "height": 2, "width": 3, "nChannels": channels, "mode": mode, "data": b"x",
    }  # fmt: skip
    ours = image_rows._image("file:///a b.png", Bitmap(2, 3, channels), False)
    assert ours
    assert (ours["origin"], ours["data"]) == ("file:///a b.png", None)
    assert image_rows._image("file:///a", None, False) is None


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        (".a", True), ("_a", True), ("_a=1", False), ("a._COPYING_", True), ("a", False), ("a=1", False), ("a_", False),
        ("a.jpg", False),
    ],
)  # fmt: skip
def test_spark_passes_over_hidden_names(name: str, hidden: bool) -> None:
    assert image_rows._is_hidden(name) is hidden


@pytest.mark.parametrize(
    ("column", "kind", "said"),
    [
        ("image", TEXT, "image of type string; there are image (a struct), uri, key, label, reason, detail (strings)"),
        ("picture", StructType().add("origin", TEXT), "picture of type struct<origin:string>; there are image (a"),
        ("reason", IntegerType(), "reason of type int; there are image (a struct)"),
        ("image", StructType().add("mode", TEXT), "image.mode of type string; there are origin, height, width, nCh"),
        ("image", StructType().add("size", TEXT), "image.size of type string; there are origin, height, width, nCh"),
    ],
)
def test_a_column_of_another_name_or_type_is_refused_with_those_there_are(column: str, kind: Any, said: str) -> None:
    with pytest.raises(ParamsError) as refused:
        image_rows.check_schema(StructType().add(column, kind), Options.parse({"path": "/x"}))
    assert str(refused.value).startswith(f"imagefeatures.images: schema: there is no column {said}")


def test_without_the_pixels_headers_alone_are_a_schema() -> None:
    headers = StructType().add("image", StructType().add("mode", IntegerType())).add("detail", TEXT)
    image_rows.check_schema(headers, Options.parse({"path": "/x", "metadataOnly": "true"}))


def test_an_empty_folder_has_no_rows_and_an_empty_source_of_another_kind_or_place_is_an_error(
    tmp_path: Path, s3: Any
) -> None:
    only = StructType().add("uri", TEXT)
    fill(tmp_path, {"files/notes.txt": b"x"})
    (tmp_path / "empty").mkdir()
    assert rows(only, path=str(tmp_path / "empty")) == []
    assert rows(only, path=str(tmp_path / "files"), pathGlobFilter="*.jpg") == []
    kept = json.dumps({"kind": "folder", "uri": f"file://{tmp_path}/files/", "pattern": ["*.jpg"]})
    assert rows(only, source=kept) == []  # a file was passed over
    storage.write(f"s3://{BUCKET}/files/notes.txt", b"x")
    assert rows(only, source=kept.replace(f"file://{tmp_path}", f"s3://{BUCKET}")) == []
    (tmp_path / "list.txt").touch()
    of_kinds = {"tar": f"file://{tmp_path}/empty/", "uri_list": f"file://{tmp_path}/list.txt"}
    others = [json.dumps({"kind": kind, "uri": uri}) for kind, uri in of_kinds.items()]
    for source in (f"s3://{BUCKET}/nothing/", *others):
        with pytest.raises(NoInput, match=r"^imagefeatures\.images: .*; name a folder, and files of it by pathGlobFil"):
            rows(only, source=source)


def test_parquet_files_of_which_the_first_lack_the_column_are_refused_as_by_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_bytes, "LOOKED_AT", 2)
    lacking, whole = parquet({"picture": [jpeg(1)]}), parquet({"image": [jpeg(1)]})
    fill(tmp_path, {"late/1.parquet": lacking, "late/2.parquet": lacking, "late/3.parquet": whole})
    fill(tmp_path, {"soon/1.parquet": lacking, "soon/2.parquet": whole})
    only = StructType().add("uri", TEXT)
    late, soon = (f"{{kind: parquet_bytes, uri: 'file://{tmp_path}/{name}/'}}" for name in ("late", "soon"))
    with pytest.raises(InputError, match="there is no column 'image'"):
        rows(only, source=late)
    assert [row["uri"].rpartition("/")[2] for row in rows(only, source=soon)] == ["1.parquet", "2.parquet#0"]


def test_images_that_are_read_a_few_at_a_time_have_each_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bitmaps, "HEADERS_AT_ONCE", 2)
    fill(tmp_path, {f"{width}.jpg": jpeg(1, width) for width in range(61, 66)} | {"64.jpg": b"x"})
    headers = StructType().add("uri", TEXT).add("image", StructType().add("width", IntegerType()))
    found = rows(headers, path=str(tmp_path))
    widths = {Path(row["uri"]).stem: row["image"] and row["image"]["width"] for row in found}
    assert widths == {"61": 61, "62": 62, "63": 63, "64": None, "65": 65}


def test_every_image_is_a_row_where_no_field_of_it_is_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1), "2.jpg": b"x"})
    found = rows(StructType().add("image", StructType()).add("uri", TEXT), path=str(tmp_path))
    assert [Path(row["uri"]).name for row in found] == ["1.jpg", "2.jpg"]


def test_what_is_asked_of_a_row_settles_whether_it_is_fetched(tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1), "2.jpg": b"x", "3.png": encoded(picture(seed=3), "PNG")})
    uris = StructType().add("uri", TEXT)
    path = str(tmp_path)
    assert [Path(row["uri"]).name for row in rows(uris, path=path)] == ["1.jpg", "2.jpg", "3.png"]
    assert [Path(row["uri"]).name for row in rows(uris, path=path, dropInvalid="true")] == ["1.jpg", "3.png"]
    details = [row["detail"] for row in rows(StructType().add("detail", TEXT), path=path)]
    assert [detail is None for detail in details] == [True, False, True]
    assert rows(StructType().add("detail", TEXT), path=path, pathGlobFilter="2*", dropInvalid="true") == []
    raw = rows(uris, path=path, raw="true")
    assert [Path(row["uri"]).name for row in raw] == ["1.jpg", "2.jpg", "3.png"]  # one byte is no empty file
