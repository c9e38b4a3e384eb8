"""Whether a run will be able to publish: plan asks this before anything is computed.

The tables that the run will change are loaded, and their current manifests read. Then it is proven that catalog and
lake take writes, by writes of which nothing stays.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from imagefeatures import layout, names, storage
from imagefeatures.catalog import connect, failures, room
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.errors import StoreRefused
from imagefeatures.settings import Settings


def check(catalog: Catalog, settings: Settings, features: Sequence[str]) -> None:
    """Prove that a run can read and write its tables: quarantine, those of features with these names, and runs.

    Raises CatalogRefused or StoreRefused where one is of another lake, cannot be read, or could not be written;
    CatalogError or StoreError where that may pass, such as a locked database.
    """
    found = []
    changed = [names.QUARANTINE, *features, names.RUNS]
    for name in changed:
        with contextlib.suppress(NoSuchTableError):
            found.append(_loaded(catalog, name))
    _check_catalog(catalog)
    _check_lake(settings, changed)
    room.check(found, 0, settings)


@failures.in_one_line
def _loaded(catalog: Catalog, name: str) -> Table:
    """The table, the manifest list of whose current snapshot can be read."""
    table = catalog.load_table((names.NAMESPACE, name))
    with failures.readable(names.table_name(name), str(catalog.properties["uri"])):
        if snapshot := table.current_snapshot():
            snapshot.manifests(table.io)
    return table


def _check_catalog(catalog: Catalog) -> None:
    """Write a row into the database, and take it back. A REST catalog has no such request: it speaks at the commit."""
    if not isinstance(catalog, LakeSqlCatalog):
        return
    row = IcebergTables.table_name == (probe := f"probe-{secrets.token_hex(8)}")
    with connect.readable_errors(catalog.properties["uri"]), Session(catalog.engine) as session:
        session.execute(insert(IcebergTables).values(catalog._create_table_row(names.NAMESPACE, probe, None)))
        session.execute(update(IcebergTables).where(row).values(metadata_location=probe))
        session.rollback()


def _check_lake(settings: Settings, tables: list[str]) -> None:
    """Raise StoreRefused or StoreError where the folders of these tables take no new file."""
    if not settings.lake.startswith("file://"):
        probe = f"{layout.warehouse(settings.lake)}/probe-{secrets.token_hex(8)}"
        storage.write(f"{probe}/empty", b"")
        storage.delete_folder(probe)
        return
    for table in tables:
        for folder in ("data", "metadata"):
            _check_folder(Path(layout.table_folder(settings.lake, table).removeprefix("file://"), folder))


def _check_folder(folder: Path) -> None:
    # The system is asked, and no file is made: a folder that does not exist yet shall not exist after a refusal.
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return
    read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
    why = os.strerror(errno.EROFS if read_only else errno.EACCES)
    remedy = "mount it for writing" if read_only else "give this process's user the right to write there"
    raise StoreRefused(f"file://{folder}: the tables could not be written there ({why}); {remedy}")
