"""`imagefeatures relocate-lake`: makes the tables of a lake that was copied or moved its own; --apply to do it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from imagefeatures import layout
from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError
from imagefeatures.settings import Settings

if TYPE_CHECKING:
    from imagefeatures.catalog.relocation import ForeignTable

HELP = "after a copy or a move of the lake: show which tables name the old place; with --apply let them name the new"
SHOWN = 10
"""How many faults of a table are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "old", metavar="OLD", nargs="?", help="where the lake was; only to make sure that the tables name this place"
    )
    parser.add_argument("--apply", action="store_true", help="change catalog and lake; without it nothing is changed")


def run(parsed: argparse.Namespace) -> int:
    """Print which tables lie elsewhere. Returns 1 where something is in the way, and nothing is changed then."""
    from imagefeatures import relocation
    from imagefeatures.catalog import connect, tables
    from imagefeatures.catalog.relocation import examine, relocate

    settings = Settings.from_env()
    described = connect.describe(settings.catalog)
    if not connect.exists(settings.catalog):
        say(f"{described}: nothing is published yet")
        return 0
    with tables.open_catalog(settings) as catalog:
        found = list(examine(catalog))
        runs = relocation.unfinished_runs(settings.lake)
        olds = sorted({table.move.old for table in found} | set(runs.values()))
        if not olds:
            say(f"{described}: every table lies in {settings.lake}, and there is nothing to do")
            return 0
        _check_places(olds, parsed.old, settings)
        for line in _lines(found, described, settings.lake):
            say(line)
        for folder, old in runs.items():
            say(f"unfinished run {folder.removeprefix(settings.lake + '/')}: planned in {old}")
        if any(table.faults for table in found):
            say(
                "Nothing was changed. Copy what is missing, or see `imagefeatures repair` in the old place; then again."
            )
            return 1
        if not parsed.apply:
            say(f"Nothing was changed. --apply lets them name {settings.lake}; {', '.join(olds)} is not touched.")
            return 0
        for old in olds:
            relocation.relocate_publications(settings.lake, old)
        for folder, old in runs.items():
            relocation.relocate_run(folder, old, settings.lake)
        relocate(catalog, found)
    say(f"Done. {len(found)} tables and {len(runs)} unfinished runs now lie in {settings.lake} alone.")
    return 0


def _check_places(olds: list[str], given: str | None, settings: Settings) -> None:
    from imagefeatures.catalog import connect

    if given and (other := [old for old in olds if old != given.rstrip("/")]):
        raise ParamsError(f"OLD: the tables name {', '.join(other)}, and not {given}")
    url = None if connect.is_rest(settings.catalog) else connect.sql_url(settings.catalog)
    file = url.database if url and url.get_backend_name() == "sqlite" else None
    for old in olds:
        if file and layout.moved(f"file://{file}", old, settings.lake) != f"file://{file}":
            raise ParamsError(
                f"IMAGEFEATURES_CATALOG: {file} is the catalog of the old place, {old}, which would lose its tables; "
                f"set the copy's catalog, in {settings.lake}"
            )


def _lines(found: list[ForeignTable], described: str, lake: str) -> Iterator[str]:
    yield f"{described}, for the lake {lake}:"
    for table in found:
        yield (
            f"{table.full_name} lies in {table.move.old}: {len(table.snapshots)} snapshots to take along, "
            f"{table.files:,} data files in the current one"
        )
        if table.dropped:
            yield f"  {table.dropped} older snapshots stay behind: files of theirs are not here"
        yield from (f"  {fault}" for fault in table.faults[:SHOWN])
        if len(table.faults) > SHOWN:
            yield f"  … and {len(table.faults) - SHOWN} more"
