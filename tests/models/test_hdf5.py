"""Files of strangers: what of an HDF5 file is never read."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import hdf5

SECRET = b"the bytes of another file of the machine"
KERNEL = np.arange(8, dtype="<f4").reshape(2, 4)


def keras_file(path: Path, spoil: Callable[[h5py.File], object] = lambda file: None) -> bytes:
    """A file as Keras writes it, of two layers, and then spoilt."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"conv", b"bn"])
        for layer in ("conv", "bn"):
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode()])
            group[f"{layer}/kernel:0"] = KERNEL
        spoil(file)
    return path.read_bytes()


def read(data: bytes) -> hdf5.Arrays:
    with hdf5.opened(data, "given.h5") as file:
        return hdf5.layers(file)


def test_what_keras_writes_is_read(tmp_path: Path) -> None:
    arrays = read(keras_file(tmp_path / "good.h5"))
    assert {layer: [array.tolist() for array in own] for layer, own in arrays.items()} == {
        layer: [KERNEL.tolist()] for layer in ("conv", "bn")
    }


def test_a_long_list_of_layers_is_read_in_the_parts_that_keras_cuts_it_into(tmp_path: Path) -> None:
    def cut(file: h5py.File) -> None:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = np.array([b"conv"]), np.array([b"bn"])

    assert list(read(keras_file(tmp_path / "parts.h5", cut))) == ["conv", "bn"]


def in_place_of_the_kernel(make: Callable[[h5py.Group], object]) -> Callable[[h5py.File], object]:
    def spoil(file: h5py.File) -> None:
        del file["conv/conv/kernel:0"]
        make(file["conv/conv"])

    return spoil


def external(group: h5py.Group) -> None:
    secret = Path(group.file.filename).with_name("secret")
    secret.write_bytes(SECRET)
    group.create_dataset("kernel:0", (8,), "<f4", external=[(str(secret), 0, 32)])


def virtual(group: h5py.Group) -> None:
    source = Path(group.file.filename).with_name("source.h5")
    with h5py.File(source, "w") as file:
        file["data"] = KERNEL
    layout = h5py.VirtualLayout(KERNEL.shape, "<f4")
    layout[:] = h5py.VirtualSource(source, "data", KERNEL.shape)
    group.create_virtual_dataset("kernel:0", layout)


def external_link(group: h5py.Group) -> None:
    other = Path(group.file.filename).with_name("other.h5")
    with h5py.File(other, "w") as file:
        file["data"] = KERNEL
    group["kernel:0"] = h5py.ExternalLink(other, "/data")


def put(array: np.ndarray) -> Callable[[h5py.Group], object]:
    return lambda group: group.create_dataset("kernel:0", data=array)


