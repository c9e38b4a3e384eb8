"""The objects that a run has rejected, all of them: of a published run, and of one that failed or is under way.

A published run's are rows of features.quarantine. A failed run keeps its staging folder, and there each receipt names
a file of rejected rows. Either is read file by file: memory does not grow with the number of objects.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from imagefeatures import manifest, names, shards, spreadsheets, storage
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.settings import Settings
from imagefeatures.steps import SPARK_STEPS

COLUMNS = ("uri", "reason", "detail", "step", "size", "image_id")
"""What is told of a rejected object: columns of features.quarantine, in this order.

Not the label: it is the name of somebody's folder.
"""

Row = Mapping[str, Any]
"""The COLUMNS of one object."""


@dataclass(frozen=True)
class Rejections:
    """The rejected objects of one run.

    published: whether the partition holds this run. listed: its objects; None while they are not listed. reasons: how
    many objects were rejected for each reason. rows: reads them.
    """

    run_id: str
    published: bool
    listed: int | None
    reasons: Mapping[str, int]
    rows: Callable[[], Iterator[Row]]


def find(settings: Settings, dataset: str, partition: str, run_id: str | None = None) -> Rejections:
    """The rejections of a run; by default of the newest one of the partition, published or not.

    Raises ParamsError when there is no such run, AuditFailed when a file of it has changed or is gone, and as
    `imagefeatures.read.batches`.
    """
    staged, published = staged_runs(settings, dataset, partition), _published(settings, dataset, partition)
    known = [*staged, *([published["run_id"]] if published else [])]
    if not known or (run_id and run_id not in known):
        there = f"there are {', '.join(sorted(known))}" if known else "none is published or unfinished"
        raise ParamsError(f"no run {run_id or ''} of {dataset} {partition}".replace("  ", " ") + f": {there}")
    wanted = run_id or max(known)  # a run_id begins with the time of the plan
    if published and wanted == published["run_id"]:
        return of_published(settings, published)
    return of_staged(Layout(settings.lake, dataset, partition, wanted))


def staged_runs(settings: Settings, dataset: str, partition: str) -> list[str]:
    """The run_id of each run of the partition that has a staging folder, oldest first."""
    folder = Layout(settings.lake, dataset, partition, "").run
    found = (stored.uri.removeprefix(folder).split("/") for stored in storage.list_objects(folder))
    return sorted({parts[0] for parts in found if parts[1:] == ["run.json"]})


def of_staged(layout: Layout) -> Rejections:
    """The rejections of a run that is not published, as far as it has come."""
    receipts = [receipt for step in SPARK_STEPS for receipt in shards.read_receipts(layout, step)]
    try:
        listed = manifest.listing_of(layout).objects
    except storage.ObjectMissing:
        listed = None
    reasons: Counter[str] = Counter()
    for receipt in receipts:
        reasons.update(receipt.reasons)
    files = [receipt.rejected for receipt in receipts if receipt.rejected]
    return Rejections(layout.run_id, False, listed, reasons, partial(_staged_rows, files))


def of_published(settings: Settings, run: Mapping[str, Any]) -> Rejections:
    """The rejections of a published run. run: its row of features.runs."""
    rows = partial(published_rows, settings, run["dataset"], run["partition_key"], run["run_id"])
    return Rejections(run["run_id"], True, run["listed"], Counter(dict(run["reasons"])), rows)


def published_rows(settings: Settings, dataset: str, partition: str, run_id: str) -> Iterator[Row]:
    """The rejected objects of a published run, as they are read. Raises as `imagefeatures.read.batches`."""
    from imagefeatures import read

    where = f"dataset = '{dataset}' and run_id = '{run_id}'"  # neither holds a quote: names.DATASET_NAME, names.RUN_ID
    for batch in read.batches(settings, names.QUARANTINE, columns=COLUMNS, partitions=(partition,), where=where):
        yield from batch.to_pylist()


def as_csv(rows: Iterator[Row], before: Sequence[str] = ()) -> Iterator[str]:
    """The rows as lines of CSV for people, the first with the names of the columns. before: columns before COLUMNS.

    Texts are those of `spreadsheets.cell`.
    """
    columns = (*before, *COLUMNS)
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line([_cell(row[name]) for name in columns])


def _cell(value: Any) -> Any:
    return spreadsheets.cell(value) if isinstance(value, str) else "" if value is None else value


def _csv_line(values: Any) -> str:
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerow(values)
    return sink.getvalue()


def _published(settings: Settings, dataset: str, partition: str) -> dict[str, Any] | None:
    from imagefeatures import read  # pyiceberg takes a second

    return next((row for row in read.runs(settings, dataset) if row["partition_key"] == partition), None)


def _staged_rows(files: list[shards.StagedFile]) -> Iterator[Row]:
    for file in files:
        yield from shards.read_staged(file, list(COLUMNS)).to_pylist()
