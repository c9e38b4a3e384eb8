"""`python -m benchmarks.chains`: a linear probe on the demo's photos for each chain of docs/preprocessing.md.

It prints the rows of the table there, and draws one photo through each transform: docs/images/chains.jpg.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import photos
from benchmarks.model import MODEL, prepare_model, read_bundle
from imagefeatures import images
from imagefeatures.datasets import Dataset
from imagefeatures.limits import Limits
from imagefeatures.models import engines
from imagefeatures.outputs import settled_preprocessing
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.settings import REPOSITORY, Settings

SIDE, EDGE = MODEL.input_shape[0], MODEL.input_shape[0] * 8 // 7
SIZE = {"size": [SIDE, SIDE]}

CHAINS: dict[str, list[Any]] = {
    "stretch (the default)": [{"resize": SIZE}],
    f"shortest edge {EDGE}, middle {SIDE}": [{"resize": {"shortest_edge": EDGE}}, {"center_crop": SIZE}],
    "letterbox": [{"resize": {"longest_edge": SIDE}}, {"pad": SIZE}],
    "grayscale": [{"resize": SIZE}, "grayscale"],
}

PICTURES: dict[str, list[Any]] = {
    "resize: size": [{"resize": SIZE}],
    "resize: shortest_edge,\ncenter_crop": CHAINS[f"shortest edge {EDGE}, middle {SIDE}"],
    "resize: longest_edge,\npad": [{"resize": {"longest_edge": SIDE}}, {"pad": {**SIZE, "fill": [124, 116, 104]}}],
    "crop": [{"crop": {"x": 60, "y": 120, "width": SIDE, "height": SIDE}}],
    "resize: size, nearest": [
        {"resize": {"size": [16, 16], "interpolation": "nearest"}},
        {"resize": {**SIZE, "interpolation": "nearest"}},
    ],
    "grayscale": ["grayscale", {"resize": SIZE}],
    "flip: horizontal": ["flip", {"resize": SIZE}],
    "flip: vertical": [{"flip": {"direction": "vertical"}}, {"resize": SIZE}],
}
PICTURE = REPOSITORY / "docs" / "images" / "chains.jpg"
MARGIN, TEXT = 12, 32


def main() -> None:
    settings = Settings.from_env()
    images.configure_pillow()
    labelled = photos.read_demo_photos(settings.cache)
    draw(next(data for _, data in labelled if Image.open(io.BytesIO(data)).size == (348, 464)), PICTURE)
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as folder:
        own = Settings.from_env({"IMAGEFEATURES_LAKE": f"file://{folder}", "IMAGEFEATURES_CACHE": str(settings.cache)})
        prepare_model(own)
        engine = engines.load("openvino", read_bundle(own.lake))
    labels = np.array([label for label, _ in labelled])
    oblong = np.array([width != height for width, height in (Image.open(io.BytesIO(d)).size for _, d in labelled)])
    print(f"{len(labelled):,} photos, of which {oblong.sum():,} are not square")
    for name, preprocess in CHAINS.items():
        pixels, milliseconds = decoded([data for _, data in labelled], chain_of(preprocess))
        right = predicted(engine.features, pixels, labels) == labels
        print(f"| {name} | {right.mean():.3f} | {right[oblong].mean():.3f} | {milliseconds:.2f} |")


def chain_of(preprocess: list[Any]) -> Preprocessing:
    dataset = Dataset.model_validate({"name": "chains", "source": "s3://none/", "preprocess": preprocess})
    return settled_preprocessing(dataset, MODEL)


def decoded(blobs: list[bytes], chain: Preprocessing) -> tuple[np.ndarray, float]:
    """uint8 [n, height, width, channels], and the milliseconds of processor time for one photo."""
    started = time.process_time()
    pixels = np.stack([images.decode(data, Limits(), chain).pixels for data in blobs])
    return pixels, (time.process_time() - started) * 1000 / len(blobs)


def predicted(features: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a linear probe takes each photo for, taught on four fifths of the others."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    vectors = np.concatenate([features(pixels[first : first + 64]) for first in range(0, len(pixels), 64)])
    probe = make_pipeline(StandardScaler(), RidgeClassifier(alpha=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    found: np.ndarray = cross_val_predict(probe, vectors, labels, cv=folds)
    return found


def draw(data: bytes, target: Path) -> None:
    """One photo as it is, and through each of PICTURES, in rows of three."""
    with Image.open(io.BytesIO(data)) as photo:
        whole = photo.convert("RGB").resize((photo.width * SIDE // photo.height, SIDE), Image.Resampling.LANCZOS)
    shown = {"the photo": whole}
    for title, preprocess in PICTURES.items():
        shown[title] = Image.fromarray(images.decode(data, Limits(), chain_of(preprocess)).pixels)
    canvas = Image.new("RGB", (MARGIN + 3 * (SIDE + MARGIN), MARGIN + 3 * (SIDE + TEXT + MARGIN)), "white")
    pen = ImageDraw.Draw(canvas)
    for at, (title, picture) in enumerate(shown.items()):
        x, y = MARGIN + at % 3 * (SIDE + MARGIN), MARGIN + at // 3 * (SIDE + TEXT + MARGIN)
        pen.multiline_text((x, y), title, fill="black", spacing=2)
        canvas.paste(picture, (x, y + TEXT))
    canvas.save(target, quality=85)


if __name__ == "__main__":
    main()
