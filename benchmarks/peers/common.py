"""The code that all peers share: the pipeline's engine and preprocessing, and the report.

It must run in environments that have only NumPy, Pillow, OpenVINO and Pydantic.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from imagefeatures.models import reference
from imagefeatures.models.engines import Engine
from imagefeatures.models.engines.openvino import OpenVino

SIZE = (224, 224)


@dataclass(frozen=True)
class Request:
    """The arguments of a peer."""

    photos: Path
    model: Path
    out: Path
    cores: int
    report: Path

    @classmethod
    def from_arguments(cls) -> Request:
        photos, model, out, cores, report = sys.argv[1:]
        return cls(Path(photos), Path(model), Path(out), int(cores), Path(report))


def open_engine(folder: Path) -> Engine:
    """Our own OpenVINO engine, with our settings: float32, one thread, one image at a time; proven as we prove it."""
    engine = OpenVino(*((folder / name).read_bytes() for name in ("model.xml", "model.bin")))
    golden = engine.features(reference.golden_pixels((*SIZE, 3)))
    reference.check_parity("openvino", golden, np.load(folder / "golden.npy", allow_pickle=False))
    return engine


def decoded(data: bytes) -> np.ndarray:
    """An image file's bytes to uint8 [224, 224, 3], RGB, upright, as imagefeatures.images does it for a plain photo."""
    with Image.open(io.BytesIO(data)) as image:
        ImageOps.exif_transpose(image, in_place=True)  # which copies nothing where EXIF turns nothing
        return np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC))


def timed(request: Request, query: Callable[[], None], packages: tuple[str, ...]) -> None:
    """Run the query. Report its seconds, from its first line to the Parquet files, and the packages' versions."""
    start = time.perf_counter()
    query()
    seconds = time.perf_counter() - start
    versions = {package: version(package) for package in packages}
    request.report.write_text(json.dumps({"seconds": seconds, "versions": versions}))
