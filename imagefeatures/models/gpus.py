"""Which GPU this process computes on, if any, and how many images it bears at once. Only TensorFlow uses one."""

from __future__ import annotations

import os
import sys

from imagefeatures.errors import SettingsError

MOST_AT_ONCE = 256
"""Above this a GPU is busy all the time anyway, and the batch only takes memory."""

IMAGE_BYTES = 32 * 2**20
"""What one image may take while it is computed: its two largest layers are 4.8 MB each, the rest is work space."""

VISIBLE = "CUDA_VISIBLE_DEVICES"


def use_gpu(address: str | None) -> None:
    """Let this process see one GPU alone: once, before TensorFlow is imported, and again for the same one only.

    address: as Spark gives it to a task, an index in the order of nvidia-smi or a UUID; None where Spark knows of no
    GPU, and then nothing is changed. Raises SettingsError when this process computes on another one already.
    """
    if address is None or os.environ.get(VISIBLE) == address:
        return
    if "tensorflow" in sys.modules:  # which GPUs it sees was settled when it started
        raise SettingsError(
            f"spark.executor.resource.gpu.amount: must be 1; a Python worker was given GPU {address} "
            f"after it had computed with {VISIBLE}={os.environ.get(VISIBLE, '')}"
        )
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # nvidia-smi's order; CUDA's own puts the fastest first
    os.environ[VISIBLE] = address


def configure_tensorflow() -> None:
    """Tell TensorFlow how to use GPUs, before it touches one: whole floats, and no memory before it is needed."""
    import tensorflow as tf

    # TF32 keeps 10 bits of a float's 23: its vectors would not be the reference's.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # or it takes all at once, and a neighbour finds none


def batch(on_cpu: int) -> int:
    """How many images to compute at once; on_cpu: where there is no GPU. Asked once TensorFlow holds its devices."""
    from tensorflow.python.client import device_lib  # nothing public tells the memory that it may use

    memory = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    return batch_for(min(memory)) if memory else on_cpu


def batch_for(memory: int) -> int:
    """The power of two of images that fill at most half of this many bytes; from 1 to MOST_AT_ONCE.

    >>> [batch_for(gigabytes * 2**30) for gigabytes in (0, 1, 6, 80)]
    [1, 16, 64, 256]
    """
    fit = max(1, memory // 2 // IMAGE_BYTES)
    return min(MOST_AT_ONCE, 1 << (fit.bit_length() - 1))
