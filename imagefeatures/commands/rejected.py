"""`imagefeatures rejected DATASET [PARTITION]`: every object that a run has rejected, also of a run that failed."""

from __future__ import annotations

import argparse
import io
import sys
from typing import TYPE_CHECKING

from imagefeatures import names
from imagefeatures.commands.printing import say, writing
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.rejections import Rejections

HELP = "every object that a run has rejected, and why: of the newest run of a partition, also if it failed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name of a dataset")
    parser.add_argument(
        "partition", metavar="PARTITION", nargs="?", default=names.WHOLE_SOURCE,
        help="such as 2026-11-02; by default %(default)s, the partition of a source without partitions",
    )  # fmt: skip
    parser.add_argument(
        "--run", dest="run_id", metavar="RUN_ID", help="one run of the partition; by default the newest"
    )
    parser.add_argument("--csv", action="store_true", help="print a table for other programs, with every column")


def run(parsed: argparse.Namespace) -> int:
    """Print the rejected objects of a run. Returns 0 also when there are none."""
    import re

    from imagefeatures import rejections

    for name, value, pattern in (
        ("DATASET", parsed.dataset, names.DATASET_NAME),
        ("PARTITION", parsed.partition, names.PARTITION),
        ("--run", parsed.run_id or "", f"{names.PARTITION}|^$"),
    ):
        if not re.search(pattern, value):
            raise ParamsError(f"{name}: {value!r} cannot be one")
    found = rejections.find(Settings.from_env(), parsed.dataset, parsed.partition, parsed.run_id)
    if parsed.csv:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # for programs, and so whatever the terminal's letters are
        with writing():
            sys.stdout.writelines(rejections.as_csv(found.rows()))
            sys.stdout.flush()
        return 0
    _print(found, f"{parsed.dataset} {parsed.partition}")
    return 0


def _print(found: Rejections, what: str) -> None:
    state = "published" if found.published else "not published"
    of = "" if found.listed is None else f" of {found.listed:,}"
    say(f"{what}, run {found.run_id}, {state}: {sum(found.reasons.values()):,}{of} objects rejected")
    for reason, count in sorted(found.reasons.items(), key=lambda pair: (-pair[1], pair[0])):
        say(f"  {count:,} × {reason}")
    for row in found.rows():
        say(f"{row['reason']}  {row['uri']}  {row['detail']}")
