"""What features.statistics says of the partitions on a page: functions for the templates.

Only rows of the runs that are published are shown. A table that cannot be read, or not in time, is no reason to show no
page: threads of its own read it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from imagefeatures.settings import Settings
from imagefeatures_airflow.web import published
from imagefeatures_airflow.web.published import Row

if TYPE_CHECKING:
    from imagefeatures_airflow.web.datasets import DatasetView

COLUMNS = (
    "partition_key", "dataset", "run_id", "table", "listed", "quarantined", "images_per_second", "pictures",
    "duplicates", "drift", "drift_probability", "drift_bound", "alerts",
)  # fmt: skip
"""All but the vectors, and the counts that the page of labels has."""

MOST_KEPT = 64

READ_SECONDS = 5.0
"""So long a page waits for the table. Without a bound a catalog that stops answering would hold all pages' threads."""

log = logging.getLogger(__name__)

_pool = ThreadPoolExecutor(2, thread_name_prefix="image features statistics")
_lock = threading.Lock()
_kept: dict[tuple[Settings, tuple[str, ...]], tuple[float, list[Row]]] = {}
_unread: dict[Settings, float] = {}
"""When the table could not be read."""


def statistics_of(runs: Sequence[Row]) -> list[Row] | None:
    """The rows of these runs, newest partition first; None where they cannot be read. runs: of features.runs.

    They are at most published.FRESH_SECONDS old. For as long the table is not read again where it could not be.
    """
    settings = Settings.from_env()
    key = settings, tuple(str(run["run_id"]) for run in runs)
    with _lock:
        kept, unread = _kept.get(key), _unread.get(settings)
    if kept and time.monotonic() - kept[0] < published.FRESH_SECONDS:
        return kept[1]
    if unread and time.monotonic() - unread < published.FRESH_SECONDS:
        return None
    reading = _pool.submit(_read, settings, runs)
    try:
        rows = reading.result(READ_SECONDS)
    except Exception as error:  # as `published.published`: its text may hold a password
        reading.cancel()  # one that waits for a thread is not needed any more
        log.warning("image features: features.statistics cannot be read: %s", type(error).__name__)
        with _lock:
            _unread[settings] = time.monotonic()
        return None
    with _lock:
        for old in [*_kept][: max(0, len(_kept) + 1 - MOST_KEPT)]:
            del _kept[old]
        _kept[key] = time.monotonic(), rows
    return rows


def newest_alerts(datasets: Sequence[DatasetView]) -> list[tuple[Row, str, str]]:
    """Each alert of the newest partition of each dataset: its row, the alert, and why."""
    rows = statistics_of([dataset.runs[0] for dataset in datasets if dataset.runs]) or []
    return [(row, alert, why) for row in rows for alert, why in row["alerts"]]


def _read(settings: Settings, runs: Sequence[Row]) -> list[Row]:
    from imagefeatures import read
    from imagefeatures.catalog.filters import one_of

    if not runs:
        return []
    wanted = {(run["dataset"], run["partition_key"], run["run_id"]) for run in runs}
    datasets, keys, _ = (sorted(set(values)) for values in zip(*wanted, strict=True))
    found: list[dict[str, Any]] = read.table(
        settings, "statistics", columns=COLUMNS, partitions=keys, where=one_of("dataset", datasets)
    ).to_pylist()
    rows = [row for row in found if (row["dataset"], row["partition_key"], row["run_id"]) in wanted]
    return sorted(sorted(rows, key=lambda row: row["table"]), key=lambda row: row["partition_key"], reverse=True)
