"""Runs that may reuse vectors, step by step in one process, with a decoder and an engine that count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import batches, isolation, manifest, sealed, shards, storage
from imagefeatures.limits import Limits
from imagefeatures.local import find_known, run_steps
from imagefeatures.models.engines import Engine
from imagefeatures.plan import Run
from imagefeatures.preprocessing import Preprocessing
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, VALIDATE, equal_bytes
from imagefeatures.workers import ThisProcess
from support.photos import fill, jpeg
from support.shared import SPEC, THIS_PROCESS, MakeRun

PHOTOS = {f"{'red' if at % 2 else 'green'}/{at}.jpg": jpeg(at, 64, 40 + at) for at in range(8)}
SMALL_SHARDS = {"shard_images": 3}
WIDTH = SPEC.width
Make = Callable[..., Run]


class Spy:
    """Decoder and engine in one, which count the images that they are given.

    A vector is its own image's mean colour, repeated, plus base.
    """

    def __init__(self, base: float = 0) -> None:
        self.decoded, self.featurized, self.calls, self.base = 0, 0, 0, base

    def run_in_parts(
        self, blobs: Sequence[bytes], limits: Limits, preprocessing: Preprocessing, most: int
    ) -> Iterator[batches.Batch]:
        self.decoded += len(blobs)
        return isolation.decoder().run_in_parts(blobs, limits, preprocessing, most)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        self.featurized, self.calls = self.featurized + len(pixels), self.calls + 1
        return np.tile(pixels.mean(axis=(1, 2), dtype=np.float32) + self.base, WIDTH)[:, :WIDTH].astype(np.float32)


@dataclass
class Done:
    """What a run with every step but register done amounts to. files, rows: as they would be published."""

    run: Run
    reused: int
    computed: int
    files: list[tuple[str, int]]
    rows: list[dict[str, Any]]

    @property
    def vectors(self) -> dict[str, bytes]:
        return {Path(row["uri"]).name: np.asarray(row["features"], np.float32).tobytes() for row in self.rows}


def begun(run: Run, files: Sequence[tuple[str, int]] | None = None) -> Run:
    """Ingest, validate, what moves between shards, and the join with the table.

    files: of the table, in place of those that plan has found.
    """
    run_steps(run, THIS_PROCESS, (INGEST, VALIDATE))
    if files is not None:
        storage.write(run.layout.known_files, sealed.encode({"files": files}))
    shards_of_run = range(manifest.read_listing(run).shards)
    equal_bytes.settle_moves(run, len(shards_of_run), shards_of_run)
    find_known(run, shards_of_run)
    return run


def resized_and_featurized(run: Run, engine: Engine, decoder: Any = None) -> None:
    """The rest of a run that is `begun`. Not by run_steps: the join is done, and a test may have disturbed it since."""
    workers = ThisProcess(StepRunner(engine, decoder))
    for step in (RESIZE, FEATURIZE):
        for _ in workers.run_shards(run, step, range(manifest.read_listing(run).shards)):
            pass


def finished(run: Run, spy: Spy | None = None) -> Done:
    """Resize and featurize. What was decoded must be what was featurized."""
    spy = spy or Spy()
    resized_and_featurized(run, spy, spy)
    assert spy.decoded == spy.featurized
    outputs = [receipt.output for receipt in shards.read_receipts(run.layout, "featurize")]
    rows = pa.concat_tables([shards.read_staged(output) for output in outputs]).to_pylist()
    reused = shards.totals(shards.read_receipts(run.layout, "resize")).reused
    return Done(run, reused, spy.featurized, [(output.uri, output.size) for output in outputs], rows)


def merged(done: Done, path: Path, order: Sequence[int] | None = None, **options: Any) -> tuple[str, int]:
    """All rows in one file, as a compaction would leave them."""
    table = pa.concat_tables([pq.read_table(uri.removeprefix("file://")) for uri, _ in done.files])
    pq.write_table(table.take(order) if order else table, path, **options)
    return f"file://{path}", path.stat().st_size


def local(uri: str) -> Path:
    return Path(uri.removeprefix("file://"))


def planner(make_run: MakeRun, photos: Path) -> Make:
    """make(params={…}, partition=…, **fields): a planned run of PHOTOS, which it writes to the folder first."""
    fill(photos, PHOTOS)

    def planned(params: dict[str, Any] | None = None, **given: Any) -> Run:
        return make_run(photos, SMALL_SHARDS | (params or {}), **given)

    return planned
