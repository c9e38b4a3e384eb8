from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from imagefeatures import schemas
from imagefeatures.models.engines import Engine, cached
from imagefeatures.models.prepare import read_bundle
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt, pending, read_output, read_staged
from imagefeatures.steps import featurize
from imagefeatures.storage import names
from support.photos import encoded, fill, jpeg, picture, png_of, real_photos, turned
from support.shared import MODEL, PARTITION, PREPROCESSING, SPEC, MakeRun
from support.stepping import resized

WIDTH = SPEC.width


@pytest.fixture(scope="module")
def straight_keras(weights_cache: Path, prepared_lake: str) -> Callable[[Path], np.ndarray]:
    """An image file to its vector as Keras' manual does it, without any module of ours.

    prepared_lake: makes sure that the weights are in the cache.
    """
    import keras

    model = keras.applications.MobileNetV2((224, 224, 3), include_top=False, weights=None, pooling="avg")
    model.load_weights(weights_cache / "weights" / f"{MODEL}.h5", by_name=True)

    def vector(path: Path) -> np.ndarray:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        batch = keras.applications.mobilenet_v2.preprocess_input(np.asarray(image, np.float32)[None])
        return model(batch, training=False).numpy()[0]

    return vector


@pytest.fixture(params=["openvino", "tensorflow"])
def engine(request: pytest.FixtureRequest, prepared_lake: str) -> Engine:
    return cached(request.param, read_bundle(SPEC, PREPROCESSING, prepared_lake))


@pytest.fixture
def openvino(prepared_lake: str) -> Engine:
    return cached("openvino", read_bundle(SPEC, PREPROCESSING, prepared_lake))


def featurized(run: Run, engine: Engine) -> list[Receipt]:
    return [featurize.run_shard(run, receipt.shard, engine) for receipt in resized(run)]


def vectors_of(receipts: list[Receipt]) -> dict[str, np.ndarray]:
    rows = pa.concat_tables(read_staged(receipt.output) for receipt in receipts).to_pylist()
    return {row["uri"]: np.asarray(row["features"], np.float32) for row in rows}


def test_vectors_equal_a_plain_keras_computation(
    make_run: MakeRun, tmp_path: Path, engine: Engine, straight_keras: Callable[[Path], np.ndarray]
) -> None:
    files = {path.name: path.read_bytes() for path in real_photos()}
    files["turned.png"] = encoded(picture(300, 200), "PNG", exif=turned(6))
    source = fill(tmp_path / "photos", files)
    vectors = vectors_of(featurized(make_run(source), engine))
    assert set(vectors) == {f"file://{source}/{name}" for name in files}
    for uri, vector in vectors.items():
        expected = straight_keras(Path(uri.removeprefix("file://")))
        assert vector.shape == expected.shape == (WIDTH,)
        assert np.abs(vector - expected).max() <= 1e-3
        assert np.linalg.norm(expected) > 10


def test_a_row_has_every_column_of_the_table(make_run: MakeRun, tmp_path: Path, openvino: Engine) -> None:
    data = jpeg(3, 100, 80)
    source = fill(tmp_path / "photos", {"pear/1.jpg": data})
    run = make_run(source)
    (receipt,) = featurized(run, openvino)
    table = read_staged(receipt.output)
    assert table.schema.remove_metadata() == schemas.FEATURES.remove_metadata()
    (row,) = table.to_pylist()
    (raw,) = read_output(run.layout, "ingest", 0).to_pylist()
    assert len(row.pop("features")) == WIDTH
    assert row == {
        "partition_key": PARTITION,
        "uri": f"file://{source}/pear/1.jpg",
        "image_id": raw["image_id"],
        "label": "pear",
        "width": 100,
        "height": 80,
        "mode": "RGB",
        "size": len(data),
        "etag": raw["etag"],
        "model": MODEL,
        "fingerprint": SPEC.fingerprint(PREPROCESSING),
        "run_id": run.run_id,
        "key": None,
        "copy": 0,
    }


def test_feature_files_lie_in_the_tables_folder(make_run: MakeRun, tmp_path: Path, openvino: Engine) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(3)}))
    receipts = featurized(run, openvino)
    folder = f"{run.lake}/warehouse/features/photos/data/partition_key={PARTITION}"
    assert [f"{folder}/{name}" for name in names(folder)] == sorted(r.output.uri for r in receipts)
    assert all(r.output.uri.rsplit("/", 1)[-1].startswith(f"{run.run_id}-shard-") for r in receipts)


