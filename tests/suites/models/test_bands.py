"""Whole runs over pictures of bands, with seeded models of Keras: the published vectors against Keras itself.

The pictures are made by NumPy, and what Keras is given is computed from them here: no reader of ours is asked.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import local, read
from imagefeatures.dataset_files import find_dataset
from imagefeatures.models.prepare import prepare
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from support.photos import fill
from support.seeded_keras import check_vector, keras_model
from support.shared import PARTITION
from support.spark_jobs import submit
from support.tiff_files import ADOBE_DEFLATE, BLACK_IS_ZERO, LZW, NONE, Tiff

HEIGHT, WIDTH = 40, 32
WAYS = ("openvino", "tensorflow", "spark")
"""Either engine in this process, and the first one in real jobs."""


def npy(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def png(array: np.ndarray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(array).save(sink, "PNG")
    return sink.getvalue()


def check_run(
    settings: Settings,
    tmp_path: Path,
    model: Any,
    pictures: Mapping[str, tuple[bytes, np.ndarray]],
    fields: str,
    way: str,
) -> None:
    """Run a dataset in one of WAYS, and compare its vectors with those of Keras.

    pictures: file, and what Keras is given of it: float32 [height, width, bands].
    """
    fill(tmp_path / "pictures", {name: data for name, (data, _) in pictures.items()})
    model.save(tmp_path / "seeded.keras")
    expected = {name: model(given[None]).numpy()[0] for name, (_, given) in pictures.items()}
    text = f"name: bands\nsource: file://{tmp_path}/pictures/\nmodel: {{name: seeded, uri: ../seeded.keras}}\n"
    engine = "openvino" if way == "spark" else way
    (settings.datasets / "bands.yaml").write_text(f"{text}{fields}engine: {engine}\n")
    run = load_run(plan_run(find_dataset(settings.datasets, "bands"), RunParams(), PARTITION, settings))
    facts = prepare(run.model, run.preprocessing, run.lake, settings.cache)
    assert set(facts["parity"]) == {"openvino", "tensorflow"}
    if way == "spark":
        submit(run, tmp_path / "home")
    else:
        local.run_steps(run, local.ThisProcess(StepRunner()))
    register.register(run.layout.run_file, settings)
    rows = read.table(settings, "bands")
    assert rows.num_rows == len(pictures)
    for uri, vector in zip(rows["uri"].to_pylist(), read.vectors(rows), strict=True):
        check_vector(vector, expected[uri.rpartition("/")[2]])
    vectors = np.stack(list(expected.values()))
    assert np.ptp(vectors, axis=0).max() > 1e-2  # the pictures differ


@pytest.mark.parametrize("way", WAYS)
def test_twelve_bands_of_tiff_are_kerass(settings: Settings, tmp_path: Path, way: str) -> None:
    """uint16, as reflectances are: divided by 10,000, then by the mean and deviation of each band."""
    random = np.random.default_rng(12)
    mean, std = random.uniform(0.1, 0.3, 12).round(4), random.uniform(0.05, 0.2, 12).round(4)
    pictures = {}
    for index, (compression, planes) in enumerate([(NONE, False), (LZW, True), (ADOBE_DEFLATE, False)]):
        values = random.integers(0, 10_001, (HEIGHT, WIDTH, 12)).astype(np.uint16)
        values[..., index] //= 4
        layout = {"planes": planes, "compression": compression, "rows": 16}
        tiff = Tiff(values.astype(np.int64), 16, BLACK_IS_ZERO, extra=(0,) * 11, **layout)
        given = ((values / 10_000 - mean) / std).astype(np.float32)
        pictures[f"{index}.tif"] = (tiff.bytes(), given)
    numbers = f"{{scale: 0.0001, mean: {mean.tolist()}, std: {std.tolist()}}}"
    fields = f"channels: {{count: 12, dtype: uint16}}\nscale: {numbers}\n"
    check_run(settings, tmp_path, keras_model(12, HEIGHT, WIDTH), pictures, fields, way)


@pytest.mark.parametrize("way", WAYS)
def test_a_hundred_bands_of_npy_are_kerass(settings: Settings, tmp_path: Path, way: str) -> None:
    random = np.random.default_rng(100)
    pictures = {}
    for index, order in enumerate("<>"):
        values = (random.normal(0.4, 0.2, (100, HEIGHT, WIDTH)) + index / 4).astype(np.float32)
        pictures[f"{index}.npy"] = (npy(values.astype(f"{order}f4")), np.moveaxis(values, 0, 2))
    fields = "channels: {count: 100, dtype: float32, axes: chw}\nscale: none\n"
    check_run(settings, tmp_path, keras_model(100, HEIGHT, WIDTH), pictures, fields, way)


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize(("dtype", "most"), [("uint8", 255), ("uint16", 65535)])
def test_a_model_of_one_channel_gets_grey_pictures(
    settings: Settings, tmp_path: Path, dtype: str, most: int, way: str
) -> None:
    """As MNIST's: 28 × 28, from 0 to 1."""
    random = np.random.default_rng(1)
    writers: dict[str, Callable[[np.ndarray], bytes]] = {
        "png": png,
        "tif": lambda values: Tiff(values[..., None].astype(np.int64), 8 * values.itemsize, BLACK_IS_ZERO).bytes(),
        "npy": npy,
    }
    pictures = {}
    for at, (suffix, write) in enumerate(writers.items()):
        values = random.integers(0, most // (at + 1), (28, 28)).astype(dtype)
        pictures[f"{at}.{suffix}"] = (write(values), (values / most).astype(np.float32)[..., None])
    fields = f"channels: {{count: 1, dtype: {dtype}}}\nscale: {most}\n"
    check_run(settings, tmp_path, keras_model(1, 28, 28), pictures, fields, way)
