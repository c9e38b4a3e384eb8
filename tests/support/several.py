"""Runs of several models in one process, with engines and a decoder that count what they are given."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imagefeatures import batches, isolation, local, read, storage
from imagefeatures.datasets import Dataset
from imagefeatures.layout import weights_record
from imagefeatures.limits import Limits
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.models.spec import ModelSpec
from imagefeatures.plan import Run, load_run, plan_run
from imagefeatures.preprocessing import PixelRule
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt
from imagefeatures.steps import FEATURIZE, RESIZE, featurize, register, resize
from imagefeatures.steps.register import Outcome
from imagefeatures.workers import ThisProcess
from support.shared import PARTITION, THIS_PROCESS

FIRST, SECOND, THIRD = "mobilenet_v2", "resnet50", "inception_v3"
"""The first two take pixels of the same size, the third larger ones."""


@dataclass
class Spies:
    """One engine for each model, and the decoder. A vector is made of its own pixels and of the model's name.

    computed: images by model. decoded: images in all. not_finite: of which model, the image with this mean colour.
    """

    computed: Counter[str] = field(default_factory=Counter)
    decoded: int = 0
    shapes: set[tuple[int, ...]] = field(default_factory=set)
    not_finite: tuple[str, int] | None = None

    def run_in_parts(
        self, blobs: Sequence[bytes], limits: Limits, preprocessing: PixelRule, most: int
    ) -> Iterator[batches.Batch]:
        self.decoded += len(blobs)
        self.shapes.add(preprocessing.shape)
        return isolation.decoder().run_in_parts(blobs, limits, preprocessing, most)

    def features(self, model: ModelSpec, pixels: np.ndarray) -> np.ndarray:
        assert len(pixels)
        self.computed[model.name] += len(pixels)
        own = 1 + zlib.crc32(model.name.encode()) % 100
        sums = pixels.reshape(len(pixels), -1, 3).sum(axis=1, dtype=np.int64) % (1 << 20)
        values = np.hstack([sums * own, sums + own]).astype(np.float32)
        vectors = np.tile(values, -(-model.width // values.shape[1]))[:, : model.width]
        if self.not_finite and self.not_finite[0] == model.name:
            vectors[np.round(pixels.mean(axis=(1, 2, 3))).astype(int) == self.not_finite[1], 3] = np.inf
        return vectors

    def work(self, run: Run, step: str, shard: int) -> Receipt:
        """For ThisProcess: one shard of one step."""
        if step == RESIZE:
            return resize.run_shard(run, shard, self)  # type: ignore[arg-type]
        if step == FEATURIZE:
            return featurize.run_shard(run, shard, *(_Engine(self, one.spec) for one in run.outputs if one.model))
        (receipt,) = THIS_PROCESS.run_shards(run, step, [shard])
        return receipt


@dataclass
class _Engine:
    spies: Spies
    model: ModelSpec

    def features(self, pixels: np.ndarray) -> np.ndarray:
        return self.spies.features(self.model, pixels)


def know_weights(lake: str, models: Sequence[str]) -> None:
    """Write into the lake a digest of the weights of each model by name, as if it had been used there."""
    for model in models:
        if BACKBONES[model].weights_sha256 is None:
            digest = f"{zlib.crc32(model.encode()):064x}"
            storage.write(weights_record(lake, model), json.dumps({"weights_sha256": digest}).encode())


@dataclass(frozen=True)
class Lake:
    """A dataset of a folder of photos, a folder a day, whose models may change."""

    settings: Settings
    photos: Path
    name: str = "photos"

    def dataset(self, *models: str, **fields: Any) -> Dataset:
        know_weights(self.settings.lake, models)
        given = {"name": self.name, "source": f"file://{self.photos}/{{partition}}/", **fields}
        return Dataset.model_validate(given | ({"models": list(models)} if len(models) > 1 else {"model": models[0]}))

    def planned(self, dataset: Dataset, partition: str = PARTITION, **params: Any) -> Run:
        given = RunParams.parse({"shard_images": 3, "max_rejected": 1, **params})
        return load_run(plan_run(dataset, given, partition, self.settings))

    def ready(self, spies: Spies, *models: str, partition: str = PARTITION, **fields: Any) -> Run:
        """A run with all steps done, ready to register."""
        run = self.planned(self.dataset(*models, **fields), partition)
        local.run_steps(run, ThisProcess(partial(_call, spies)))
        return run

    def published(self, *models: str, partition: str = PARTITION, spies: Spies | None = None, **given: Any) -> Outcome:
        run = self.ready(spies or Spies(), *models, partition=partition, **given)
        return register.register(run.layout.run_file, self.settings)

    def rows(self, table: str, partition: str = PARTITION) -> dict[str, dict[str, Any]]:
        """The rows of a partition by the name of the photo, without what differs from run to run."""
        rows = read.table(self.settings, table, partitions=(partition,)).to_pylist()
        return {Path(row.pop("uri")).name: row | {"run_id": None, "etag": None} for row in rows}

    def run_ids(self, table: str, partition: str = PARTITION) -> set[str]:
        return set(read.table(self.settings, table, partitions=(partition,))["run_id"].to_pylist())


def _call(spies: Spies, run: Run, step: str, shard: int) -> Receipt:
    return spies.work(run, step, shard)