def test_rows_keep_the_order_of_the_listing(make_run: MakeRun, tmp_path: Path, openvino: Engine) -> None:
    files = {f"{at:02d}.jpg": jpeg(at) for at in range(7)} | {"03.jpg": b"not an image"}
    source = fill(tmp_path / "photos", files)
    receipts = featurized(make_run(source, limits={"max_rejected": 1}), openvino)
    kept = [f"file://{source}/{name}" for name in sorted(files) if name != "03.jpg"]
    assert list(vectors_of(receipts)) == kept


def test_a_shard_without_images_is_an_empty_file(make_run: MakeRun, tmp_path: Path, openvino: Engine) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.png": png_of(64, 48, b"no zlib stream")}))
    (receipt,) = featurized(run, openvino)
    assert (receipt.rows_in, receipt.output.rows, receipt.rejected) == (0, 0, None)
    assert read_staged(receipt.output).schema.remove_metadata() == schemas.FEATURES.remove_metadata()


def test_a_retry_gives_the_same_file_under_a_new_name(make_run: MakeRun, tmp_path: Path, openvino: Engine) -> None:
    run = make_run(fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(6)}))
    receipts = featurized(run, openvino)
    Path(run.layout.receipt("featurize", 1).removeprefix("file://")).unlink()
    assert pending(run.layout, "featurize", len(receipts)) == [1]
    again = featurize.run_shard(run, 1, openvino)
    assert again.output.sha256 == receipts[1].output.sha256
    assert again.output.uri != receipts[1].output.uri


class Overflowing:
    """An engine that repeats the mean of the pixels, and overflows on bright pictures."""

    def features(self, pixels: np.ndarray) -> np.ndarray:
        means = pixels.mean(axis=(1, 2, 3))
        vectors = np.repeat(means.astype(np.float32)[:, None], WIDTH, axis=1)
        vectors[means > 128, 7] = np.inf
        vectors[means > 128, 8] = np.nan
        return vectors


def test_only_the_vectors_that_are_not_finite_are_rejected(make_run: MakeRun, tmp_path: Path) -> None:
    shades = [10, 250, 20, 240, 30, 40, 230, 220, 50, 60, 70, 210]  # four shards of three
    files = {f"{at:02d}.bmp": encoded(np.full((8, 8, 3), shade, np.uint8), "BMP") for at, shade in enumerate(shades)}
    run = make_run(fill(tmp_path / "photos", files), label="none")
    receipts = featurized(run, Overflowing())
    assert [receipt.rows_in for receipt in receipts] == [3] * 4
    rejected = [row for r in receipts if r.rejected for row in read_staged(r.rejected).to_pylist()]
    assert [Path(row["uri"]).name for row in rejected] == ["01.bmp", "03.bmp", "06.bmp", "07.bmp", "11.bmp"]
    assert {(r["step"], r["reason"], r["detail"]) for r in rejected} == {
        ("featurize", "NOT_FINITE", "2 values are not finite")
    }
    assert rejected[0]["size"] == len(files["01.bmp"])
    kept = {Path(uri).name: vector for uri, vector in vectors_of(receipts).items()}
    expected = {f"{at:02d}.bmp": shade for at, shade in enumerate(shades) if shade < 128}
    assert {name: set(vector.tolist()) for name, vector in kept.items()} == {n: {s} for n, s in expected.items()}


def test_vectors_stay_beside_their_own_images(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"1.jpg": b"x"}))
    identity = ["uri", "image_id", "size", "etag", "label", "key", "width", "height", "mode"]
    rows = [
        dict(zip(identity, (f"u{at}", f"i{at}", at, None, None, f"k{at}", at, at, "RGB"), strict=True))
        for at in range(3)
    ]
    fields = [schemas.FEATURES.field(name) for name in identity]
    vectors = np.arange(3 * WIDTH, dtype=np.float32).reshape(3, WIDTH)
    table = featurize.feature_table(run, pa.Table.from_pylist(rows, schema=pa.schema(fields)), vectors)
    table.validate(full=True)
    assert np.array_equal(np.stack(table["features"].to_pylist()), vectors)
    assert table["uri"].to_pylist() == ["u0", "u1", "u2"]
    assert table["key"].to_pylist() == ["k0", "k1", "k2"]
