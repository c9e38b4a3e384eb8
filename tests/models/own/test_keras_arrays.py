"""How the arrays of a user's Keras file come into an architecture: without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own import keras_arrays
from support import model_files

LAYERS = [
    ("first", "Conv2D", [(3, 3, 3, 4), (4,)]),
    ("norm", "BatchNormalization", [(4,), (4,), (4,), (4,)]),
    ("second", "Conv2D", [(3, 3, 4, 4), (4,)]),
    ("third", "Conv2D", [(3, 3, 4, 4), (4,)]),
]
ARRAYS = {
    name: [np.full(shape, index * 10 + number, "<f4") for number, shape in enumerate(shapes)]
    for index, (name, _, shapes) in enumerate(LAYERS)
}


def weights_file(path: Path, names: dict[str, str], more: dict[str, np.ndarray] | None = None) -> bytes:
    """A `.weights.h5`. names: the group of each layer."""
    arrays = {f"{names[name]}/vars/{number}": one for name, own in ARRAYS.items() for number, one in enumerate(own)}
    return model_files.hdf5(path, arrays | (more or {}))


FLAT = {"first": "layers/conv2d", "norm": "layers/batch_normalization", "second": "layers/conv2d_1",
        "third": "layers/conv2d_2"}  # fmt: skip
NESTED = {name: f"layers/functional/{group}" for name, group in FLAT.items()}
BLOCKS = {"first": "block1/layers/conv2d", "norm": "block1/layers/batch_normalization",
          "second": "block1/layers/conv2d_1", "third": "block2/layers/conv2d"}  # fmt: skip


@pytest.mark.parametrize("names", [FLAT, NESTED, BLOCKS])
def test_the_arrays_find_their_layers_by_class_and_counter(tmp_path: Path, names: dict[str, str]) -> None:
    head = {"layers/dense/vars/0": np.zeros((4, 2), "<f4"), "optimizer/vars/0": np.array(7, "<i8"),
            "optimizer/vars/1": np.full(3, np.nan, "<f4"),
            "layers/dropout/seed_generator/vars/0": np.zeros(2, "<u4")}  # fmt: skip
    arrays = keras_arrays.by_class(weights_file(tmp_path / "w.h5", names, head), LAYERS)
    assert list(arrays) == list(ARRAYS)
    for name, own in ARRAYS.items():
        assert all(np.array_equal(one, other) for one, other in zip(arrays[name], own, strict=True))


def test_the_tenth_layer_comes_after_the_ninth(tmp_path: Path) -> None:
    arrays = {f"layers/dense{f'_{at}' if at else ''}/vars/0": np.full(2, at, "<f4") for at in range(12)}
    layers = [(f"d{at}", "Dense", [(2,)]) for at in range(12)]
    found = keras_arrays.by_class(model_files.hdf5(tmp_path / "w.h5", arrays), layers)
    assert [own[0][0] for own in found.values()] == list(range(12))


def test_a_layer_of_another_shape_or_none_is_refused_by_name(tmp_path: Path) -> None:
    data = weights_file(tmp_path / "w.h5", FLAT)
    with pytest.raises(ModelMismatch, match=r"^its weights have no layer for fourth, a Conv2D; is architecture right"):
        keras_arrays.by_class(data, [*LAYERS, ("fourth", "Conv2D", [(1,)])])
    with pytest.raises(
        ModelMismatch, match=r"^its weights layers/conv2d have the shapes .*, and norm takes .*; is arc"
    ):
        keras_arrays.by_class(data, [("norm", "Conv2D", [(4,)])])


@pytest.mark.parametrize(
    ("array", "why"),
    [
        (np.zeros(2, "<f2"), "values of type float16, expected float32"),
        (np.zeros(2, "<f8"), "values of type float64, expected float32"),
        (np.float32([1, np.nan]), "a value that is not finite"),
        (np.float32([1, np.inf]), "a value that is not finite"),
    ],
)
def test_arrays_that_are_not_of_finite_float32_are_refused(tmp_path: Path, array: np.ndarray, why: str) -> None:
    data = weights_file(tmp_path / "w.h5", FLAT, {"layers/dense/vars/0": array})
    with pytest.raises(ModelMismatch, match=rf"^its weights: .*{why}"):
        keras_arrays.check(data)
    keras_arrays.check(weights_file(tmp_path / "w.h5", FLAT))


def test_one_array_under_a_thousand_names_is_not_read_a_thousand_times(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros(100_000, "<f4")
        for number in range(1, 1000):
            file[f"layers/dense/vars/{number}"] = file["layers/dense/vars/0"]
    with pytest.raises(ModelMismatch, match="the file has fewer bytes than its arrays have together"):
        keras_arrays.check((tmp_path / "w.h5").read_bytes())


def legacy(path: Path, layers: dict[str, list[np.ndarray]], inside: str) -> bytes:
    with h5py.File(path, "w") as file:
        group = file.require_group(inside)
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            own = group.create_group(name)
            own.attrs["weight_names"] = [f"{name}/{number}" for number in range(len(arrays))]
            for number, array in enumerate(arrays):
                own[f"{name}/{number}"] = array
    return path.read_bytes()


COUNTS = [(2, 0), (2, 2), (2, 0), (2, 0)]


@pytest.mark.parametrize("inside", ["/", "model_weights"])
def test_the_head_of_a_legacy_file_is_dropped(tmp_path: Path, inside: str) -> None:
    head = {"pool": [], "dense": [np.zeros((4, 2), "<f4")]}
    arrays = keras_arrays.without_head(legacy(tmp_path / "m.h5", ARRAYS | head, inside), COUNTS)
    assert list(arrays) == list(ARRAYS)


def test_a_backbone_that_is_one_layer_of_another_model_is_taken_apart(tmp_path: Path) -> None:
    trained = [one for own, (many, _) in zip(ARRAYS.values(), COUNTS, strict=True) for one in own[:many]]
    others = [one for own, (many, _) in zip(ARRAYS.values(), COUNTS, strict=True) for one in own[many:]]
    layers = {"backbone": trained + others, "dense": [np.zeros((4, 2), "<f4")]}
    arrays = keras_arrays.without_head(legacy(tmp_path / "m.h5", layers, "model_weights"), COUNTS)
    for found, own in zip(arrays.values(), ARRAYS.values(), strict=True):
        assert all(np.array_equal(one, other) for one, other in zip(found, own, strict=True))


def test_a_file_of_weights_alone_does_not_say_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"^architecture: is required, as the file holds arrays alone$"):
        keras_arrays.configuration(legacy(tmp_path / "m.h5", ARRAYS, "/"))
