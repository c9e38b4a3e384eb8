"""Whole runs over pictures of bands: the decode process that is locked in, the staged pixels, the table, and plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imagefeatures import isolation, local, read, storage
from imagefeatures.batches import RECORD, impossible
from imagefeatures.catalog.tables import open_catalog
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.isolation import DONE, Isolated
from imagefeatures.limits import Limits
from imagefeatures.models import engines
from imagefeatures.models.prepare import prepare, read_bundle
from imagefeatures.pixels import PixelFormat, as_pixels
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.preprocessing.bands import Bands, Channels
from imagefeatures.preprocessing.geometry import Resize
from imagefeatures.settings import Settings
from imagefeatures.shards import read_receipt, read_staged
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import RESIZE, register
from support import model_files
from support.band_files import DEFLATE, npy, npy_of, tiff_pages, values
from support.model_files import HEIGHT, WIDTH
from support.photos import encoded, fill, jpeg
from support.shared import MakeRun

CHANNELS = {"count": 12, "dtype": "uint16"}
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
SCALE = {"scale": 0.0001, "mean": [at / 20 for at in range(12)], "std": 0.3}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """With a cache folder of the test's own: no model of an earlier test is in it."""
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    return replace(settings, cache=tmp_path / "cache")


def model_of(folder: Path, channels: int, more: dict[str, Any] | None = None, nhwc: bool = False) -> dict[str, Any]:
    """A model of so many channels in a file, as a dataset file names it."""
    sides = (None, HEIGHT, WIDTH, channels) if nhwc else (None, channels, HEIGHT, WIDTH)
    (folder / "bands.onnx").write_bytes(model_files.onnx(sides, arrays=arrays_of(channels)))
    return {"name": "bands", "uri": f"file://{folder}/bands.onnx", "cut": "/pool", **(more or {})}


def arrays_of(channels: int) -> dict[str, np.ndarray]:
    kernel = np.random.default_rng(channels).normal(0, 0.2, (6, channels, 3, 3)).astype(np.float32)
    return model_files.weights() | {"kernel": kernel}


def test_twelve_bands_become_vectors_and_every_other_picture_a_row(
    make_run: MakeRun, settings: Settings, tmp_path: Path
) -> None:
    good = {f"{at}.tif": values((HEIGHT, WIDTH, 12), "uint16", at) % np.uint16(10_000 * (at + 1)) for at in range(3)}
    files = {
        "0.tif": tiff_pages([good["0.tif"]]),
        "1.tif": tiff_pages(list(np.split(good["1.tif"], 12, axis=2)), ">", DEFLATE),
        "2.tif": npy(good["2.tif"].astype(">u2")),  # what a file is called does not matter
    }
    bad = {
        "bands.tif": (tiff_pages([good["0.tif"][..., :11]]), "UNSUPPORTED_MODE", "11 bands of uint16"),
        "bits.npy": (npy(good["0.tif"].astype(np.uint8)), "UNSUPPORTED_MODE", "an array of uint8 [40, 32, 12]"),
        "cut.tif": (files["0.tif"][:-9], "TRUNCATED", ""),
        "object.npy": (npy_of(OBJECTS), "UNSUPPORTED_MODE", "objects"),
        "photo.jpg": (jpeg(1), "UNSUPPORTED_MODE", "found 3 bands of uint8, the dataset declares 12 bands of uint16"),
        "photo.gif": (encoded(np.zeros((9, 9, 3), np.uint8), "GIF"), "UNSUPPORTED_FORMAT", "expected one of TIFF, NPY"),
    }  # fmt: skip
    fill(tmp_path / "pictures", files | {name: data for name, (data, _, _) in bad.items()})
    model = model_of(tmp_path, 12)
    run = make_run(tmp_path / "pictures", channels=CHANNELS, scale=SCALE, model=model, limits={"max_rejected": 1})
    prepare(run.model, run.preprocessing, run.lake, settings.cache)
    local.run_steps(run, local.ThisProcess(StepRunner()))
    staged = read_staged(read_receipt(run.layout.receipt(RESIZE, 0)).output)
    found = as_pixels(staged, run.preprocessing.shape, run.preprocessing.dtype)
    assert (found.shape, found.dtype) == ((3, HEIGHT, WIDTH, 12), np.uint16)
    assert str(PixelFormat.of_field(staged.schema.field("pixels"))) == f"uint16 [{HEIGHT}, {WIDTH}, 12] bands"
    register.register(run.layout.run_file, settings)
    rows = read.table(settings, "photos")
    assert (set(rows["mode"].to_pylist()), set(rows["width"].to_pylist())) == ({"uint16x12"}, {WIDTH})
    vectors = {
        uri.rpartition("/")[2]: one for uri, one in zip(rows["uri"].to_pylist(), read.vectors(rows), strict=True)
    }
    assert set(vectors) == set(good)
    for at, name in enumerate(good):
        assert np.array_equal(found[at], good[name])
        scaled = ((good[name] / 10_000 - np.array(SCALE["mean"])) / 0.3).astype(np.float32)
        expected = model_files.features(scaled[None], arrays_of(12)["kernel"])[0]
        assert np.abs(vectors[name] - expected).max() < 1e-3 * max(1, np.abs(expected).max())
    quarantined = open_catalog(settings).load_table("features.quarantine").scan().to_arrow().to_pylist()
    quarantine = {row["uri"].rpartition("/")[2]: row for row in quarantined}
    assert {name: row["reason"] for name, row in quarantine.items()} == {name: one[1] for name, one in bad.items()}
    for name, (_, _, words) in bad.items():
        assert words in quarantine[name]["detail"], name
    again = make_run(tmp_path / "pictures", channels=CHANNELS, scale=SCALE, model=model, limits={"max_rejected": 1})
    assert again.fingerprint == run.fingerprint


