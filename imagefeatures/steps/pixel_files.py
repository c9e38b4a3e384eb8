"""The files of pixels that resize writes: one for each output of the run, image by image as they are decoded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from imagefeatures import outputs, schemas
from imagefeatures.blobs import BlobWriter
from imagefeatures.pixels import PixelFormat
from imagefeatures.plan import Run
from imagefeatures.preprocessing import Chains, PixelRule, Preprocessing
from imagefeatures.staged import StagedFile
from imagefeatures.steps import RESIZE

BATCH_BYTES = 32 << 20
"""So many bytes of pixels are decoded before they are written. Handing over fewer at a time takes more time."""

NOBODY = -1
"""In the place of an output that takes an image's pixels: all outputs of the chain have the image already."""


class PixelFiles:
    """The files of a shard, schemas.pixels each. The pixels of an image lie with the first output that lacks it.

    They serve the later outputs of the same chain. rows: of the images that an output lacks. lacked: bool [outputs,
    rows], which those are. Without `end`, or after an error, no file is there.
    """

    def __init__(self, run: Run, shard: int, rows: Sequence[dict[str, Any]], lacked: np.ndarray) -> None:
        self._chains: list[Preprocessing] = []
        of_chains = []
        for group in outputs.by_input(run.outputs):
            of_group = lacked[group]
            if of_group.any():
                self._chains.append(run.outputs[group[0]].preprocessing)
                of_chains.append(np.where(of_group.any(axis=0), np.array(group)[of_group.argmax(axis=0)], NOBODY))
        takers = np.array(of_chains).reshape(len(self._chains), len(rows))
        self._takers = dict(zip((row["uri"] for row in rows), takers.T.tolist(), strict=True))
        self._writers: list[BlobWriter] = []
        self._rows: list[list[dict[str, Any]]] = []
        for number, output in enumerate(run.outputs):
            kind = PixelFormat.of_chain(output.preprocessing)
            most = int((takers == number).sum()) * kind.size
            self._writers.append(BlobWriter(run.layout.new_output(RESIZE, shard), schemas.pixels(kind), most))
            self._rows.append([])

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            for writer in self._writers:
                entered.enter_context(writer)
            self._entered = entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, where)

    @property
    def rule(self) -> PixelRule:
        """What makes the pixels of all chains that an output lacks an image of. There is one where there are rows."""
        return self._chains[0] if len(self._chains) == 1 else Chains(tuple(self._chains))

    @property
    def batch(self) -> int:
        """How many images are decoded at a time."""
        return max(1, BATCH_BYTES // (math.prod(self.rule.shape) * np.dtype(self.rule.dtype).itemsize))

    def split(self, pixels: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        """Of each image its pixels for each chain. pixels: what `rule` made of n images."""
        rule = self.rule
        return zip(*(rule.split(pixels) if isinstance(rule, Chains) else [pixels]), strict=True)

    def add(self, row: dict[str, Any], pixels: Sequence[np.ndarray] | None) -> None:
        """Write an image's row, with its pixels for each chain; None: an earlier row of the same image has them."""
        for place, number in enumerate(self._takers[row["uri"]]):
            if number != NOBODY:
                self._writers[number].add(None if pixels is None else pixels[place].data.cast("B"))
                self._rows[number].append(row)

    def end(self) -> list[StagedFile]:
        """Write what is left. Returns the file of each output."""
        return [
            writer.end(pa.Table.from_pylist(rows, schema=schemas.DECODED))
            for writer, rows in zip(self._writers, self._rows, strict=True)
        ]
