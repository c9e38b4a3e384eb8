"""Room on the disk of a local lake, checked before the first table is changed: a full disk would stop in the middle."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pyiceberg.table import Table

from imagefeatures.catalog import connect
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.errors import StoreRefused
from imagefeatures.settings import Settings

MARGIN = 4 << 20
"""Bytes beyond twice the estimate: what SQLite's journal, the names of files and other writers take meanwhile."""

FILES = 64
"""How many new files a file system must still be able to hold."""


def check(tables: Iterable[Table], rows: int, settings: Settings) -> None:
    """Raises StoreRefused when a local lake has no room for a publication into these tables.

    rows: bytes of the rows that will be written, uncompressed. A commit writes a table's metadata anew, and at most
    all of its manifests twice: once without the old rows, once with the new ones.
    """
    needed = MARGIN + 2 * (rows + sum(_rewritten(table) for table in tables))
    for folder in _folders(settings):
        status = os.statvfs(folder)
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise StoreRefused(
                f"file://{folder}: {free / 1e6:,.1f} MB free, and a publication may take {needed / 1e6:,.1f} MB: "
                "free some space there, then try again"
            )
        if status.f_files and status.f_favail < FILES:
            raise StoreRefused(
                f"file://{folder}: its file system can hold {status.f_favail} more files, and a publication writes up "
                f"to {FILES}: remove some files there, then try again"
            )


@in_one_line
def _rewritten(table: Table) -> int:
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    return len(table.io.new_input(table.metadata_location)) + 2 * sum(file.manifest_length for file in manifests)


def _folders(settings: Settings) -> list[Path]:
    """The folders of a local lake and of a SQLite catalog elsewhere."""
    folders = [Path(settings.lake.removeprefix("file://"))] if settings.lake.startswith("file://") else []
    if file := connect.sqlite_file(settings.catalog):
        folders.append(file.parent)
    return folders
