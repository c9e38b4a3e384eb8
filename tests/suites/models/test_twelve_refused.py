"""Twelve models that are broken or mean harm, each through `imagefeatures run`: one line, and nothing touched outside.

What a file names outside of itself is a pipe: whoever opened it would wait there until the test's time is over.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from imagefeatures.cli import main
from imagefeatures.errors import EXIT_INPUT_ERROR
from imagefeatures.settings import Settings
from support import model_files
from support.photos import fill, jpeg
from support.shared import PARTITION


class Case(NamedTuple):
    """file: its name. make: writes it; given its path, the path of something outside, and a real backbone's file.

    fields: of `model:`, besides name and uri. line: what the refusal says, after the file's name.
    """

    file: str
    make: Callable[[Path, Path, Path], object]
    fields: str
    line: str


def external_storage(path: Path, outside: Path, _: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (8,), "<f4", external=[(str(outside), 0, 32)])


def shape_bomb(path: Path, *_: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (1 << 34,), "<f4")


def keras_lambda(path: Path, outside: Path, _: Path) -> None:
    code = {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}}
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "evil", "function": code}}
    path.write_bytes(model_files.keras_archive(model_files.configuration(layer), b"x"))


class Evil:
    """Its pickle writes a file when it is read."""

    def __init__(self, outside: Path) -> None:
        self.outside = outside

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.outside.with_name('written')}",)


def zip_traversal(path: Path, outside: Path, _: Path) -> None:
    more = {f"../../{outside.parent.name}/written": b"x"}
    path.write_bytes(model_files.keras_archive(model_files.configuration(model_files.LAYER), b"x", **more))


def without_a_layer(path: Path, _: Path, real: Path) -> None:
    path.write_bytes(real.read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["model_weights"]
        names = [name for name in group.attrs["layer_names"] if name != b"block_3_expand"]
        del group["block_3_expand"], group.attrs["layer_names"]
        group.attrs["layer_names"] = names


def with_values(value: float, kind: str) -> Callable[[Path, Path, Path], object]:
    array = np.full((6, 6), value, kind)
    return lambda path, *_: model_files.hdf5(path, {"layers/conv2d/vars/0": array})


def file_ops(path: Path, *_: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(model_files.saved_model("Placeholder", "ReadFile", "WriteFile"))


VGG = "architecture: vgg16"
CASES = {
    "external storage": Case("m.weights.h5", external_storage, VGG, "external storage; only arrays in the file itself"),
    "shape bomb": Case("m.weights.h5", shape_bomb, VGG, "declares 68719476736 bytes, of which the file has 0"),
    "lambda": Case("m.keras", keras_lambda, "normalize: tf", "it has a layer "),
    "pickle": Case("m.pth", lambda path, outside, _: path.write_bytes(pickle.dumps(Evil(outside))), "normalize: tf",
                   "is a file that may run code when it is read"),
    "zip traversal": Case("m.keras", zip_traversal, "normalize: tf", r"its archive has '../../outside/written'"),
    "wrong digest": Case("m.onnx", lambda path, *_: path.write_bytes(model_files.onnx()),
                         f"normalize: tf, sha256: {'a' * 64}", f"and {'a' * 64} is expected"),
    "wrong architecture": Case("m.h5", lambda path, _, real: path.write_bytes(real.read_bytes()), VGG,
                               "the weights are not those of VGG16"),
    "missing layer": Case("m.h5", without_a_layer, "architecture: mobilenet_v2",
                          "the weights are not those of MobileNetV2"),
    "NaN weights": Case("m.weights.h5", with_values(np.nan, "<f4"), VGG, "a value that is not finite"),
    "float16 weights": Case("m.weights.h5", with_values(1, "<f2"), VGG, "values of type float16, expected float32"),
    "truncated": Case("m.onnx", lambda path, *_: path.write_bytes(model_files.onnx()[:-60]), "normalize: tf",
                      "it is no onnx file"),
    "file operations": Case("m/", file_ops, "normalize: tf", "its graph uses ReadFile, WriteFile"),
}  # fmt: skip


def test_they_are_twelve() -> None:
    assert len(CASES) == 12


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line_and_nothing_outside_is_touched(
    name: str, settings: Settings, weights_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES[name]
    outside, models = tmp_path / "outside", tmp_path / "models"
    outside.mkdir()
    models.mkdir()
    os.mkfifo(outside / "secret")
    case.make(models / case.file.rstrip("/"), outside / "secret", weights_cache / "weights" / "mobilenet_v2.h5")
    fill(tmp_path / "photos", {"1.jpg": jpeg(1)})
    (settings.datasets / "birds.yaml").write_text(
        f"name: birds\nsource: file://{tmp_path}/photos/\n"
        f"model: {{name: theirs, uri: ../models/{case.file}, {case.fields}}}\n"
    )
    before = everything(tmp_path)
    assert main(["run", "birds", PARTITION, "--workers", "1"]) == EXIT_INPUT_ERROR
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert case.line in said
    assert everything(tmp_path) == before


def everything(folder: Path) -> dict[str, int]:
    """Every path below a folder with its size, but the lake's catalog."""
    paths = (path for path in folder.rglob("*") if not path.is_relative_to(folder / "lake"))
    return {str(path): path.stat().st_size for path in paths}


def test_the_files_are_what_they_are_said_to_be(tmp_path: Path) -> None:
    """Else the tests above would prove nothing."""
    (tmp_path / "secret").write_bytes(np.arange(8, dtype="<f4").tobytes())
    external_storage(tmp_path / "e.h5", tmp_path / "secret", tmp_path)
    with h5py.File(tmp_path / "e.h5") as file:
        assert file["layers/conv2d/vars/0"][3] == 3  # plain h5py reads the other file
    shape_bomb(tmp_path / "b.h5")
    assert (tmp_path / "b.h5").stat().st_size < 10_000
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["layers/conv2d/vars/0"].nbytes == 64 << 30
    pickle.loads(pickle.dumps(Evil(tmp_path / "secret")))
    assert (tmp_path / "written").exists()
