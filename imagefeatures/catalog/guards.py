"""What a table must be before anything is done with it: readable, of this lake, of this version, and without code.

Every table that a catalog of this package loads has passed here.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from pyiceberg.exceptions import ValidationError
from pyiceberg.io import FileIO
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from imagefeatures import layout, names, schemas
from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import program

NAMES_OF_CODE = ("py-io-impl", "write.py-location-provider.impl", "py-catalog-impl")
"""Properties whose value pyiceberg imports and calls."""

VERSION = "imagefeatures.schema-version"
"""The property of a table that holds the `schemas.VERSION` which made it. Tables of version 1 may lack it."""

NEWEST_FORMAT = 3
"""The newest version of Iceberg's table format that pyiceberg reads."""

NEWEST_WRITTEN = 2
"""The newest one that it writes."""

REPAIR = f"`{program()} repair` shows what is left of it"
RELOCATE = f"`{program()} relocate-lake` makes its tables its own"


def checked(table: Table, lake: str, catalog: str) -> Table:
    """The table, without properties that name code. Raises CatalogRefused if it is not of this lake and version.

    Of another namespace than this package's own it may lie anywhere: it is a source. catalog: its description, for the
    message.
    """
    without_code(table.metadata)
    name = ".".join(table.name())
    check_place(name, table.location(), lake, catalog)
    version = table.metadata.properties.get(VERSION, "1") if is_own(name) else "1"
    if not version.isdecimal() or int(version) > schemas.VERSION:
        raise CatalogRefused(
            f"{name} in {catalog} has schema version {version}, of a newer imagefeatures; this one knows versions up "
            f"to {schemas.VERSION}: install the newer one"
        )
    return table


def check_place(name: str, location: str | None, lake: str, catalog: str) -> None:
    """Raise CatalogRefused when a table, or its metadata file, lies in another lake: rows would be split in two.

    location: of either. A lake that was copied or moved still has the locations that it was made with.
    """
    if location and is_own(name) and not is_inside(location, lake):
        raise CatalogRefused(
            f"{name} in {catalog} lies in {location}, which is not in this lake, {lake}: set "
            "IMAGEFEATURES_LAKE to the table's lake, or IMAGEFEATURES_CATALOG to this lake's catalog; if this lake is "
            f"a copy, or was moved here, {RELOCATE}"
        )


def is_inside(location: str, lake: str) -> bool:
    """Whether a table or a file lies in the lake's warehouse."""
    return plain_uri(location).startswith(f"{layout.warehouse(lake)}/")


def is_own(name: str) -> bool:
    """Whether a table is one of this package's. name: `namespace.table`."""
    return name.rpartition(".")[0] in (names.NAMESPACE, names.LEARNING)


def is_datasets(table: Table) -> bool:
    """Whether a dataset's own table has the name of one that all datasets share: an earlier version allowed it."""
    namespace, name = table.name()
    shared = namespace == names.NAMESPACE and name in names.SHARED
    return shared and "features" in table.schema().column_names


def refuse_datasets(table: Table) -> None:
    """Raise CatalogRefused where the name of a shared table is taken by a dataset's own."""
    if is_datasets(table):
        name = ".".join(table.name())
        raise CatalogRefused(
            f"{name}: is of a dataset that an earlier version allowed to be called so; run that dataset under another "
            "name, and then drop this table from the catalog and delete its folder in the lake"
        )


def refuse_unwritable(table: Table) -> None:
    """Raise CatalogRefused where another program has upgraded the table to a format that can only be read here."""
    if table.format_version > NEWEST_WRITTEN:
        name = ".".join(table.name())
        raise CatalogRefused(
            f"{name}: another program has upgraded it to version {table.format_version} of Iceberg's table format, "
            f"which is only read here; let the catalog name its metadata of version {NEWEST_WRITTEN} from before that "
            "again, or restore a backup"
        )


def without_code(metadata: TableMetadata) -> None:
    """Drop the properties that name code to import; the next commit drops them too."""
    for name in NAMES_OF_CODE:
        metadata.properties.pop(name, None)


@contextlib.contextmanager
def readable_metadata(name: str, location: str | None, files: FileIO) -> Iterator[None]:
    """Translate what the reading of a table's metadata file raises into CatalogRefused, in one line with the remedy."""
    try:
        yield
    except FileNotFoundError:
        raise CatalogRefused(f"{name}: its metadata, {location}, is missing{_remedy(name)}") from None
    except (ValidationError, ValueError, KeyError) as error:  # pydantic's own error is a ValueError
        raise CatalogRefused(f"{name}: {_unreadable(name, str(location), files, error)}") from None


def _unreadable(name: str, location: str, files: FileIO, error: Exception) -> str:
    with files.new_input(location).open() as stream:
        data = stream.read()
    try:
        version = json.loads(data)["format-version"]
    except (ValueError, KeyError, TypeError):
        return f"its metadata, {location}, cannot be read ({len(data)} bytes){_remedy(name)}"
    if isinstance(version, int) and version > NEWEST_FORMAT:
        return f"it has version {version} of Iceberg's table format, and this version reads up to {NEWEST_FORMAT}"
    return f"its metadata, {location}, does not make sense ({type(error).__name__}){_remedy(name)}"


def _remedy(name: str) -> str:
    return f"; {REPAIR}" if is_own(name) else ""
