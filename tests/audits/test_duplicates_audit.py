"""Which photos are found to be there twice, and what is compared for that."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from imagefeatures.audits import duplicates, gallery
from imagefeatures.audits.overlap import SIDE, overlap
from imagefeatures.settings import Settings
from support.auditing import direction, jpeg_of, photos, scene
from support.photos import encoded, turned
from support.publishing import DAY

Row = tuple[str, bytes, str | None, list[float]]


def found(settings: Settings, cosine: float = 0.9) -> list[dict[str, Any]]:
    pairs = duplicates.find(gallery.load(settings, "photos", 10), cosine).pairs.to_pylist()
    return [
        {name: value.rpartition("/")[2] if "uri" in name else value for name, value in row.items()} for row in pairs
    ]


def ends(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["kind"], row["uri"], row["other_uri"]) for row in rows]


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    return picture.crop((int(left * width), int(top * height), int(right * width), int(bottom * height)))


ORIGINAL = scene(1)


@pytest.mark.parametrize(
    "copy",
    [
        jpeg_of(ORIGINAL, 25),
        jpeg_of(ORIGINAL.resize((90, 90))),
        jpeg_of(ORIGINAL.resize((480, 300))),
        jpeg_of(ORIGINAL.convert("L")),
        jpeg_of(cropped(ORIGINAL, 0.05, 0.05, 0.95, 0.95)),
        jpeg_of(cropped(ORIGINAL, 0.12, 0, 1, 1)),
        jpeg_of(cropped(ORIGINAL, 0, 0, 0.9, 0.86)),
        encoded(ORIGINAL.transpose(Image.Transpose.ROTATE_90), exif=turned(6)),
    ],
    ids=[
        "recompressed",
        "smaller",
        "stretched",
        "grey",
        "cropped",
        "cropped at the left",
        "cropped at two sides",
        "turned by its EXIF",
    ],
)
def test_a_copy_in_other_bytes_is_found_and_another_picture_is_not(
    settings: Settings, tmp_path: Path, copy: bytes
) -> None:
    rows: list[Row] = [
        ("a.jpg", jpeg_of(ORIGINAL), "fig", direction(0)),
        ("b.jpg", copy, "pear", direction(12)),
        ("c.jpg", jpeg_of(scene(2)), "fig", direction(1)),
    ]
    photos(settings, tmp_path, rows)
    (pair,) = found(settings)
    assert ends([pair]) == [("near", "a.jpg", "b.jpg")]
    assert (pair["group"], pair["label"], pair["other_label"]) == (1, "fig", "pear")
    assert pair["cosine"] == pytest.approx(np.cos(np.radians(12)), abs=1e-6)
    assert 0.95 <= pair["overlap"] <= 1.001
    assert list(pair) == duplicates.PAIRS.names
    assert (pair["partition_key"], pair["other_partition_key"]) == (DAY, DAY)
    assert not found(settings, cosine=0.99)


def test_what_belongs_together_is_one_group(settings: Settings, tmp_path: Path) -> None:
    picture, other = jpeg_of(ORIGINAL), jpeg_of(scene(2))
    rows: list[Row] = [
        ("a.jpg", other, None, direction(90)),
        ("b.jpg", picture, None, direction(0)),
        ("c.jpg", other, "fig", direction(90)),
        ("d.jpg", jpeg_of(ORIGINAL, 40), None, direction(2)),
        ("e.jpg", picture, None, direction(0)),
        ("f.jpg", jpeg_of(ORIGINAL, 60), None, direction(5)),
        ("g.jpg", jpeg_of(scene(2), 60), None, direction(95)),
    ]
    photos(settings, tmp_path, rows)
    rows_found = found(settings)
    assert [row["group"] for row in rows_found] == [1, 1, 2, 2, 2, 2]
    assert ends(rows_found) == [
        ("exact", "a.jpg", "c.jpg"),
        ("near", "a.jpg", "g.jpg"),
        ("exact", "b.jpg", "e.jpg"),
        ("near", "b.jpg", "d.jpg"),
        ("near", "d.jpg", "f.jpg"),
        ("near", "b.jpg", "f.jpg"),
    ]
    assert [(row["cosine"], row["overlap"]) for row in rows_found if row["kind"] == "exact"] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("gone", ["removed", "the other", "changed", "no image", "elsewhere"])
@pytest.mark.parametrize(("degrees", "count"), [(2, 1), (20, 0)])
def test_where_pixels_cannot_be_read_only_vectors_that_are_nearly_equal_count(
    settings: Settings, tmp_path: Path, gone: str, degrees: float, count: int
) -> None:
    data = b"no image" if gone == "no image" else jpeg_of(ORIGINAL)
    rows: list[Row] = [("a.jpg", data, None, direction(0)), ("b.jpg", jpeg_of(scene(2)), None, direction(degrees))]
    web = {"uri": ["https://a.org/a.jpg", "https://a.org/b.jpg"]} if gone == "elsewhere" else {}
    photos(settings, tmp_path, rows, **web)
    if gone in ("removed", "the other"):
        (tmp_path / "files" / ("a.jpg" if gone == "removed" else "b.jpg")).unlink()
    if gone == "changed":
        (tmp_path / "files" / "a.jpg").write_bytes(jpeg_of(scene(2)))
    pairs = found(settings)
    assert [row["overlap"] for row in pairs] == [None] * count


def pair_of(cosine: float) -> gallery.Gallery:
    """Two images whose vectors have that cosine."""
    rows = {"uri": ["a", "b"], "image_id": ["0a", "0b"], "partition_key": [DAY] * 2, "label": [None] * 2}
    schema = pa.schema([(name, pa.string()) for name in gallery.COLUMNS])
    at, near = np.arange(2), np.array([[1], [0]])
    return gallery.Gallery(pa.table(rows, schema=schema), at, at, near, np.full((2, 1), cosine), None, None)


@pytest.mark.parametrize(("cosine", "least", "count"), [(0.98, 0.98, 1), (0.979, 0.9, 0), (0.99, 0.991, 0)])
def test_pixels_that_are_not_seen_are_told_and_the_cosine_decides(cosine: float, least: float, count: int) -> None:
    seen = np.asarray(scene(1, SIDE).convert("L"), np.float32)
    for pictures in ((None, seen), (seen, None), (None, None)):
        result = duplicates.find(pair_of(cosine), least, lambda named, pictures=pictures: iter(pictures[: len(named)]))
        assert (result.pairs.num_rows, result.unseen) == (count, int(cosine >= least))
    result = duplicates.find(pair_of(0.5), 0.5, lambda _: iter((seen, seen)))
    assert (result.pairs["overlap"].to_pylist(), result.unseen) == ([pytest.approx(1, abs=1e-4)], 0)


@pytest.mark.parametrize(("same", "count"), [(0.95, 1), (0.949, 0)])
def test_from_an_overlap_of_95_percent_on_a_picture_is_the_same(
    monkeypatch: pytest.MonkeyPatch, same: float, count: int
) -> None:
    seen = np.zeros((SIDE, SIDE), np.float32)
    monkeypatch.setattr(duplicates, "overlap", lambda *_: same)
    assert duplicates.find(pair_of(0.99), 0.9, lambda _: iter((seen, seen))).pairs.num_rows == count


def test_pictures_are_decoded_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_AT_ONCE", 2)
    files = [jpeg_of(scene(seed)) for seed in range(3)]
    for at, data in enumerate([*files, b"no image", files[0]]):
        (tmp_path / f"{at}.jpg").write_bytes(data)
    named = [(f"file://{tmp_path}/{at}.jpg", hashlib.sha256(files[at]).hexdigest()) for at in (0, 1, 2)]
    named += [(f"file://{tmp_path}/3.jpg", hashlib.sha256(b"no image").hexdigest()), named[0]]
    first, second, third, none, again = duplicates.thumbnails(named)
    assert none is None
    assert first is not None and second is not None and third is not None and again is not None
    assert (first == again).all()
    assert [round(overlap(first, other), 1) == 1 for other in (second, third)] == [False, False]


def test_only_the_nearest_pairs_are_compared_where_there_are_too_many(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    angles = [0, 1, 3, 6, 10]
    photos(settings, tmp_path, [(f"{at}.jpg", jpeg_of(ORIGINAL, 90 - at), None, direction(at)) for at in angles])
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 2)
    result = duplicates.find(gallery.load(settings, "photos", 10), 0.9)
    assert (result.pairs.num_rows, result.left_out) == (2, 8)
    assert result.pairs["cosine"].to_pylist() == pytest.approx(np.cos(np.radians([1, 2])), abs=1e-6)
