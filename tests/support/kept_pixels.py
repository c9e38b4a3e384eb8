"""Photos whose pixels are kept: planned runs of them, what is published, and what must be in the tables."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from imagefeatures import bicubic, images, local, read
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess
from support.photos import jpeg
from support.shared import THIS_PROCESS, MakeRun

PHOTOS = {f"{'red' if at % 2 else 'green'}/{at}.jpg": jpeg(at) for at in range(8)}
ODD = {"red/empty.jpg": b"", "red/text.jpg": b"no picture"}
KEPT = {"pixels": "keep"}
ALONE = {"pixels": "keep", "features": "none"}


def maker(make_run: MakeRun, photos: Path) -> Callable[..., Run]:
    """make(**fields): a planned run of the photos, a few in each shard."""

    def make(params: dict[str, Any] | None = None, **fields: Any) -> Run:
        return make_run(photos, {"shard_images": 3} | (params or {}), **{"limits": {"max_rejected": 0.5}} | fields)

    return make


def publish(run: Run, settings: Settings, work: StepRunner | None = None) -> register.Outcome:
    local.run_steps(run, ThisProcess(work) if work else THIS_PROCESS)
    return register.register(run.layout.run_file, settings)


def truth(photos: Path) -> dict[str, np.ndarray]:
    """The pixels of each good photo by URI: what the default chain makes of it in this process."""
    found = {}
    for name, data in PHOTOS.items():
        picture = images.to_rgb(Image.open(BytesIO(data)))
        found[f"file://{photos}/{name}"] = bicubic.resized(picture, 224, 224)
    return found


def held(settings: Settings) -> set[frozenset[str]]:
    """The run ids in each table of the partition."""
    found = [set(read.table(settings, "photos", what=what)["run_id"].to_pylist()) for what in ("features", "pixels")]
    found += [set(read.table(settings, name)["run_id"].to_pylist()) for name in ("quarantine", "runs")]
    return {frozenset(of_table) for of_table in found}
