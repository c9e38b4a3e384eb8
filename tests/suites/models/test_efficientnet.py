"""EfficientNet's own scaling: in the graph, with arrays of the file, and with a layer that Keras adds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.seeded_models import vectors_of_keras, write_weights
from imagefeatures.models import reference
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.engines import openvino
from imagefeatures.models.weights import cache_file, load_weights


def test_efficientnet_has_its_normalization_and_the_layer_that_keras_adds(tmp_path: Path) -> None:
    spec = BACKBONES["efficientnet_b0"].model_copy(update={"input_shape": (64, 64, 3), "weights_hash": None})
    cache_file(spec, tmp_path).parent.mkdir()
    write_weights(spec, cache_file(spec, tmp_path))
    pixels, weights = reference.golden_pixels(spec.input_shape), load_weights(spec, tmp_path)
    expected = vectors_of_keras(spec, cache_file(spec, tmp_path), pixels)
    model = reference.build(spec, reference.as_in_imagenet(spec, weights))
    files = openvino.export(model, spec)
    engine = openvino.OpenVino(files[openvino.XML], files[openvino.BIN])
    reference.check_parity("openvino", engine.features(pixels), expected)
    model.layers[2].adapt_variance.assign(weights["normalization"][1])  # without the layer
    model.layers[2].finalize_state()
    found = model(reference.scaled(pixels, spec.value_scale), training=False).numpy()
    assert np.abs(found - expected).max() > 0.01
