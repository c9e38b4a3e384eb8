"""The models by name. A dataset file's `model:` is one of them."""

from __future__ import annotations

from imagefeatures.models.spec import ModelSpec

BACKBONES = {
    spec.name: spec
    for spec in (
        ModelSpec(
            name="mobilenet_v2",
            architecture="MobileNetV2",
            input_shape=(224, 224, 3),
            scale="tf",
            cut="global average pooling",
            width=1280,
            weights="mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            weights_sha256="c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8",
            last_layer="Conv_1_bn",
        ),
    )
}

DEFAULT = "mobilenet_v2"
