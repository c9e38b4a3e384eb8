"""The models by name. A dataset file's `model:` is one of them."""

from __future__ import annotations

from typing import Literal

from imagefeatures.models.spec import ModelSpec

DEFAULT = "mobilenet_v2"

_KERNELS = "_weights_tf_dim_ordering_tf_kernels_notop.h5"
_FLOAT = "_224_1.0_float_no_top_v2.h5"

_Row = tuple[str, str, int, Literal["tf", "torch", "caffe", "none"], int, str, str | None]
"""Name; class of keras.applications; height and width of the input; how values are scaled; length of a vector; the
Keras project's file without the classifier, relative to weights.KERAS_HOST; its digest as Keras has it, or None."""

# fmt: off
_ROWS: tuple[_Row, ...] = (
    ("mobilenet", "MobileNet", 224, "tf", 1024, "mobilenet/mobilenet_1_0_224_tf_no_top.h5", None),
    ("mobilenet_v2", "MobileNetV2", 224, "tf", 1280,
     "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5", None),
    ("mobilenet_v3_small", "MobileNetV3Small", 224, "none", 576,
     f"mobilenet_v3/weights_mobilenet_v3_small{_FLOAT}", "d3e8ec802a04aa4fc771ee12a9a9b836"),
    ("mobilenet_v3_large", "MobileNetV3Large", 224, "none", 960,
     f"mobilenet_v3/weights_mobilenet_v3_large{_FLOAT}", "07fb09a5933dd0c8eaafa16978110389"),
    ("efficientnet_b0", "EfficientNetB0", 224, "none", 1280,
     "/keras-applications/efficientnetb0_notop.h5", "50bc09e76180e00e4465e1a485ddc09d"),
    ("efficientnet_b1", "EfficientNetB1", 240, "none", 1280,
     "/keras-applications/efficientnetb1_notop.h5", "74c4e6b3e1f6a1eea24c589628592432"),
    ("efficientnet_b2", "EfficientNetB2", 260, "none", 1408,
     "/keras-applications/efficientnetb2_notop.h5", "111f8e2ac8aa800a7a99e3239f7bfb39"),
    ("efficientnet_b3", "EfficientNetB3", 300, "none", 1536,
     "/keras-applications/efficientnetb3_notop.h5", "af6d107764bb5b1abb91932881670226"),
    ("efficientnet_v2_b0", "EfficientNetV2B0", 224, "none", 1280,
     "efficientnet_v2/efficientnetv2-b0_notop.h5", "893217f2bb855e2983157299931e43ff"),
    ("efficientnet_v2_s", "EfficientNetV2S", 384, "none", 1280,
     "efficientnet_v2/efficientnetv2-s_notop.h5", "af0682fb74e8c54910f2d4393339c070"),
    ("resnet50", "ResNet50", 224, "caffe", 2048, f"resnet/resnet50{_KERNELS}", "4d473c1dd8becc155b73f8504c6f6626"),
    ("resnet101", "ResNet101", 224, "caffe", 2048, f"resnet/resnet101{_KERNELS}", "88cf7a10940856eca736dc7b7e228a21"),
    ("resnet50_v2", "ResNet50V2", 224, "tf", 2048, f"resnet/resnet50v2{_KERNELS}", "fac2f116257151a9d068a22e544a4917"),
    ("densenet121", "DenseNet121", 224, "torch", 1024,
     f"densenet/densenet121{_KERNELS}", "30ee3e1110167f948a6b9946edeeb738"),
    ("vgg16", "VGG16", 224, "caffe", 512, f"vgg16/vgg16{_KERNELS}", "6d6bbae143d832006294945121d1f1fc"),
    ("vgg19", "VGG19", 224, "caffe", 512, f"vgg19/vgg19{_KERNELS}", "253f8cb515780f3b799900260a226db6"),
    ("inception_v3", "InceptionV3", 299, "tf", 2048,
     f"inception_v3/inception_v3{_KERNELS}", "bcbd6486424b2319ff4ef7d526e38f63"),
    ("xception", "Xception", 299, "tf", 2048, f"xception/xception{_KERNELS}", "b0042744bf5b25fce3cb969f33bebb97"),
    ("nasnet_mobile", "NASNetMobile", 224, "tf", 1056,
     "nasnet/NASNet-mobile-no-top.h5", "1ed92395b5b598bdda52abe5c0dbfd63"),
    ("convnext_tiny", "ConvNeXtTiny", 224, "none", 768, "convnext/convnext_tiny_notop.h5",
     "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1"),
)
# fmt: on

_KNOWN = {
    DEFAULT: {
        "weights_sha256": "c009b1f1262c1f55420ed4f95d0f338acb97548930c6f6c8f3383b79544088a8",
        "last_layer": "Conv_1_bn",  # the file that holds these arrays has a detector after them
    }
}
"""What is known of a model's arrays besides. The digest of the others' is taken at first use: `pinning`."""

BACKBONES = {
    name: ModelSpec(
        name=name,
        architecture=architecture,
        input_shape=(size, size, 3),
        scale=scale,
        width=width,
        weights=weights,
        weights_hash=weights_hash,
    ).model_copy(update=_KNOWN.get(name, {}))
    for name, architecture, size, scale, width, weights, weights_hash in _ROWS
}


def planned_as(name: str, spec: ModelSpec) -> bool:
    """Whether plan can have made the spec for the model of that name: only a digest taken at first use may differ."""
    known = BACKBONES[name]
    return spec == (known if known.weights_sha256 else known.model_copy(update={"weights_sha256": spec.weights_sha256}))
