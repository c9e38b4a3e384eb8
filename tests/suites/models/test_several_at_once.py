"""Two models in one run of the real engines: the vectors of each are those of a run of it alone, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.seeded_models import write_weights
from imagefeatures import read
from imagefeatures.datasets import Dataset
from imagefeatures.local import run_partition
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.weights import cache_file
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.photos import fill, jpeg, real_photos
from support.shared import PARTITION

PAIRS = (("mobilenet", "mobilenet_v3_small"), ("mobilenet_v3_small", "efficientnet_b1"))
"""Of one size of pixels, and of two."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with seeded weights."""
    folder = tmp_path_factory.mktemp("cache")
    for name in {name for pair in PAIRS for name in pair}:
        file = cache_file(BACKBONES[name], folder)
        file.parent.mkdir(exist_ok=True)
        write_weights(BACKBONES[name], file)
    return folder


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
@pytest.mark.parametrize("workers", [1, 2])
def test_the_vectors_of_each_model_are_those_of_a_run_of_it_alone(
    pair: tuple[str, str], workers: int, cache: Path, settings: Settings, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    # The weights are seeded, so they are not those whose digest the package knows of the official files.
    for name in pair:
        monkeypatch.setitem(BACKBONES, name, BACKBONES[name].model_copy(update={"weights_hash": None}))
    settings = replace(settings, cache=cache)
    drawn = {f"{at}.jpg": jpeg(at, 200 + at, 150) for at in range(10)}
    photos = fill(tmp_path / "photos", drawn | {path.name: path.read_bytes() for path in real_photos()})
    source = {"source": f"file://{photos}/", "label": "none"}
    tables = {"both": pair, **{f"only_{name}": (name,) for name in pair}}
    for name, models in tables.items():
        dataset = Dataset.model_validate(source | {"name": name, "models": list(models)})
        run_partition(dataset, RunParams(shard_images=4), settings, PARTITION, workers=workers)
    for name in pair:
        both, alone = (read.open(at, model=name, settings=settings).to_numpy() for at in ("both", f"only_{name}"))
        assert both.uris.tolist() == alone.uris.tolist()
        assert np.array_equal(both.features.view(np.uint32), alone.features.view(np.uint32))
        assert both.features.std(axis=0).max() > 0.05
