"""`python -m benchmarks.probe`: a linear probe on the demo's photos for each real model that is at hand.

It prints the rows of the table in docs/models.md. Every model gets its photos by the default chain.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import own_models, photos
from benchmarks.chains import decoded, predicted
from imagefeatures import images
from imagefeatures.models import engines, prepare
from imagefeatures.models.backbones import BACKBONES, DEFAULT
from imagefeatures.models.own.declared import OwnModel
from imagefeatures.models.own.resolve import resolve
from imagefeatures.models.spec import ModelSpec
from imagefeatures.settings import Settings

MODELS = {
    "mobilenet_v2": "`mobilenet_v2` (the default)",
    "with_head": "MobileNetV2 from an `.h5` with its head",
    "open_nsfw": "Open NSFW (ResNet50, thin), `.onnx`",
    "hed_vgg16": "VGG16 of HED, `.weights.h5`",
}


def main() -> None:
    settings = Settings.from_env()
    images.configure_pillow()
    labelled = photos.read_demo_photos(settings.cache)
    labels = np.array([label for label, _ in labelled])
    oblong = np.array([width != height for width, height in (Image.open(io.BytesIO(d)).size for _, d in labelled)])
    pixels = None
    for name in sys.argv[1:] or MODELS:
        with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
            spec = spec_of(name, settings.cache, Path(folder))
            cache = settings.cache if name == DEFAULT else Path(folder)  # others are not kept
            prepare.prepare(spec, spec.preprocessing, f"file://{folder}", cache)
            engine = engines.load("openvino", prepare.read_bundle(spec, spec.preprocessing, f"file://{folder}"))
        if pixels is None:  # all of them take 224 × 224
            pixels, _ = decoded([data for _, data in labelled], spec.preprocessing)
        started = time.process_time()
        vectors = np.concatenate([engine.features(pixels[first : first + 64]) for first in range(0, len(pixels), 64)])
        seconds = time.process_time() - started
        right = predicted(lambda rows: rows, vectors, labels) == labels
        print(
            f"| {MODELS[name]} | {spec.width} | {right.mean():.3f} | {right[oblong].mean():.3f} "
            f"| {len(pixels) / seconds:.1f} |",
            flush=True,
        )


def spec_of(name: str, cache: Path, folder: Path) -> ModelSpec:
    """The model, as plan settles it."""
    if name == DEFAULT:
        return BACKBONES[DEFAULT]
    own = own_models.OWN[name](cache, folder)
    return resolve(OwnModel.model_validate(own.fields), f"file://{folder}", cache)


if __name__ == "__main__":
    main()
