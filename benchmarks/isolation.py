"""The cost of isolation: decoding in a child process, compared with the same loop in this process.

    python -m benchmarks.isolation [repetitions]

Both take turns in each repetition over the demo's photos; the result is the median of the ratios within a repetition.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import pyarrow.parquet as pq

from benchmarks.model import MODEL
from demo.photos import fetch_photos
from imagefeatures import images, isolation
from imagefeatures.limits import Limits
from imagefeatures.settings import Settings

PHOTOS = 512  # one shard's worth


def main(repetitions: int) -> None:
    table = pq.read_table(fetch_photos(Settings.from_env().cache), columns=["image_data"])
    photos = list(dict.fromkeys(table["image_data"].to_pylist()))[:PHOTOS]
    limits, preprocessing = Limits(), MODEL.preprocessing
    child = isolation.decoder()
    child.run(photos[:8], limits, preprocessing)  # started, and Pillow's plugins loaded, on both sides
    images.configure_pillow()
    images.decode(photos[0], limits, preprocessing)
    pairs = [
        (
            rate(lambda: child.run(photos, limits, preprocessing)),
            rate(lambda: [images.decode(photo, limits, preprocessing) for photo in photos]),
        )
        for _ in range(repetitions)
    ]
    child.stop()
    ratios = [isolated / direct for isolated, direct in pairs]
    print(f"{len(photos)} photos, {repetitions} interleaved repetitions, one core each, images/s (median):")
    print(f"  in this process  {statistics.median(direct for _, direct in pairs):6.0f}")
    print(f"  in a child       {statistics.median(isolated for isolated, _ in pairs):6.0f}")
    print(f"  ratio            {statistics.median(ratios):6.3f}   ({min(ratios):.3f} to {max(ratios):.3f})")


def rate(work: Callable[[], object]) -> float:
    """Images a second of a function that decodes all photos."""
    start = time.perf_counter()
    work()
    return PHOTOS / (time.perf_counter() - start)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
