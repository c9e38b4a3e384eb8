"""`imagefeatures repair [TABLE …]`: the catalog against the lake; with --apply, back to what can be read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagefeatures import names
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings, program

if TYPE_CHECKING:
    from imagefeatures.catalog.repair import TableReport

HELP = "examine the tables' files; with --apply take damaged tables back to their newest readable state"
SHOWN = 10
"""How many faults of a table are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tables", metavar="TABLE", nargs="*", help="such as fruit or runs; by default all")
    parser.add_argument("--apply", action="store_true", help="change the catalog; without it nothing is changed")


def run(parsed: argparse.Namespace) -> int:
    """Print what is wrong with each table. Returns 1 while a table is damaged, after --apply one that stays so."""
    from imagefeatures.catalog import connect, repair, tables

    settings = Settings.from_env()
    if not connect.exists(settings.catalog):
        say(f"{connect.describe(settings.catalog)}: nothing is published yet")
        return 0
    wanted = [name.removeprefix(f"{names.NAMESPACE}.") for name in parsed.tables]
    with tables.open_catalog(settings) as catalog:
        reports = list(repair.examine(catalog))
        if unknown := set(wanted) - {report.name for report in reports}:
            raise ParamsError(f"TABLE: {sorted(unknown)[0]}: the catalog has {[report.name for report in reports]}")
        damaged = 0
        for report in reports:
            if wanted and report.name not in wanted:
                continue
            for line in _lines(report):
                say(line)
            if not report.current.faults:
                continue
            if parsed.apply and report.earlier:
                repair.go_back(catalog, report)
                say(f"  gone back to {report.earlier.uri}")
            else:
                damaged += 1
    for line in _advice(damaged, parsed.apply, reports):
        say(line)
    return 1 if damaged else 0


def _lines(report: TableReport) -> Iterator[str]:
    current = report.current
    yield f"{names.table_name(report.name)}: " + ("damaged" if current.faults else "sound") + f", {current.uri}"
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


def _advice(damaged: int, applied: bool, reports: list[TableReport]) -> Iterator[str]:
    back = any(report.earlier for report in reports)
    if damaged and back and not applied:
        yield f"Nothing was changed. {program()} repair --apply goes back to the earlier states named here."
    if back and applied:
        yield "Run the partitions again that were published since: their rows may be in some tables and not in others."
