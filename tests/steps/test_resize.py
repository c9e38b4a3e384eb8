from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import images, isolation, schemas, storage
from imagefeatures.blobs import BlobWriter
from imagefeatures.errors import AuditFailed, DecoderUnavailable
from imagefeatures.pixels import PixelFormat, as_binary, as_pixels
from imagefeatures.settings import Settings
from imagefeatures.shards import ShardWork, pending, read_output, read_receipts, read_staged
from imagefeatures.steps import pixel_files, resize
from support.photos import encoded, fill, jpeg, picture, png_of, turned
from support.shared import PREPROCESSING, MakeRun, decode
from support.stepping import resized, turned_away, validated

ONE_SHARD = {"shard_images": 10_000}


def test_pixels_are_those_of_each_image_in_the_order_of_the_listing(make_run: MakeRun, tmp_path: Path) -> None:
    files = {f"pear/{at:02d}.jpg": jpeg(at, 100 + at, 80) for at in range(9)}
    source = fill(tmp_path / "photos", files)
    run = make_run(source)
    tables = [read_staged(receipt.output) for receipt in resized(run)]
    assert tables[0].schema.remove_metadata() == schemas.pixels(PixelFormat.of_chain(PREPROCESSING)).remove_metadata()
    table = pa.concat_tables(tables)
    assert table["uri"].to_pylist() == [f"file://{source}/{name}" for name in files]
    expected = np.stack([decode(data, run.dataset.limits).pixels for data in files.values()])
    assert np.array_equal(as_pixels(table, PREPROCESSING.shape), expected)
    assert len(np.unique(expected.reshape(9, -1), axis=0)) == 9  # else any order would pass
    assert table["width"].to_pylist() == [100 + at for at in range(9)]


def test_images_that_cannot_be_decoded_are_rejected_and_the_others_keep_their_pixels(
    make_run: MakeRun, tmp_path: Path
) -> None:
    files = {
        "0.jpg": jpeg(0),
        "1.png": png_of(64, 48, b"no zlib stream"),
        "2.jpg": jpeg(2),
        "3.png": png_of(64, 48, b"neither"),
        "4.jpg": jpeg(4),
    }
    source = fill(tmp_path / "photos", files)
    run = make_run(source, limits={"max_rejected": 1})
    receipts = resized(run)
    rows = {Path(uri).name: row for uri, row in turned_away(receipts).items()}
    assert {name: (row["step"], row["reason"]) for name, row in rows.items()} == {
        "1.png": ("resize", "CORRUPT"),
        "3.png": ("resize", "CORRUPT"),
    }
    assert rows["1.png"]["size"] == len(files["1.png"])
    table = pa.concat_tables(read_staged(receipt.output) for receipt in receipts)
    assert [Path(uri).name for uri in table["uri"].to_pylist()] == ["0.jpg", "2.jpg", "4.jpg"]
    for found, seed in zip(as_pixels(table, PREPROCESSING.shape), (0, 2, 4), strict=True):
        assert np.array_equal(found, decode(jpeg(seed), run.dataset.limits).pixels)


@pytest.mark.parametrize("keep", [True, False])
def test_rejected_bytes_are_kept_only_where_the_dataset_says_so(
    make_run: MakeRun, settings: Settings, tmp_path: Path, keep: bool
) -> None:
    data = png_of(64, 48, b"no zlib stream")
    run = make_run(fill(tmp_path / "photos", {"1.png": data}), keep_rejected=keep)
    resized(run)
    kept = {found.uri: storage.read(found.uri) for found in storage.list_objects(f"{settings.lake}/quarantine")}
    place = f"{settings.lake}/quarantine/photos/{run.partition}/CORRUPT/{hashlib.sha256(data).hexdigest()}"
    assert kept == ({place: data} if keep else {})


