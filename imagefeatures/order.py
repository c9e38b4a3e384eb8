"""The order in which shards are given to workers: the longest first, so that none of them begins one at the end."""

from __future__ import annotations

from collections.abc import Sequence

from imagefeatures import shards
from imagefeatures.plan import Run
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, VALIDATE

_MEASURED_BY = {VALIDATE: INGEST, RESIZE: INGEST, FEATURIZE: RESIZE}
"""The step whose files say what a shard costs: its images' bytes, or the pixels that are given to a model."""


def longest_first(run: Run, step: str, todo: Sequence[int]) -> list[int]:
    """The shards of a step, the one with the most bytes first. Those of ingest as they are: the listing cut them alike.

    todo: in ascending order, which equal ones keep.
    """
    if step not in _MEASURED_BY or len(todo) < 2:
        return list(todo)
    done = shards.read_receipts(run.layout, _MEASURED_BY[step])
    sizes = {one.shard: sum(files.output.size for files in one.outputs if files.output) for one in done}
    return sorted(todo, key=lambda shard: sizes.get(shard, 0), reverse=True)