REFUSED: dict[str, tuple[Callable[[h5py.File], object], str]] = {
    "external storage": (in_place_of_the_kernel(external), r"kernel:0: external storage"),
    "a virtual dataset": (in_place_of_the_kernel(virtual), r"kernel:0: a virtual dataset"),
    "an external link": (in_place_of_the_kernel(external_link), r"kernel:0: a link to another place"),
    "a soft link": (
        in_place_of_the_kernel(lambda group: group.update({"kernel:0": h5py.SoftLink("/bn/bn/kernel:0")})),
        r"kernel:0: a link to another place",
    ),
    "64 GiB in no bytes": (
        in_place_of_the_kernel(lambda group: group.create_dataset("kernel:0", (2**34,), "<f4")),
        r"kernel:0: declares 68719476736 bytes, of which the file has 0\b",
    ),
    "64 GiB in chunks": (
        in_place_of_the_kernel(lambda group: group.create_dataset("kernel:0", (2**34,), "<f4", chunks=(1024,))),
        r"kernel:0: in chunks or compressed",
    ),
    "a gigabyte of zeros, compressed": (
        in_place_of_the_kernel(
            lambda group: group.create_dataset("kernel:0", (2**28,), "<f4", chunks=(2**20,), compression="gzip")
        ),
        r"kernel:0: in chunks or compressed",
    ),
    "texts": (in_place_of_the_kernel(put(np.array([b"print()"]))), r"/conv/conv/kernel:0: values of type \|S7"),
    "texts of variable length": (
        in_place_of_the_kernel(lambda group: group.create_dataset("kernel:0", data=["print()"])),
        r"kernel:0: values of type object",
    ),
    "float16": (in_place_of_the_kernel(put(KERNEL.astype("<f2"))), r"kernel:0: values of type float16, expected"),
    "float64": (in_place_of_the_kernel(put(KERNEL.astype("<f8"))), r"kernel:0: values of type float64, expected"),
    "whole numbers": (in_place_of_the_kernel(put(KERNEL.astype("<i4"))), r"kernel:0: values of type int32"),
    "not a number": (in_place_of_the_kernel(put(KERNEL * np.nan)), r"kernel:0: a value that is not finite"),
    "infinite": (in_place_of_the_kernel(put(np.full(2, np.inf, "<f4"))), r"kernel:0: a value that is not finite"),
    "a type in place of an array": (
        in_place_of_the_kernel(lambda group: group.update({"kernel:0": np.dtype("<f4")})),
        r"kernel:0: neither a group nor an array",
    ),
    "a group in place of an array": (
        in_place_of_the_kernel(lambda group: group.create_group("kernel:0")), r"kernel:0: not an array"
    ),
    "no array": (in_place_of_the_kernel(lambda group: None), r"kernel:0"),
    "a layer less": (lambda file: file.pop("bn"), r"bn"),
    "one array a thousand times": (
        lambda file: file["conv"].attrs.create("weight_names", np.array([b"conv/kernel:0"] * 1000)),
        r"the file has fewer bytes than its arrays have together",
    ),
    "a link that nothing reads": (
        lambda file: file.update({"unused": h5py.ExternalLink("/etc/hostname", "/")}), r"unused: a link to another"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_in_one_line_with_its_place(what: str, tmp_path: Path) -> None:
    spoil, says = REFUSED[what]
    data = keras_file(tmp_path / "bad.h5", spoil)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelMismatch, match=rf"^given\.h5: not a Keras HDF5 weights file \([^\n]*{says}") as refused:
        read(data)
    assert SECRET.decode() not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_an_attribute_that_declares_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    names = np.array([b"conv", b"bn"] * 1500)
    data = keras_file(tmp_path / "texts.h5", lambda file: file.attrs.create("layer_names", names))
    length = len(names).to_bytes(8, "little")
    assert data.count(length) == 2  # the length now, and the largest that it may have
    with pytest.raises(ModelMismatch, match=r"^given\.h5: not a Keras HDF5 weights file \([^\n]+\)$"):
        read(data.replace(length, (2**34).to_bytes(8, "little")))


def test_texts_of_variable_length_are_bounded_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = keras_file(tmp_path / "texts.h5", lambda file: file.attrs.create("layer_names", ["conv", "bn"]))
    assert list(read(data)) == ["conv", "bn"]
    monkeypatch.setattr(hdf5, "MOST_TEXT_BYTES", 7)
    with pytest.raises(ModelMismatch, match=r"attribute layer_names: 2 texts, of which one has 4 bytes"):
        read(data)
    monkeypatch.setattr(hdf5, "MOST_TEXT_BYTES", 8)
    assert list(read(data)) == ["conv", "bn"]


def test_one_long_text_beside_many_short_ones_is_no_bomb(tmp_path: Path) -> None:
    def describe(file: h5py.File) -> None:
        file.attrs["layer_names"] = ["conv", "bn"]
        file.attrs["model_config"] = "x" * 300_000
        file.attrs["others"] = [f"layer {number}" for number in range(800)]

    assert hdf5._longest_text(keras_file(tmp_path / "config.h5", describe)) == 300_000
    assert list(read((tmp_path / "config.h5").read_bytes())) == ["conv", "bn"]


def test_a_long_text_that_stands_in_an_attribute_again_and_again_is_refused(tmp_path: Path) -> None:
    """All of 1000 names are the same 2 MB of the file: 2 GB once they are read."""

    def repeat(file: h5py.File) -> None:
        file.attrs["layer_names"] = ["x" * 2_000_000, *("y" * 8 for _ in range(999))]

    data = keras_file(tmp_path / "bomb.h5", repeat)
    with pytest.raises(ModelMismatch, match=r"attribute layer_names: 1000 texts, of which one has 2000000 bytes"):
        read(data)


def test_more_texts_than_any_model_has_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = keras_file(tmp_path / "texts.h5", lambda file: file.attrs.create("layer_names", ["conv", "bn"]))
    monkeypatch.setattr(hdf5, "MOST_TEXTS", 1)
    with pytest.raises(ModelMismatch, match=r"more than 1 texts"):
        read(data)


def test_groups_that_contain_each_other_end(tmp_path: Path) -> None:
    def turn(file: h5py.File) -> None:
        file["conv/again"] = file["/"]
        file["bn/conv"] = file["conv"]

    assert set(read(keras_file(tmp_path / "cycle.h5", turn))) == {"conv", "bn"}


def test_a_file_of_more_objects_than_any_model_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = keras_file(tmp_path / "many.h5")
    monkeypatch.setattr(hdf5, "MOST_OBJECTS", 5)
    with pytest.raises(ModelMismatch, match=r"the file has more than 5 objects"):
        read(data)
    monkeypatch.setattr(hdf5, "MOST_OBJECTS", 6)  # two layers, each two groups and an array
    assert len(read(data)) == 2


@pytest.mark.parametrize("at", range(0, 6000, 2000))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(at: int, tmp_path: Path) -> None:
    data = keras_file(tmp_path / "good.h5")
    for start in range(at, min(at + 2000, len(data)), 13):
        damaged = bytearray(data)
        damaged[start] ^= 0xFF
        try:
            read(bytes(damaged))
        except ModelMismatch as refused:
            assert "\n" not in str(refused)


def test_the_counter_of_a_normalization_layer_may_be_an_integer(tmp_path: Path) -> None:
    data = keras_file(tmp_path / "count.h5", in_place_of_the_kernel(put(np.int64(7))))
    assert read(data)["conv"][0].tolist() == 7
