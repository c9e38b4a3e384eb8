"""Which GPU a process sees, and how many images are computed at once: with a TensorFlow that takes no time."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from imagefeatures.errors import SettingsError
from imagefeatures.models import gpus

ORDER = "CUDA_DEVICE_ORDER"
CHOSEN = ("7", "CHOSEN BY THE USER")


@pytest.fixture(autouse=True)
def _of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has computed nothing yet, with both variables set by the user."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setenv(gpus.VISIBLE, CHOSEN[0])
    monkeypatch.setenv(ORDER, CHOSEN[1])


def seen() -> tuple[str | None, str | None]:
    return os.environ.get(gpus.VISIBLE), os.environ.get(ORDER)


@pytest.mark.parametrize(
    ("address", "expected"),
    [(None, CHOSEN), ("7", CHOSEN), ("3", ("3", "PCI_BUS_ID")), ("GPU-9f1", ("GPU-9f1", "PCI_BUS_ID"))],
)
def test_only_another_gpu_than_the_one_that_is_seen_changes_anything(
    address: str | None, expected: tuple[str, str]
) -> None:
    gpus.use_gpu(address)
    assert seen() == expected


def test_once_tensorflow_has_started_another_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", ModuleType("tensorflow"))
    gpus.use_gpu("7")
    with pytest.raises(SettingsError, match=r"must be 1; a Python worker was given GPU 3 after .*_DEVICES=7$"):
        gpus.use_gpu("3")
    monkeypatch.delenv(gpus.VISIBLE)
    with pytest.raises(SettingsError, match=r"was given GPU 3 after it had computed with CUDA_VISIBLE_DEVICES=$"):
        gpus.use_gpu("3")
    assert seen() == (None, CHOSEN[1])


def test_tensorflow_computes_in_full_precision_and_takes_memory_as_it_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []
    config = SimpleNamespace(
        list_physical_devices=lambda kind: [f"{kind}:0", f"{kind}:1"],
        experimental=SimpleNamespace(
            enable_tensor_float_32_execution=lambda enabled: asked.append(("TF32", enabled)),
            set_memory_growth=lambda gpu, grows: asked.append((gpu, grows)),
        ),
    )
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    gpus.configure_tensorflow()
    assert asked == [("TF32", False), ("GPU:0", True), ("GPU:1", True)]


@pytest.mark.parametrize(
    ("devices", "expected"),
    [
        ([], 32),
        ([("CPU", 1 << 40)], 32),
        ([("CPU", 1), ("GPU", 6 << 30)], 64),
        ([("GPU", 80 << 30), ("GPU", 1 << 30)], 16),
    ],
)
def test_a_batch_is_what_the_smallest_gpu_holds(
    devices: list[tuple[str, int]], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [SimpleNamespace(device_type=kind, memory_limit=memory) for kind, memory in devices]
    client = SimpleNamespace(device_lib=SimpleNamespace(list_local_devices=lambda: listed))
    for name in ("tensorflow", "tensorflow.python"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "tensorflow.python.client", client)
    assert gpus.batch(32, 224 * 224) == expected


@pytest.mark.parametrize(
    ("memory", "images"),
    [(0, 1), (4 * gpus.IMAGE_BYTES - 1, 1), (4 * gpus.IMAGE_BYTES, 2), (1 << 30, 16), (6 << 30, 64), (1 << 40, 256)],
)
def test_a_batch_is_a_power_of_two_of_images_in_half_of_the_memory(memory: int, images: int) -> None:
    assert gpus.batch_for(memory, 224 * 224) == images


def test_of_larger_images_fewer_fit() -> None:
    assert [gpus.batch_for(6 << 30, size * size) for size in (224, 299, 384)] == [64, 32, 32]
