"""The rows of published partitions, for the pages that show their objects.

A page reads few columns of its partitions and at most MOST_ROWS rows. The rows are kept for
the next pages of the same run, whoever asks for these: what a user may see is decided before (`partitions`). All of it
blocks, and raises Unavailable.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from imagefeatures.errors import ImageFeaturesError
from imagefeatures.reasons import without_secrets
from imagefeatures.settings import Settings
from imagefeatures_airflow.web.partitions import Partition
from imagefeatures_airflow.web.published import FRESH_SECONDS, Unavailable

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 20_000
"""So many rows of a partition are shown; a page says so where there are more."""

MOST_REJECTED = 5_000
"""The same of quarantined objects."""

KEPT = 8
"""The rows of so many partitions are kept in memory: some 5 MB each, where there are as many."""

COLUMNS = ("uri", "image_id", "label", "width", "height", "size")
"""What is shown of a photo."""

TOGETHER = ("uri", "image_id", "partition_key")
"""What is known of a photo on a page of several partitions."""

Rejected = dict[str, Any]
"""`rejections.COLUMNS` of one object."""

T = TypeVar("T")

log = logging.getLogger(__name__)

_states: dict[str, tuple[float, str]] = {}
"""By lake: when `deny.state` was asked, and what it was."""

_distances = threading.Lock()
"""Distances are computed for one partition at a time: their memory grows with the number of labels."""


def photos(of: Partition) -> pa.Table:
    """COLUMNS of the first MOST_ROWS photos of a partition, in order of URI."""
    return readable(of, lambda: _photos(*_of(of, of.table)))


def photos_together(of: Sequence[Partition]) -> pa.Table:
    """TOGETHER of the first MOST_ROWS photos of several partitions of a dataset, by one read."""
    choice = tuple((one.key, one.run_id) for one in of)
    return readable(
        of[0], lambda: _photos_together(of[0].settings, of[0].table, choice, _forgotten(of[0].settings.lake))
    )


def photos_with_distances(of: Partition) -> pa.Table:
    """The same, and how far each is from the centre of its label: see `imagefeatures.audits.centres`."""

    def read() -> pa.Table:
        with _distances:
            return _photos_with_distances(*_of(of, of.table))

    return readable(of, read)


def rejected(of: Partition) -> tuple[Rejected, ...]:
    """The first MOST_REJECTED quarantined objects of a partition, in order of URI."""
    return readable(of, lambda: _rejected(*_of(of, of.dataset)))


def matching(found: Iterable[Rejected], reason: str, text: str) -> list[Rejected]:
    """Those of this reason whose URI or detail has this text in it, in any case. An empty text is everything.

    Of a URI that counts which the page shows: a secret could be guessed, letter by letter, from what is found.
    """
    text = text.casefold()
    return [
        row
        for row in found
        if reason in ("", row["reason"])
        and any(text in shown.casefold() for shown in (without_secrets(row["uri"]), row["detail"]))
    ]


def readable(of: Partition, read: Callable[[], T]) -> T:
    """What `read` returns. Raises Unavailable, without what only those may know who may read the server's log."""
    try:
        return read()
    except ImageFeaturesError as error:  # whoever may read the log may know places and hosts
        log.warning("image features: the rows of %s %s cannot be read: %s", of.dataset, of.key, error)
        kind = type(error).__name__
        text = f"The rows of {of.dataset} {of.key} cannot be read now ({kind})."
        raise Unavailable(f"{text} The log of Airflow's API server says why.") from None


def _of(of: Partition, table: str) -> tuple[Settings, str, str, str, str]:
    """The key of kept rows. Forgetting takes rows out of a run that stays, so its state is part of it."""
    return of.settings, table, of.key, of.run_id, _forgotten(of.settings.lake)


def _forgotten(lake: str) -> str:
    """`deny.state`, at most FRESH_SECONDS old: a page of thumbnails would list the lake's requests once for each."""
    from imagefeatures.forget import deny

    known = _states.get(lake)
    if known and time.monotonic() - known[0] < FRESH_SECONDS:
        return known[1]
    began = time.monotonic()
    _states[lake] = began, deny.state(lake)
    return _states[lake][1]


# The run_id is part of the key although it chooses no rows: another run that is published has others.
@lru_cache(KEPT)
def _photos(settings: Settings, table: str, partition: str, run_id: str, forgotten: str) -> pa.Table:
    import pyarrow as pa

    from imagefeatures import read
    from imagefeatures.readers.parquet import first_rows, schema_of

    batches = read.batches(settings, table, columns=COLUMNS, partitions=(partition,), copies=False)
    return pa.Table.from_batches(first_rows(batches, MOST_ROWS), schema_of(table, COLUMNS)).sort_by("uri")


@lru_cache(KEPT)
def _photos_together(settings: Settings, table: str, runs: tuple[tuple[str, str], ...], forgotten: str) -> pa.Table:
    import pyarrow as pa

    from imagefeatures import read
    from imagefeatures.readers.parquet import first_rows, schema_of

    keys = [key for key, _ in runs]
    batches = read.batches(settings, table, columns=TOGETHER, partitions=keys, copies=False)
    return pa.Table.from_batches(first_rows(batches, MOST_ROWS), schema_of(table, TOGETHER))


@lru_cache(KEPT)
def _photos_with_distances(settings: Settings, table: str, partition: str, run_id: str, forgotten: str) -> pa.Table:
    from imagefeatures.audits import centres

    return centres.with_distances(settings, table, partition, COLUMNS, MOST_ROWS).sort_by("uri")


@lru_cache(KEPT)
def _rejected(settings: Settings, dataset: str, partition: str, run_id: str, forgotten: str) -> tuple[Rejected, ...]:
    from imagefeatures.rejections import published_rows

    rows = islice(published_rows(settings, dataset, partition, run_id), MOST_REJECTED)
    return tuple(sorted(map(dict, rows), key=lambda row: str(row["uri"])))
