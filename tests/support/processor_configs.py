"""`preprocessor_config.json` files, in the shapes that the documentation of transformers describes."""

from __future__ import annotations

HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CLIP = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True,
    "do_rescale": True, "do_resize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "CLIPImageProcessor", "image_std": [0.26862954, 0.26130258, 0.27577711],
    "processor_class": "CLIPProcessor", "resample": 3, "rescale_factor": 0.00392156862745098,
    "size": {"shortest_edge": 224},
}  # fmt: skip
OLD_CLIP = {
    "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": CLIP["image_mean"],
    "image_std": CLIP["image_std"], "resample": 3, "size": 224,
}  # fmt: skip
VIT = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, **HALF, "image_processor_type": "ViTImageProcessor",
    "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224},
}  # fmt: skip
RESNET = {
    "crop_pct": 0.875, "do_normalize": True, "do_resize": True, "feature_extractor_type": "ConvNextFeatureExtractor",
    **IMAGENET, "resample": 3, "size": 224,
}  # fmt: skip
CONVNEXT_384 = {
    "crop_pct": None, "do_normalize": True, "do_rescale": True, "do_resize": True, **IMAGENET,
    "image_processor_type": "ConvNextImageProcessor", "resample": 3, "size": {"shortest_edge": 384},
}  # fmt: skip
MOBILENET = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_normalize": True, "do_rescale": True,
    "do_resize": True, **HALF, "image_processor_type": "MobileNetV2ImageProcessor", "resample": 2,
    "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256},
}  # fmt: skip
CONFIGS = {
    "clip": CLIP,
    "old clip": OLD_CLIP,
    "vit": VIT,
    "resnet": RESNET,
    "convnext": CONVNEXT_384,
    "mobilenet": MOBILENET,
}
