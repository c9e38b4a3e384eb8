"""Which GPU this process computes on, if any, and how many images fit on it at once. Only TensorFlow uses a GPU."""

from __future__ import annotations

import contextlib
import os
import sys

from imagefeatures.errors import SettingsError

MOST_AT_ONCE = 256
"""A larger batch takes more memory and is no faster: the GPU is fully used already."""

IMAGE_BYTES = 32 * 2**20
"""The memory for one image of IMAGE_PIXELS while it is computed: its two largest layers take 4.8 MB each in MobileNetV2
and 12.8 MB in VGG16; the rest is work space."""

IMAGE_PIXELS = 224 * 224

VISIBLE = "CUDA_VISIBLE_DEVICES"


def use_gpu(address: str | None) -> None:
    """Let this process see only one GPU. Call it before TensorFlow is imported; later calls must name the same GPU.

    address: as Spark gives it to a task, an index in the order of nvidia-smi or a UUID; None when Spark has no GPUs:
    nothing is changed. Raises SettingsError when this process computes on another GPU already.
    """
    if address is None or os.environ.get(VISIBLE) == address:
        return
    if "tensorflow" in sys.modules:  # TensorFlow reads the variable only when it starts
        raise SettingsError(
            f"spark.executor.resource.gpu.amount: must be 1; a Python worker was given GPU {address} "
            f"after it had computed with {VISIBLE}={os.environ.get(VISIBLE, '')}"
        )
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # nvidia-smi's order; CUDA's own puts the fastest first
    os.environ[VISIBLE] = address


def configure_tensorflow() -> None:
    """Configure TensorFlow before it uses a GPU: full float32 precision, and memory allocated only when needed."""
    import tensorflow as tf

    # TF32 keeps 10 bits of a float's 23: its vectors would not be the reference's.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # a program that has used it already has settled that
            tf.config.experimental.set_memory_growth(gpu, True)  # else it takes all memory at once


def batch(on_cpu: int, pixels: int) -> int:
    """How many images to compute at once. on_cpu: the answer without a GPU. pixels: of an image.

    Call it after TensorFlow has started.
    """
    from tensorflow.python.client import device_lib  # no public function tells how much memory TensorFlow may use

    memory = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return batch_for(min(memory), pixels) if memory else on_cpu


def batch_for(memory: int, pixels: int) -> int:
    """The largest power of two of images that take at most half of `memory`, in bytes; from 1 to MOST_AT_ONCE.

    >>> [batch_for(gigabytes * 2**30, 224 * 224) for gigabytes in (0, 1, 6, 80)]
    [1, 16, 64, 256]
    """
    fit = max(1, memory // 2 // (IMAGE_BYTES * pixels // IMAGE_PIXELS))
    return min(MOST_AT_ONCE, 1 << (fit.bit_length() - 1))
