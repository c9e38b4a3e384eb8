"""The largest shards are done first, by worker processes and by Spark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from imagefeatures import local, manifest, shards
from imagefeatures.order import longest_first
from imagefeatures.plan import Run
from imagefeatures.shards import Receipt
from imagefeatures.steps import FEATURIZE, INGEST, RESIZE, VALIDATE
from imagefeatures.workers import ThisProcess
from imagefeatures_spark import distribute
from support.lists_as_spark import Context
from support.photos import encoded, fill, picture
from support.reusing import PHOTOS
from support.several import Spies
from support.shared import THIS_PROCESS, MakeRun


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    """Shards of three small images of two contents, of three that are larger, and of one that is largest."""
    photos = list(PHOTOS.values())
    small = {f"a{at}.jpg": data for at, data in enumerate([photos[0], photos[0], photos[1]])}
    middle = {f"b{at}.bmp": encoded(picture(60, 50 + at), "BMP") for at in range(3)}
    return make_run(
        fill(tmp_path / "photos", small | middle | {"c.bmp": encoded(picture(300, 200), "BMP")}), {"shard_images": 3}
    )


class Several:
    """This process, as if it were two."""

    count = 2

    def __init__(self) -> None:
        self.given: dict[str, list[int]] = {}

    def run_shards(self, run: Run, step: str, todo: Sequence[int], lanes: Sequence[int] = ()) -> Iterator[Receipt]:
        self.given[step] = list(todo)
        return ThisProcess(Spies().work).run_shards(run, step, todo, lanes)


def test_worker_processes_begin_with_the_most_bytes_and_featurize_with_the_most_pixels(run: Run) -> None:
    workers = Several()
    local.run_steps(run, workers)
    sizes = [receipt.output.size for receipt in shards.read_receipts(run.layout, INGEST)]
    assert sizes[0] < sizes[1] < sizes[2]
    # Of the images of the first shard two are equal: its pixels are two pictures.
    assert workers.given == {INGEST: [0, 1, 2], VALIDATE: [2, 1, 0], RESIZE: [2, 1, 0], FEATURIZE: [1, 0, 2]}


def test_spark_begins_with_the_most_bytes(run: Run) -> None:
    local.run_steps(run, THIS_PROCESS, (INGEST, VALIDATE))
    done = list[int]()
    distribute.spread(Context(), run, RESIZE, 3, done.append)  # type: ignore[arg-type]
    assert done == [2, 1, 0]


def test_equal_shards_keep_their_order_and_those_that_are_done_are_left_out(run: Run) -> None:
    local.run_steps(run, THIS_PROCESS, (INGEST,))
    assert longest_first(run, VALIDATE, [0, 2]) == [2, 0]
    assert longest_first(run, FEATURIZE, [1, 2]) == [1, 2]
    assert longest_first(run, VALIDATE, []) == []
    assert manifest.read_listing(run).shards == 3
