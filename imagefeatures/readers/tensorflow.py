"""A stream of batches as a tf.data.Dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagefeatures.readers.stream import Arrays, Stream

if TYPE_CHECKING:
    import tensorflow as tf


def dataset(stream: Stream, rows: int) -> tf.data.Dataset:
    """See `Features.to_tf`. rows: of the whole stream."""
    import tensorflow as tf

    passes = itertools.count()

    def batches() -> Iterator[Arrays]:
        return stream.batches(next(passes))  # views as they are: copying them costs a fifth of an epoch

    signature = (
        tf.TensorSpec((None, *stream.values.shape), tf.as_dtype(stream.values.dtype)),
        tf.TensorSpec((None,), tf.int64),
    )
    whole = tf.data.Dataset.from_generator(batches, output_signature=signature)
    # Whole batches: tf.data's own shuffling handles every row by itself, at a fifth of the speed.
    counted = whole.apply(tf.data.experimental.assert_cardinality(-(-rows // stream.batch)))
    return counted.prefetch(2)  # files are read while the last batch is used
