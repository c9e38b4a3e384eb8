"""Thumbnails: of which objects there are some, of which bytes they are made, and that no other place is asked."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from imagefeatures import images, isolation, storage
from imagefeatures.batches import Batch, note_rejected
from imagefeatures.errors import Rejected
from imagefeatures.layout import Layout
from imagefeatures.pixels import PixelFormat
from imagefeatures.reasons import Reason
from imagefeatures.settings import Settings
from imagefeatures.thumbnails import make
from imagefeatures.thumbnails.folder import WRITES, ThumbnailFolder
from imagefeatures.thumbnails.make import SIDE, TableObject, Thumbnails
from support import pixel_tables
from support.photos import encoded, jpeg, picture
from support.publishing import DAY

RUN = "20261102T000000-00000000"


@pytest.fixture
def own_cache(settings: Settings, tmp_path: Path) -> Settings:
    return dataclasses.replace(settings, cache=tmp_path / "cache")


@pytest.fixture
def thumbnails(own_cache: Settings) -> Thumbnails:
    return Thumbnails(own_cache, isolation.decoder())


@pytest.fixture
def layout(own_cache: Settings) -> Layout:
    return Layout(own_cache.lake, "photos", DAY, RUN)


def stored(folder: Path, name: str, data: bytes, reason: str | None = None) -> TableObject:
    (folder / name).write_bytes(data)
    return TableObject(f"file://{folder}/{name}", hashlib.sha256(data).hexdigest(), reason)


def opened(thumbnail: bytes | None) -> Image.Image:
    assert thumbnail
    image = Image.open(io.BytesIO(thumbnail))
    assert (image.format, image.info.get("exif")) == ("JPEG", None)
    return image


@pytest.mark.parametrize(("width", "height"), [(640, 480), (30, 900), (3000, 3), (256, 256), (5, 5)])
def test_a_thumbnail_keeps_the_ratio_and_has_no_edge(
    thumbnails: Thumbnails, layout: Layout, tmp_path: Path, width: int, height: int
) -> None:
    photo = stored(tmp_path, "a.png", encoded(np.full((height, width, 3), 200, np.uint8), "PNG"))
    image = opened(thumbnails.of(layout, photo, kept_pixels=False))
    assert max(image.size) == SIDE
    longer, shorter = max(width, height), min(width, height)
    assert min(image.size) == max(1, SIDE * shorter // longer)
    assert np.asarray(image).min() > 190  # an edge would be black


def test_a_turned_photo_stands_upright(thumbnails: Thumbnails, layout: Layout, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = stored(tmp_path, "a.jpg", encoded(picture(64, 32), "JPEG", exif=exif))
    assert opened(thumbnails.of(layout, photo, kept_pixels=False)).size == (SIDE // 2, SIDE)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_a_thumbnail_is_in_colours_whatever_the_original_is(
    thumbnails: Thumbnails, layout: Layout, tmp_path: Path, mode: str
) -> None:
    photo = stored(tmp_path, "a.tif", encoded(Image.fromarray(picture(64, 32)).convert(mode), "TIFF"))
    image = opened(thumbnails.of(layout, photo, kept_pixels=False))
    assert (image.mode, image.size) == ("RGB", (SIDE, SIDE // 2))


def test_it_is_kept_and_the_original_is_not_asked_for_again(
    thumbnails: Thumbnails, layout: Layout, own_cache: Settings, tmp_path: Path
) -> None:
    photo = stored(tmp_path, "a.jpg", jpeg(1))
    first = thumbnails.of(layout, photo, kept_pixels=False)
    (tmp_path / "a.jpg").unlink()
    assert thumbnails.of(layout, photo, kept_pixels=False) == first
    other = Thumbnails(own_cache, isolation.decoder())  # another process of the server
    assert other.of(layout, photo, kept_pixels=False) == first
    assert other.of(dataclasses.replace(layout, dataset="other"), photo, kept_pixels=False) is None


def test_bytes_that_are_not_those_of_the_table_are_not_shown(
    thumbnails: Thumbnails, layout: Layout, tmp_path: Path
) -> None:
    photo = stored(tmp_path, "a.jpg", jpeg(1))
    (tmp_path / "a.jpg").write_bytes(jpeg(2))
    assert thumbnails.of(layout, photo, kept_pixels=False) is None
    (tmp_path / "a.jpg").write_bytes(jpeg(1))  # nothing was concluded for ever
    assert thumbnails.of(layout, photo, kept_pixels=False)


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1:{}/a.jpg", "https://127.0.0.1:{}/a.jpg", "ftp://127.0.0.1:{}/a", "a"]
)
def test_no_url_is_asked(thumbnails: Thumbnails, layout: Layout, uri: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        photo = TableObject(uri.format(server.getsockname()[1]), hashlib.sha256(jpeg(1)).hexdigest())
        assert thumbnails.of(layout, photo, kept_pixels=False) is None
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", ["gone.jpg", "a folder", "a pipe", "../../../../proc/self/environ", "unreadable.jpg"])
def test_what_cannot_be_read_has_none(thumbnails: Thumbnails, layout: Layout, tmp_path: Path, name: str) -> None:
    (tmp_path / "a folder").mkdir()
    os.mkfifo(tmp_path / "a pipe")
    (tmp_path / "unreadable.jpg").symlink_to(tmp_path / "unreadable.jpg")
    photo = TableObject(f"file://{tmp_path}/{name}", hashlib.sha256(jpeg(1)).hexdigest())
    assert thumbnails.of(layout, photo, kept_pixels=False) is None


def test_what_no_decoder_takes_is_decoded_once(
    thumbnails: Thumbnails, layout: Layout, own_cache: Settings, tmp_path: Path
) -> None:
    photo = stored(tmp_path, "a.jpg", jpeg(1)[:300], Reason.TRUNCATED)
    assert thumbnails.of(layout, photo, kept_pixels=False) is None
    assert ThumbnailFolder(own_cache.cache / "thumbnails").read("photos", photo.image_id) == b""
    (tmp_path / "a.jpg").write_bytes(b"")
    assert thumbnails.of(layout, photo, kept_pixels=False) is None


@pytest.mark.parametrize("reason", [Reason.DECODER_CRASHED, Reason.TIMEOUT, Reason.OUT_OF_MEMORY])
def test_what_did_harm_is_not_decoded_again(
    thumbnails: Thumbnails, layout: Layout, tmp_path: Path, reason: Reason
) -> None:
    assert thumbnails.of(layout, stored(tmp_path, "a.jpg", jpeg(1), reason), kept_pixels=False) is None
    assert thumbnails.of(layout, stored(tmp_path, "a.jpg", jpeg(1), Reason.DUPLICATE), kept_pixels=False)


def test_a_rejected_object_is_shown_from_the_bytes_that_were_kept(thumbnails: Thumbnails, layout: Layout) -> None:
    data = jpeg(3)
    image_id = hashlib.sha256(data).hexdigest()
    storage.write(layout.rejected_bytes(Reason.TOO_MANY_PIXELS, image_id), data)
    of_web = "https://photos.example/a.jpg"
    assert thumbnails.of(layout, TableObject(of_web, image_id), kept_pixels=False) is None
    assert thumbnails.of(layout, TableObject(of_web, image_id, Reason.TOO_MANY_PIXELS), kept_pixels=False)


@pytest.mark.parametrize("channels", [1, 3])
def test_kept_pixels_are_shown_where_the_original_cannot_be(
    thumbnails: Thumbnails, layout: Layout, own_cache: Settings, tmp_path: Path, channels: int
) -> None:
    kind = PixelFormat.of_shape((24, 32, channels))
    rows = pixel_tables.rows_of(range(9), kind=kind)
    pixel_tables.publish(own_cache, tmp_path, [rows.slice(0, 4), rows.slice(4)], kind=kind)
    ids = rows["image_id"].to_pylist()
    photo = TableObject("https://photos.example/7.jpg", ids[7])
    shown = np.asarray(opened(thumbnails.of(layout, photo, kept_pixels=True)))
    wanted = pixel_tables.pictures([7], kind)[0].squeeze()
    assert np.abs(shown.astype(int) - wanted).mean() < 60 < np.abs(shown[::-1].astype(int) - wanted).mean()
    folder = ThumbnailFolder(own_cache.cache / "thumbnails")
    assert [bool(folder.read("photos", image_id)) for image_id in ids] == [False] * 4 + [True] * 5
    assert thumbnails.of(layout, TableObject("https://photos.example/x.jpg", "0" * 64), kept_pixels=True) is None


def test_what_took_too_long_once_is_tried_again_after_some_minutes(
    layout: Layout, own_cache: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = stored(tmp_path, "a.jpg", jpeg(1))
    made = Thumbnails(own_cache, isolation.Isolated(images.decode))

    def late(batch: Batch, first: int, *_: object) -> int:
        note_rejected(batch.records, first, Rejected(Reason.TIMEOUT, "it took longer"))
        return first + 1

    with monkeypatch.context() as busy:
        busy.setattr(isolation, "_settle", late)
        assert made.of(layout, photo, kept_pixels=False) is None
    assert made.of(layout, photo, kept_pixels=False) is None
    monkeypatch.setattr(make, "SLOW_SECONDS", 0.0)
    assert made.of(layout, photo, kept_pixels=False)


def test_of_what_took_too_long_only_so_many_are_remembered(
    layout: Layout, own_cache: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Thumbnails(own_cache, isolation.decoder())
    both = [stored(tmp_path, f"{seed}.jpg", jpeg(seed)) for seed in (1, 2)]
    monkeypatch.setattr(make, "MOST_SLOW", 1)
    with monkeypatch.context() as busy:
        busy.setattr(made, "_decoded", lambda _: None)
        assert [made.of(layout, photo, kept_pixels=False) for photo in both] == [None, None]
    assert [bool(made.of(layout, photo, kept_pixels=False)) for photo in both] == [True, False]


@pytest.mark.parametrize("original", ["whole", "damaged"])
def test_kept_pixels_are_shown_only_where_no_decoder_takes_the_original(
    thumbnails: Thumbnails, layout: Layout, own_cache: Settings, tmp_path: Path, original: str
) -> None:
    white = encoded(np.full((24, 32, 3), 255, np.uint8))
    photo = stored(tmp_path, "a.jpg", white if original == "whole" else white[:300])
    kind = PixelFormat.of_shape((24, 32, 3))
    rows = pixel_tables.rows_of([0], kind=kind)
    at = rows.column_names.index("image_id")
    rows = rows.set_column(at, rows.schema.field("image_id"), pa.array([photo.image_id]))
    pixel_tables.publish(own_cache, tmp_path, [rows], kind=kind)
    shown = np.asarray(opened(thumbnails.of(layout, photo, kept_pixels=True)))
    assert (shown.min() > 250) == (original == "whole")


def test_of_a_rejected_object_no_table_of_pixels_is_asked(thumbnails: Thumbnails, layout: Layout) -> None:
    gone = TableObject("https://photos.example/a.jpg", "0" * 64, Reason.DUPLICATE)
    assert thumbnails.of(layout, gone, kept_pixels=True) is None


def test_an_empty_thumbnail_that_another_thread_has_just_kept_is_none(
    thumbnails: Thumbnails, layout: Layout, own_cache: Settings
) -> None:
    ThumbnailFolder(own_cache.cache / "thumbnails").keep("photos", "0" * 64, b"")
    assert thumbnails._of_pixels(layout, "0" * 64) is None


def test_of_kept_pixels_those_of_an_augmented_copy_are_never_shown(
    thumbnails: Thumbnails, layout: Layout, own_cache: Settings, tmp_path: Path
) -> None:
    kind = PixelFormat.of_shape((24, 32, 3))
    rows = pixel_tables.rows_of(range(3), kind=kind)
    made = pixel_tables.rows_of(range(3, 6), kind=kind)
    ids = rows["image_id"].to_pylist()
    copies = made.set_column(made.column_names.index("image_id"), rows.schema.field("image_id"), rows["image_id"])
    copies = copies.set_column(
        copies.column_names.index("copy"), rows.schema.field("copy"), pa.array([1] * 3, pa.int32())
    )
    merged = pa.concat_tables([copies.slice(2), rows, copies.slice(0, 2)])  # as a re-drive writes it
    pixel_tables.publish(own_cache, tmp_path, [copies, merged], kind=kind)
    folder = ThumbnailFolder(own_cache.cache / "thumbnails")
    assert thumbnails.of(layout, TableObject("https://photos.example/1.jpg", ids[1]), kept_pixels=True)
    for number, image_id in enumerate(ids):
        shown = np.asarray(opened(folder.read("photos", image_id))).astype(int)
        wanted, copied = (pixel_tables.pictures([at], kind)[0] for at in (number, number + 3))
        assert np.abs(shown - wanted).mean() < np.abs(shown - copied).mean()


def test_the_folder_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    folder = ThumbnailFolder(tmp_path / "kept", most_bytes=50_000)
    names = [hashlib.sha256(bytes([number])).hexdigest() for number in range(200)]
    for number, name in enumerate(names):
        folder.keep("photos", name, bytes(1000))
        os.utime(tmp_path / "kept" / "photos" / name[:2] / f"{name}.jpg", (number, number))
    assert folder.read("photos", names[0]) == bytes(1000)  # looked at now: it stays
    for number in range(WRITES - len(names) + 2):
        folder.keep("photos", f"{number:064x}", bytes(1000))
    left = [name for name in names if folder.read("photos", name)]
    assert left == [names[0], *names[-47:]]  # and the two that were written last
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jpg")) == 50_000
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_a_folder_that_cannot_be_written_costs_the_thumbnail_nothing(
    own_cache: Settings, layout: Layout, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_cache.cache.write_bytes(b"no folder")
    made = Thumbnails(own_cache, isolation.decoder())
    assert made.of(layout, stored(tmp_path, "a.jpg", jpeg(1)), kept_pixels=False)
    assert f"thumbnails are not kept in {own_cache.cache / 'thumbnails'}: " in caplog.text
