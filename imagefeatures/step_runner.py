"""The work of a local run's workers: one shard of one step. And the model for it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from imagefeatures.isolation import Isolated
from imagefeatures.models import engines
from imagefeatures.models.engines import Engine
from imagefeatures.models.prepare import prepare, read_bundle
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.outputs import Output
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt
from imagefeatures.steps import INGEST, RESIZE, VALIDATE, featurize, ingest, resize, validate


@dataclass(frozen=True)
class StepRunner:
    """Does one shard of one step with the step's own `run_shard`.

    engine: in place of the one that the dataset names, for all models. decoder: in place of this process's own; a
    decoder cannot be passed to other processes.
    """

    engine: Engine | None = None
    decoder: Isolated | None = None

    def __call__(self, run: Run, step: str, shard: int) -> Receipt:
        if step == INGEST:
            return ingest.run_shard(run, shard)
        if step == VALIDATE:
            return validate.run_shard(run, shard)
        if step == RESIZE:
            return resize.run_shard(run, shard, self.decoder)
        return featurize.run_shard(run, shard, *(self._engine(run, output) for output in run.outputs if output.model))

    def _engine(self, run: Run, output: Output) -> Engine:
        return self.engine or engines.LazyEngine(lambda: _engine_of(run, output))


# The models: a local run prepares and loads them only by these functions.


def prepare_model(run: Run, settings: Settings) -> None:
    """Make sure that the lake holds the run's models, verified. The first time takes about ten seconds a fingerprint.

    Standard error is closed meanwhile: TensorFlow writes banners to it without Python's logging.
    """
    with _standard_error_closed():
        for output in run.models:
            prepare(output.spec, output.preprocessing, run.lake, settings.cache, run.dataset.engine)


_engines: dict[tuple[str, str, str | ServedEngine], Engine] = {}


def _engine_of(run: Run, output: Output | None = None) -> Engine:
    """The engine of an output, by default the first, loaded once in this process.

    A shard of reused vectors does not need it.
    """
    output = output or run.outputs[0]
    key = (run.lake, output.fingerprint, run.dataset.engine)
    if key not in _engines:
        _engines[key] = engines.cached(run.dataset.engine, read_bundle(output.spec, output.preprocessing, run.lake))
    return _engines[key]


@contextlib.contextmanager
def _standard_error_closed() -> Iterator[None]:
    sys.stderr.flush()
    standard_error = os.dup(2)
    null_device = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 2)
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)
        os.close(null_device)
