"""Labels that are probably wrong: of photos whose neighbours have another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pyarrow as pa

from imagefeatures.audits.gallery import Gallery

DOUBTS = pa.schema(
    [
        ("uri", pa.string()),
        ("image_id", pa.string()),
        ("partition_key", pa.string()),
        ("label", pa.string()),
        ("suggested", pa.string()),
        ("doubt", pa.float64()),
        ("neighbours", pa.list_(pa.string())),
    ]
)
"""suggested: the other label that most neighbours have. doubt: see `doubtful`. neighbours: URIs, nearest first."""

AT_ONCE = 10_000
"""So many rows are one piece of the table: the URIs of a thousand neighbours each must not exceed Arrow's 2 GB."""

_Row = tuple[float, float, int, str, list[str | None]]
"""doubt, the weight of those with another label, photo, suggested, neighbours."""


def doubtful(gallery: Gallery) -> pa.Table:
    """The photos of which a neighbour has another label: DOUBTS, the greatest doubt first.

    doubt: the share of the neighbours that have another label, each weighted by its cosine; from 0 to 1. Of equal
    doubts the one with the nearer neighbours comes first. Only photos with a label count, as photos and as neighbours.
    An image with equal bytes is no neighbour, whatever its label: `duplicates` has it.
    """
    uris, labels = gallery.column("uri"), gallery.column("label")
    rows: list[_Row] = []
    for photo, (image, label) in enumerate(zip(gallery.image.tolist(), labels, strict=True)):
        near = [
            (int(gallery.first[other]), max(float(cosine), 0.0))
            for other, cosine in zip(gallery.near[image], gallery.cosines[image], strict=True)
            if labels[gallery.first[other]] is not None
        ]
        votes: defaultdict[str, float] = defaultdict(float)
        for other, cosine in near:
            votes[str(labels[other])] += cosine
        whole = sum(votes.values())
        if label is None or not whole or not (against := whole - votes.pop(label, 0.0)):
            continue
        suggested = max(votes, key=lambda name: (votes[name], name))
        rows.append((against / whole, against, photo, suggested, [uris[other] for other, _ in near]))
    rows.sort(key=lambda row: (-row[0], -row[1], row[2]))
    parts = [_table(gallery, rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    return pa.concat_tables([DOUBTS.empty_table(), *parts])


def _table(gallery: Gallery, rows: Sequence[_Row]) -> pa.Table:
    chosen = gallery.photos.take(pa.array([photo for _, _, photo, _, _ in rows], pa.int64()))
    columns = {name: chosen[name] for name in ("uri", "image_id", "partition_key", "label")}
    columns |= {"suggested": [row[3] for row in rows], "doubt": [row[0] for row in rows]}
    return pa.table(columns | {"neighbours": [row[4] for row in rows]}, schema=DOUBTS)
