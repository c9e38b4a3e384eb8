"""What the commands that run on this machine share: options, how to resume after an interruption, and the table."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from imagefeatures.commands.printing import say
from imagefeatures.datasets import Dataset
from imagefeatures.errors import ImageFeaturesError, InputError, StoreRefused
from imagefeatures.models.backbones import BACKBONES
from imagefeatures.settings import Settings, program

MOST_WORKERS = max(1024, 2 * (os.cpu_count() or 1))
"""The most processes that are started, also where the machine has few cores."""


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=_workers, default=usable_cores(), metavar="N",
        help="processes that work at the same time; by default one for each core (here %(default)s)",
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_workers(parser)
    parser.add_argument(
        "--resume", action="store_true", help="resume the newest unfinished run, with its own parameters"
    )


def usable_cores() -> int:
    """How many cores this process may use: `taskset` and container runtimes may allow less than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def announce(what: str, workers: int) -> None:
    """Print what begins. From here on, what is done for a model that the lake does not hold yet is printed too."""
    say(f"{what}; {workers} workers" if workers > 1 else f"{what}; in this process")
    log = logging.getLogger("imagefeatures.models.prepare")
    log.handlers, log.propagate = [_Said()], False
    log.setLevel(logging.INFO)


@contextlib.contextmanager
def resumable(settings: Settings, dataset: str, partition: str, command: str, planned: bool) -> Iterator[None]:
    """Print the command that resumes the run, when it is interrupted or fails in a way that may pass.

    planned: whether the run is planned already. Else one that is unfinished now is another, and not resumed for this.
    """
    other = None if planned else _unfinished(settings, dataset, partition)
    try:
        yield
    except (KeyboardInterrupt, ImageFeaturesError) as error:
        if not isinstance(error, InputError) or isinstance(error, StoreRefused):  # such as a disk that was full
            begun = _unfinished(settings, dataset, partition)
            if begun and begun != other:
                say(f"Finished shards are kept. To go on: {command} --resume", file=sys.stderr)
        raise


def statistics(dataset: Dataset, row: Mapping[str, Any], settings: Settings) -> None:
    """Compute the statistics of what was published, print its alerts, and call whom the dataset file names.

    row: of features.runs; empty where nothing was published. An error of the statistics is only reported, since the
    run is published. Raises AlertRaised where there is an alert and the dataset file says `fail: true`.
    """
    from imagefeatures.quality import notify, record

    if not row:
        return
    partition = row["partition_key"]
    try:
        rows = record.record(dataset.name, partition, row["run_id"], dataset.alerts, settings)
    except ImageFeaturesError as error:
        say(f"{dataset.name} {partition} is published; its statistics are not: {error}", file=sys.stderr)
        return
    for alert, why in notify.alerts_of(rows or []).items():
        say(f"alert: {alert}: {why}", file=sys.stderr)
    notify.tell(rows or [], dataset.alerts, {}, ())


def _unfinished(settings: Settings, dataset: str, partition: str) -> str | None:
    from imagefeatures import local

    with contextlib.suppress(ImageFeaturesError):
        return local.unfinished_run(settings, dataset, partition)
    return None


def about_table(dataset: Dataset, settings: Settings) -> Iterator[str]:
    """Lines that say where the dataset's tables are, and how Python reads them."""
    from imagefeatures.catalog import connect
    from imagefeatures.layout import table_folder

    first = dataset.tables[0]
    yield f"The table: features.{first}, in {connect.describe(settings.catalog)},"
    yield f"  its files in {table_folder(settings.lake, first)}. To read it, with {program('python')}:"
    pixels = f'"{dataset.name}", what="pixels")  # uri, label, pixels, …; read.pixels(rows): [n, h, w, channels]'
    if dataset.features == "none":
        yield from reading(pixels)
        return
    width = BACKBONES[dataset.model].width if isinstance(dataset.model, str) else "width"
    yield from reading(f'"{dataset.name}")  # uri, label, features, …; read.vectors(rows) is float32 [n, {width}]')
    if dataset.pixels == "keep":
        yield ""
        yield f"    rows = read.table(Settings.from_env(), {pixels}"
    if further := dataset.vector_tables[1:]:
        yield ""
        yield f"The tables of the other models are read in the same way: {', '.join(further)}."


def reading(rest: str) -> Iterator[str]:
    """Lines of Python that read a table. rest: the arguments after the settings."""
    yield ""
    yield "    from imagefeatures import read"
    yield "    from imagefeatures.settings import Settings"
    yield f"    rows = read.table(Settings.from_env(), {rest}"


class _Said(logging.Handler):
    """Prints the lines of a log as the command's own."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def _workers(text: str) -> int:
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1 (got {count})")
    if count > MOST_WORKERS:  # a slip of the finger would fill the machine with processes
        raise argparse.ArgumentTypeError(f"must be at most {MOST_WORKERS} (got {count})")
    return count
