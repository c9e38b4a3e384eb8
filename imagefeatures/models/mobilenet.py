"""MobileNetV2 in OpenVINO's own operators, from its weights alone.

To import TensorFlow and to convert from it takes fifteen seconds, and everybody's first run would wait for that. The
graph is that of the paper (Sandler et al., 2018, arXiv:1801.04381, table 2) with the padding and the names of
keras.applications. Whether its numbers are right is not believed: the golden vectors say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from imagefeatures.models.spec import WHOLE

if TYPE_CHECKING:
    from imagefeatures.models.hdf5 import Arrays
    from imagefeatures.models.spec import ModelSpec

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, number of blocks, stride of the first block."""

EPSILON = 1e-3
"""Of the batch normalizations."""


def is_of(spec: ModelSpec) -> bool:
    """Whether `graph` makes this model."""
    backbone = spec.architecture == "MobileNetV2" and spec.format == "keras-applications"
    return backbone and spec.cut == WHOLE and spec.pooling in ("avg", "max")


def graph(arrays: Arrays, spec: ModelSpec) -> Any:
    """An openvino.Model: float32 [1, height, width, 3], scaled, to float32 [1, 1280].

    arrays: of the Keras file, by layer. Raises KeyError, ValueError or RuntimeError when they are not MobileNetV2's.
    """
    import openvino as ov
    from openvino import opset13 as ops

    image = ops.parameter([1, *spec.input_shape], ov.Type.f32, name="input")
    state = ops.transpose(image, np.array([0, 3, 1, 2], np.int64))
    state = ops.clamp(_convolution(state, arrays, "Conv1", "bn_Conv1", 2), 0.0, 6.0)
    number, channels = 0, 32
    for expansion, width, blocks, first_stride in STAGES:
        for block in range(blocks):
            name = f"block_{number}" if number else "expanded_conv"
            stride, before = (first_stride if block == 0 else 1), state
            if expansion > 1:
                expanded = _convolution(state, arrays, f"{name}_expand", f"{name}_expand_BN", 1)
                state = ops.clamp(expanded, 0.0, 6.0)
            deep = _convolution(state, arrays, f"{name}_depthwise", f"{name}_depthwise_BN", stride)
            state = ops.clamp(deep, 0.0, 6.0)
            state = _convolution(state, arrays, f"{name}_project", f"{name}_project_BN", 1)
            if stride == 1 and width == channels:
                state = ops.add(before, state)
            number, channels = number + 1, width
    state = ops.clamp(_convolution(state, arrays, "Conv_1", "Conv_1_bn", 1), 0.0, 6.0)
    pooled = ops.reduce_mean if spec.pooling == "avg" else ops.reduce_max
    return ov.Model([pooled(state, np.array([2, 3], np.int64), keep_dims=False)], [image], spec.name)


def _convolution(state: Any, arrays: Arrays, name: str, normalization: str, stride: int) -> Any:
    """A convolution with the batch normalization after it, as one convolution and a bias."""
    from openvino import opset13 as ops

    (kernel,) = arrays[name]
    gamma, beta, mean, variance = arrays[normalization]
    factor = gamma / np.sqrt(variance + np.float32(EPSILON))
    depthwise = name.endswith("depthwise")
    if depthwise:  # [height, width, channels, 1] to [channels, 1, 1, height, width]
        weights = (kernel[..., 0] * factor).transpose(2, 0, 1)[:, None, None]
    else:  # [height, width, inputs, outputs] to [outputs, inputs, height, width]
        weights = (kernel * factor).transpose(3, 2, 0, 1)
    # "same", as Keras pads: at a stride of 2 an even side is padded at its end alone.
    side = weights.shape[-1]
    pads = [0, 0], [0, 0]
    if side == 3:
        height, width = state.shape[2:]
        pads = [int(stride == 1 or height % 2), int(stride == 1 or width % 2)], [1, 1]
    convolve = ops.group_convolution if depthwise else ops.convolution
    product = convolve(state, np.ascontiguousarray(weights, np.float32), [stride] * 2, *pads, [1, 1])
    return ops.add(product, (beta - mean * factor).astype(np.float32)[None, :, None, None])