def test_a_shard_whose_images_are_all_rejected_is_an_empty_table(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.png": png_of(64, 48, b"no zlib stream")}))
    (receipt,) = resized(run)
    assert (receipt.rows_in, receipt.output.rows, receipt.reasons) == (1, 0, {"CORRUPT": 1})
    table = read_output(run.layout, "resize", 0)
    assert table.schema.remove_metadata() == schemas.pixels(PixelFormat.of_chain(PREPROCESSING)).remove_metadata()
    assert as_pixels(table, PREPROCESSING.shape).shape == (0, 224, 224, 3)


def test_width_height_and_mode_are_the_originals(make_run: MakeRun, tmp_path: Path) -> None:
    files = {
        "a.png": encoded(picture(90, 60), "PNG", exif=turned(6)),
        "b.png": encoded(picture()[..., 0].astype(np.uint16), "PNG"),
        "c.gif": encoded(picture(), "GIF"),
    }
    run = make_run(fill(tmp_path / "photos", files))
    table = pa.concat_tables(read_staged(receipt.output) for receipt in resized(run))
    columns = zip(*(table[name].to_pylist() for name in ("width", "height", "mode")), strict=True)
    assert list(columns) == [(60, 90, "RGB"), (64, 48, "I;16"), (64, 48, "P")]


def test_the_decoder_that_is_given_is_the_one_that_decodes(make_run: MakeRun, tmp_path: Path) -> None:
    class Given(isolation.Isolated):
        def run_in_parts(self, *_: object) -> Iterator[isolation.Batch]:
            raise DecoderUnavailable("the given one")

    run = make_run(fill(tmp_path / "photos", {"1.jpg": jpeg(1)}))
    validated(run)
    with pytest.raises(DecoderUnavailable, match="the given one"):
        resize.run_shard(run, 0, Given(images.decode))


def test_pixels_are_the_same_however_few_are_decoded_at_a_time(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = png_of(64, 48, b"no zlib stream")
    files = {f"{at}.jpg": jpeg(at) for at in range(7)} | {"1.png": broken, "5.png": encoded(picture(), "PNG")}
    run = make_run(fill(tmp_path / "photos", files), limits={"max_rejected": 1})
    at_once = resized(run)
    counts, real = [], isolation.Isolated._finish
    monkeypatch.setattr(isolation.Isolated, "_finish", lambda *of: (counts.append(of[1].count), real(*of)))
    monkeypatch.setattr(pixel_files, "BATCH_BYTES", 2 * 224 * 224 * 3 + 1)
    for receipt in at_once:
        storage.delete(run.layout.receipt("resize", receipt.shard))
        by_twos = resize.run_shard(run, receipt.shard)
        assert (by_twos.rows_in, by_twos.reasons) == (receipt.rows_in, receipt.reasons)
        assert by_twos.output.sha256 == receipt.output.sha256
        assert read_staged(by_twos.output).equals(read_staged(receipt.output))
    assert sum(counts) == 9
    assert set(counts) == {1, 2}


def test_a_retry_makes_the_same_pixels_of_the_one_shard(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(6)}))
    receipts = resized(run)
    Path(run.layout.receipt("resize", 1).removeprefix("file://")).unlink()
    assert pending(run.layout, "resize", len(receipts)) == [1]
    assert resize.run_shard(run, 1).output.sha256 == receipts[1].output.sha256


@pytest.mark.parametrize("frozen", [[jpeg(2)], []], ids=["other bytes", "none"])
def test_a_shard_that_ingest_froze_anew_since_validate_is_refused(
    make_run: MakeRun, tmp_path: Path, frozen: list[bytes]
) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": jpeg(1)}))
    validated(run)
    (lost,) = read_receipts(run.layout, "ingest")
    raw = schemas.RAW.remove(schemas.RAW.get_field_index("data"))
    rows = read_staged(lost.output, raw.names).to_pylist()
    Path(lost.output.uri.removeprefix("file://")).unlink()
    with BlobWriter(run.layout.new_output("ingest", 0), schemas.RAW, 1 << 20) as writer:  # as of a URL without an ETag
        for data in frozen:
            writer.add(data)
        rows = [row | {"image_id": hashlib.sha256(data).hexdigest()} for row, data in zip(rows, frozen, strict=False)]
        again = ShardWork(run.layout, "ingest", 0).finish(1, writer.end(pa.Table.from_pylist(rows, schema=raw)))
    with pytest.raises(AuditFailed) as refused:
        resize.run_shard(run, 0)
    assert str(refused.value) == f"{again.output.uri}: ingest was done again since validate; start a new run"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_pixels_survive_arrow_and_back(count: int) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (count, 224, 224, 3), np.uint8)
    column = as_binary(pixels)
    assert column.type == schemas.pixels(PixelFormat.of_chain(PREPROCESSING)).field("pixels").type
    table = pa.table({"pixels": column})
    assert np.array_equal(as_pixels(table, PREPROCESSING.shape), pixels)
    assert np.array_equal(
        as_pixels(pa.concat_tables([table, table]), PREPROCESSING.shape), np.concatenate([pixels, pixels])
    )
    assert np.array_equal(as_pixels(table.slice(1), PREPROCESSING.shape), pixels[1:])