@pytest.mark.parametrize(
    ("channels", "fields", "line"),
    [
        (
            12,
            {},
            r"its input has the shape \[\?, 12, 40, 32\]: there is no axis of 3 channels; channels: .* here 12",
        ),
        (
            12,
            {"channels": 11},
            r"\[\?, 12, 40, 32\]: there is no axis of 11 channels; channels: .*12 or 32",
        ),
        (3, {"channels": 12}, r"\[\?, 3, 40, 32\]: there is no axis of 12 channels"),
        (12, {"channels": 12, "model": "torch"}, r"normalize: is of 3 channels, and its input has 12; say none, one"),
        (
            12,
            {"channels": 12, "preprocess": [{"resize": {"size": [9, 9]}}]},
            r"makes 9 × 9 × 12 .* takes 40 × 32 × 12",
        ),
    ],
)
def test_plan_refuses_another_number_of_channels_with_both(
    make_run: MakeRun, tmp_path: Path, channels: int, fields: dict[str, Any], line: str
) -> None:
    fill(tmp_path / "pictures", {"a.npy": npy(values((9, 9, 12), "uint8"))})
    model = model_of(tmp_path, channels, {"normalize": fields.pop("model", "none")})
    with pytest.raises(ImageFeaturesError, match=line):
        make_run(tmp_path / "pictures", model=model, **fields)
    assert not list(storage.list_objects(f"file://{tmp_path}/lake/staging"))


def test_the_decode_process_reads_every_kind_locked_in() -> None:
    """It can open no file and import no module: the first .npy header needs Python's own parser."""
    for dtype in ("uint16", "float32"):
        channels = Channels.model_validate({"count": 5, "dtype": dtype})
        pixels = values((9, 12, 5), dtype)
        files = [npy(pixels), tiff_pages(list(np.split(pixels, 5, axis=2)), compression=DEFLATE), tiff_pages([pixels])]
        files.append(files[0][:-1])
        chain = Preprocessing(chain=(Bands(channels=channels), Resize(size=(9, 12))))
        batch = isolation.decoder_of(channels).run(files, Limits(), chain)
        assert (batch.records["state"] == DONE).tolist() == [True, True, True, False]
        assert batch.records["reason"][3] == b"TRUNCATED"
        assert (batch.pixels.dtype, batch.pixels.shape) == (np.dtype(dtype), (4, 9, 12, 5))
        for found in batch.decoded_pixels():
            assert np.array_equal(found, pixels)
        headers = isolation.inspector_of(channels).run(files, Limits())
        assert headers.records["mode"][:3].tolist() == [f"{dtype}x5".encode()] * 3
        assert headers.records["format"][:3].tolist() == [b"NPY", b"TIFF", b"TIFF"]
    isolation.stop_those_of_bands()


def test_children_are_kept_for_the_dataset_at_hand_alone() -> None:
    one, other = Channels(count=2), Channels(count=4)
    kept = isolation.decoder_of(one)
    assert isolation.decoder_of(one) is kept
    assert isolation.decoder_of(None) is isolation.decoder()
    assert isolation.inspector_of(None) is isolation.inspector()
    isolation.inspector_of(other), isolation.decoder_of(other)
    assert isolation.decoder_of(one) is not kept
    assert isinstance(kept, Isolated)
    isolation.stop_those_of_bands()


def test_one_band_is_told_from_the_sides(make_run: MakeRun, tmp_path: Path, settings: Settings) -> None:
    fill(tmp_path / "pictures", {"a.npy": npy(values((9, 9), "uint8"))})
    model = model_of(tmp_path, 1, nhwc=True)
    run = make_run(tmp_path / "pictures", model=model, channels=1, scale=255)
    assert (run.model.input_shape, run.model.layout) == ((HEIGHT, WIDTH, 1), "nhwc")
    prepare(run.model, run.preprocessing, run.lake, settings.cache)
    engine = engines.load("openvino", read_bundle(run.model, run.preprocessing, run.lake))
    pixels = values((2, HEIGHT, WIDTH, 1), "uint8")
    expected = model_files.features((pixels / 255).astype(np.float32), arrays_of(1)["kernel"])
    assert np.abs(engine.features(pixels) - expected).max() < 1e-4


def test_a_result_that_names_another_mode_is_not_believed() -> None:
    records = np.zeros(3, RECORD)
    for index, mode in enumerate(("uint16x12", "uint16x13", "RGB")):
        records[index] = (DONE, 3, 4, b"NPY", mode.encode(), b"", b"")
    assert impossible(records, Limits(), "uint16x12").tolist() == [False, True, True]
    assert impossible(records, Limits()).tolist() == [True, True, False]
    assert impossible(records, Limits(max_pixels=11), "uint16x12").tolist() == [True, True, True]
