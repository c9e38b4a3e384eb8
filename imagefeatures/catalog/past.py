"""The metadata files of a table's own past: what its metadata log names, and what the log has forgotten.

Another catalog's files may lie beside them, of a copy of the database that has committed to the same lake. By the
versions in their names they are not told apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pyiceberg.serializers import FromInputFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.errors import CatalogRefused


def version(name: str) -> int | None:
    """The version of a table that a metadata file holds, by its name; None for the name of any other file.

    >>> version("00012-5f9a.metadata.json"), version("snap-12.avro")
    (12, None)
    """
    match = re.fullmatch(r"(\d+)-[^/]+\.metadata\.json", name)
    return int(match.group(1)) if match else None


def log_of(metadata: TableMetadata) -> list[str]:
    """The URIs of earlier metadata files that a metadata file names, oldest first."""
    return [plain_uri(entry.metadata_file) for entry in metadata.metadata_log]


def forgotten_by_log(table: Table, files: Collection[str]) -> set[str]:
    """The metadata files that a table's log has forgotten, and that the logs of its own earlier files still name.

    Versions that were told to keep them have left them. files: URIs of those that are there. Raises CatalogRefused
    where one of them cannot be read.
    """
    log = log_of(table.metadata)
    known = set(log)
    past: set[str] = set()
    while oldest := next((uri for uri in log if uri in files), None):
        earlier = read(table, oldest)
        log = log_of(earlier) if earlier else []
        if known.issuperset(log):
            break
        past |= set(log) - known
        known |= past
    return past


def read(table: Table, uri: str) -> TableMetadata | None:
    """A metadata file in a table's folder; None where it is gone. Raises CatalogRefused where it cannot be read."""
    try:
        return FromInputFile.table_metadata(table.io.new_input(uri))
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a damaged file makes pyiceberg raise
        raise CatalogRefused(
            f"{'.'.join(table.name())}: {uri} cannot be read ({type(error).__name__}), so it is not known whose it is; "
            "nothing is swept there. If it is nobody's, remove it"
        ) from None
