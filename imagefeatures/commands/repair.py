"""`imagefeatures repair [TABLE …]`: the catalog against the lake; with --apply, back to what can be read."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagefeatures import names
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings, program

if TYPE_CHECKING:
    from imagefeatures.catalog.repair import TableReport

HELP = (
    "examine the tables' files; with --apply go back to the newest readable state, and list tables again that are lost"
)
SHOWN = 10
"""How many faults of a table are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "tables", metavar="TABLE", nargs="*", help="such as fruit or learning.evaluations; by default all"
    )
    parser.add_argument("--apply", action="store_true", help="change the catalog; without it nothing is changed")


def run(parsed: argparse.Namespace) -> int:
    """Print what is wrong with each table. Returns 1 while one is damaged or lost, after --apply one that stays so."""
    from imagefeatures.catalog import connect, lost, repair, tables

    settings = Settings.from_env()
    wanted = [name if "." in name else names.table_name(name) for name in parsed.tables]
    exists = connect.exists(settings.catalog)  # a look at a lake makes no catalog
    with tables.open_catalog(settings) if exists or parsed.apply else contextlib.nullcontext() as catalog:
        reports = list(repair.examine(catalog)) if catalog else []
        listed = [report.name for report in reports]
        unlisted = dict(lost.unlisted(settings.lake, listed))
        if unknown := set(wanted) - {*listed, *unlisted}:
            raise ParamsError(f"TABLE: {sorted(unknown)[0]}: the catalog has {listed}")
        damaged = 0
        for name, state in unlisted.items():
            say(f"{name}: not in the catalog, {state.uri if state else 'and it cannot be read'}")
            if listed and name not in wanted:  # it may have been dropped
                continue
            if parsed.apply and catalog and state:
                lost.list_again(catalog, name, state)
                say("  listed again")
            else:
                damaged += 1
        for report in reports:
            if wanted and report.name not in wanted:
                continue
            for line in _lines(report):
                say(line)
            if not report.current.faults:
                continue
            if parsed.apply and catalog and report.earlier:
                repair.go_back(catalog, report)
                say(f"  gone back to {report.earlier.uri}")
            else:
                damaged += 1
    if not reports and not unlisted:
        say(f"{connect.describe(settings.catalog)}: nothing is published yet")
    for line in _advice(damaged, parsed.apply, reports, lost=bool(unlisted) and not listed):
        say(line)
    return 1 if damaged else 0


def _lines(report: TableReport) -> Iterator[str]:
    current = report.current
    yield f"{report.name}: " + ("damaged" if current.faults else "sound") + f", {current.uri}"
    for fault in current.faults[:SHOWN]:
        yield f"  {fault}"
    if len(current.faults) > SHOWN:
        yield f"  … and {len(current.faults) - SHOWN} more"
    if report.newer:
        yield f"  a later commit left {report.newer}: is the catalog an older copy than the lake?"
    if not current.faults:
        return
    if current.partitions:
        yield f"  partitions to run again, which mends them: {', '.join(current.partitions)}"
    if report.earlier is None:
        yield "  no earlier state can be read"
    else:
        yield f"  the newest earlier state that can be read: {report.earlier.uri}"
        if report.lost:
            yield f"  what runs published after it would be lost: {', '.join(report.lost)}"


def _advice(damaged: int, applied: bool, reports: list[TableReport], lost: bool) -> Iterator[str]:
    back = any(report.earlier for report in reports)
    if damaged and back and not applied:
        yield f"Nothing was changed. {program()} repair --apply goes back to the earlier states named here."
    if lost and not applied:
        yield (
            f"Nothing was changed. If this is the lake's catalog, and its content is lost, {program()} repair --apply "
            "lists the tables again as named here."
        )
    if (back or lost) and applied:
        yield "Run the partitions again that were published since: their rows may be in some tables and not in others."
