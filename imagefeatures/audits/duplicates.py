"""Photos that are there twice: with the same bytes, or with the same picture in other bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from imagefeatures import isolation
from imagefeatures.audits.gallery import Gallery
from imagefeatures.audits.overlap import SIDE, grey, overlap
from imagefeatures.isolation import REJECTED
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import RGB, Preprocessing, Stretch, Upright
from imagefeatures.thumbnails.stored import bytes_of

SAME = 0.95
"""From this overlap on two photos show the same picture."""

SURE = 0.98
"""From this cosine on two photos count as the same where their bytes cannot be read to compare the pixels."""

MOST_PAIRS = 5_000
"""So many pairs are compared by their pixels, those of the highest cosines: 15 ms of a core each."""

_AT_ONCE = 64

PAIRS = pa.schema(
    [
        ("group", pa.int64()),
        ("kind", pa.string()),
        ("uri", pa.string()),
        ("other_uri", pa.string()),
        ("label", pa.string()),
        ("other_label", pa.string()),
        ("partition_key", pa.string()),
        ("other_partition_key", pa.string()),
        ("cosine", pa.float64()),
        ("overlap", pa.float64()),
    ]
)
"""group: the number of those that belong together. kind: exact (equal bytes) or near. overlap: of their pixels, as
`overlap` has it; null where the bytes could not be read, or were not those of the table any more."""

Thumbnails = Callable[[Sequence[tuple[str, str]]], Iterator[np.ndarray | None]]
"""Makes small grey pictures of photos, given as (uri, image_id); None of one that cannot be read."""


class _Pair(NamedTuple):
    """first, second: photos. cosine, overlap: as PAIRS has them."""

    group: int
    kind: str
    first: int
    second: int
    cosine: float
    overlap: float | None


class Found(NamedTuple):
    """pairs: PAIRS. left_out: pairs that were near enough, but too many to compare. unseen: pairs of which the pixels
    of one could not be read."""

    pairs: pa.Table
    left_out: int
    unseen: int


def thumbnails(photos: Sequence[tuple[str, str]]) -> Iterator[np.ndarray | None]:
    """The small grey pictures, decoded in the isolated process: see `overlap.grey`."""
    chain, limits = Preprocessing(chain=(Upright(), RGB(), Stretch(height=SIDE, width=SIDE))), Limits()
    for start in range(0, len(photos), _AT_ONCE):
        blobs = [bytes_of(uri, image_id, limits.max_bytes) for uri, image_id in photos[start : start + _AT_ONCE]]
        batch = isolation.decoder().run(blobs, limits, chain)
        decoded = iter(batch.decoded_pixels())
        for record in batch.records:
            yield None if record["state"] == REJECTED else grey(next(decoded))


def find(gallery: Gallery, least_cosine: float, thumbnails: Thumbnails = thumbnails) -> Found:
    """All pairs of equal bytes, and pairs of images whose vectors are near and whose pixels overlap: by group.

    least_cosine: of vectors that are near. An image is compared with its neighbours in the gallery alone. Where the
    pixels of one cannot be read, the pair counts from the cosine SURE on.
    """
    pairs, left_out = _near(gallery, least_cosine)
    wanted = sorted({image for one, other, _ in pairs for image in (one, other)})
    uris, ids = gallery.column("uri"), gallery.column("image_id")
    named = [(str(uris[gallery.first[image]]), str(ids[gallery.first[image]])) for image in wanted]
    small = dict(zip(wanted, thumbnails(named), strict=True))
    same = []
    for one, other, cosine in pairs:
        pictures = small[one], small[other]
        seen = None if pictures[0] is None or pictures[1] is None else overlap(pictures[0], pictures[1])
        if (cosine >= SURE) if seen is None else (seen >= SAME):
            same.append((one, other, cosine, seen))
    unseen = sum(small[one] is None or small[other] is None for one, other, _ in pairs)
    return Found(_table(gallery, same), left_out, unseen)


def _near(gallery: Gallery, least_cosine: float) -> tuple[list[tuple[int, int, float]], int]:
    """Pairs of images by falling cosine, each once, and how many were left out."""
    ones, places = np.nonzero(gallery.cosines >= least_cosine)
    ends = np.sort(np.column_stack([ones, gallery.near[ones, places]]), axis=1)
    ends, kept = np.unique(ends, axis=0, return_index=True)
    cosines = gallery.cosines[ones, places][kept]
    order = np.argsort(-cosines, kind="stable")[:MOST_PAIRS]  # of equal cosines the first pair
    pairs = [(*pair, cosine) for pair, cosine in zip(ends[order].tolist(), cosines[order].tolist(), strict=True)]
    return pairs, len(ends) - len(pairs)


def _table(gallery: Gallery, same: Sequence[tuple[int, int, float, float | None]]) -> pa.Table:
    """PAIRS, by group: first the equal bytes, then the nearest."""
    count = len(gallery.first)
    ends = np.array([(one, other) for one, other, _, _ in same], np.int64).reshape(-1, 2)
    joined = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, group_of = connected_components(joined, directed=False)
    first = gallery.first.tolist()
    pairs = [
        _Pair(int(group_of[image]), "exact", first[image], photo, 1.0, 1.0)
        for photo, image in enumerate(gallery.image.tolist())
        if photo != first[image]
    ]
    pairs += [
        _Pair(int(group_of[one]), "near", first[one], first[other], cosine, seen) for one, other, cosine, seen in same
    ]
    numbers = {group: number for number, group in enumerate(dict.fromkeys(pair.group for pair in pairs), 1)}
    pairs.sort(key=lambda pair: numbers[pair.group])
    columns = {name: [getattr(pair, name) for pair in pairs] for name in ("kind", "cosine", "overlap")}
    columns["group"] = [numbers[pair.group] for pair in pairs]
    for prefix, place in (("", "first"), ("other_", "second")):
        photos = gallery.photos.take(pa.array([getattr(pair, place) for pair in pairs], pa.int64()))
        columns |= {f"{prefix}{name}": photos[name] for name in ("uri", "label", "partition_key")}
    return pa.table([columns[name] for name in PAIRS.names], schema=PAIRS)
