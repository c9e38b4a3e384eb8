"""A whole run for a model with another input and another width than the default: nothing else assumes either."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imagefeatures import local, read, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.layout import weights_record
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.photos import fill, jpeg
from support.shared import MakeRun

MODEL = BACKBONES["inception_v3"]
PHOTOS = {f"{'red' if at % 2 else 'green'}/{at}.jpg": jpeg(at, 64 + at, 48) for at in range(6)}


class Engine:
    """Its vectors are the mean colour, repeated. shapes: of the pixels that it was given."""

    def __init__(self, width: int) -> None:
        self.width, self.shapes = width, []

    def features(self, pixels: np.ndarray) -> np.ndarray:
        self.shapes.append(pixels.shape)
        return np.resize(pixels.mean(axis=(1, 2)), (len(pixels), self.width)).astype(np.float32)


@pytest.fixture
def photos(tmp_path: Path, settings: Settings) -> Path:
    """A folder of photos; and the lake knows the model's weights."""
    storage.write(weights_record(settings.lake, MODEL.name), json.dumps({"weights_sha256": "1" * 64}).encode())
    return fill(tmp_path / "photos", PHOTOS)


def test_pixels_of_299_and_vectors_of_2048_go_all_the_way_and_are_reused(
    photos: Path, make_run: MakeRun, settings: Settings
) -> None:
    engine, again = Engine(MODEL.width), Engine(MODEL.width)
    for used in (engine, again):
        run = make_run(photos, {"shard_images": 4}, model=MODEL.name)
        local.run_steps(run, ThisProcess(StepRunner(used)))
        register.register(run.layout.run_file, settings)
    assert engine.shapes == [(4, 299, 299, 3), (2, 299, 299, 3)]
    assert again.shapes == []  # all vectors are the table's
    rows = read.table(settings, "photos")
    assert read.vectors(rows).shape == (6, 2048)
    assert set(rows["fingerprint"].to_pylist()) == {run.fingerprint}
    assert set(rows["model"].to_pylist()) == {"inception_v3"}


def test_an_engine_of_the_default_width_is_found_by_the_audit(
    photos: Path, make_run: MakeRun, settings: Settings
) -> None:
    run = make_run(photos, model=MODEL.name)
    local.run_steps(run, ThisProcess(StepRunner(Engine(1280))))
    with pytest.raises(AuditFailed, match="not every vector has 2048 values"):
        register.register(run.layout.run_file, settings)
