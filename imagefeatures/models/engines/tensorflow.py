"""Keras on TensorFlow: the reference's own runtime, on a GPU if it sees one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from imagefeatures.models import gpus, reference

if TYPE_CHECKING:
    from imagefeatures.models.engines import Bundle
    from imagefeatures.models.hdf5 import Arrays
    from imagefeatures.models.spec import ModelSpec

WEIGHTS = "weights.npz"
BATCH = 32
"""Images at once on a CPU."""


def export(model: Any, spec: ModelSpec) -> dict[str, bytes]:
    """The Keras model's arrays, named "<layer>/<position>", in layer order."""
    return as_file({layer.name: [v.numpy() for v in reference.variables(layer)] for layer in reference.weighted(model)})


def as_file(arrays: Arrays) -> dict[str, bytes]:
    """A backbone's arrays, by layer, as the engine's file."""
    sink = io.BytesIO()
    named: dict[str, Any] = {
        f"{layer}/{index}": array for layer, own in arrays.items() for index, array in enumerate(own)
    }
    np.savez(sink, **named)
    return {WEIGHTS: sink.getvalue()}


def load(bundle: Bundle) -> TensorFlow:
    """Build the model from its arrays. No code from a file is executed."""
    if bundle.spec.format != "keras-applications":
        from imagefeatures.models.own import keras_graph

        return TensorFlow(keras_graph.load_cut(bundle.files[keras_graph.CUT_FILE]), bundle.spec)
    with np.load(io.BytesIO(bundle.files[WEIGHTS]), allow_pickle=False) as stored:
        arrays: dict[str, list[np.ndarray]] = {}
        for name in stored.files:
            arrays.setdefault(name.rpartition("/")[0], []).append(stored[name])
    return TensorFlow(reference.build(bundle.spec, arrays), bundle.spec)


class TensorFlow:
    """A Keras model, compiled once for a fixed batch (`predict` in a loop retraces and leaks).

    On a GPU the batch is sized to the memory. A batch that does not fit is halved, for all later batches too; vectors
    computed before are kept. Raises TensorFlow's ResourceExhaustedError when a single image does not fit.
    """

    def __init__(self, model: Any, spec: ModelSpec) -> None:
        import tensorflow as tf

        scale = spec.value_scale
        mean, std = np.array(scale.mean), np.array(scale.std)

        def run(pixels: Any) -> Any:
            values = pixels[..., ::-1] if scale.order == "bgr" else pixels
            values = tf.cast(values, tf.float32) / np.float32(std) - np.float32(mean / std)  # as reference.scaled
            return model(values, training=False)

        self._exhausted = tf.errors.ResourceExhaustedError
        # Pixels are scaled there: as bytes they take a quarter of the way to a GPU. Compiled again for a smaller batch.
        self._run = tf.function(run)
        self._width = model.output_shape[1]
        self.batch = gpus.batch(BATCH, spec.input_shape[0] * spec.input_shape[1])

    def features(self, pixels: np.ndarray) -> np.ndarray:
        vectors = np.empty((len(pixels), self._width), np.float32)
        index = 0
        while index < len(pixels):
            part = pixels[index : index + self.batch]
            try:
                vectors[index : index + len(part)] = self._vectors(part)
            except self._exhausted:
                if self.batch == 1:
                    raise
                self.batch //= 2
            else:
                index += len(part)
        return vectors

    def _vectors(self, part: np.ndarray) -> np.ndarray:
        """part: at most a batch of pixels. It is filled up with zeros, so that all batches have one compiled shape."""
        padded = np.zeros((self.batch, *part.shape[1:]), part.dtype)
        padded[: len(part)] = part
        vectors: np.ndarray = self._run(padded).numpy()
        return vectors[: len(part)]
