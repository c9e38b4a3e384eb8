"""Tables that a lake has and its catalog does not: the catalog is a new one, or was lost and made anew."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterator

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError, NoSuchTableError

from imagefeatures import layout, names, storage
from imagefeatures.catalog import connect, past, repair
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.catalog.repair import State
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import iceberg_s3_properties, program


def refuse(catalog: Catalog) -> None:
    """Raises CatalogRefused when the lake has tables of which the catalog knows none.

    A run would make them a second time, in the same folders.
    """
    if _knows_runs(catalog):
        return
    lake = catalog.properties[LAKE]
    folder = f"{layout.table_folder(lake, names.RUNS)}/metadata"
    # The first version, 0, may be of a run that is making the table, or was ended as it did.
    left = [name for name in storage.names(folder) if past.version(name)]
    if left and not _knows_runs(catalog):  # a run may have made it meanwhile
        raise CatalogRefused(
            f"{lake} has tables that {connect.describe(catalog.properties['uri'])} does not know, such as "
            f"{folder}/{left[-1]}: set IMAGEFEATURES_CATALOG to the lake's catalog; if that is lost, `{program()} "
            "repair --apply` lists the tables again"
        )


def _knows_runs(catalog: Catalog) -> bool:
    try:
        catalog.load_table((names.NAMESPACE, names.RUNS))  # which every publication has made
    except NoSuchTableError:
        return False
    return True


def unlisted(lake: str, listed: Container[str]) -> Iterator[tuple[str, State | None]]:
    """Each table that the lake has and the catalog does not: its name, and its newest state that can be read.

    listed: names of the tables that the catalog has, each with its namespace. A table that was dropped leaves its files
    too. The newest state may be of a commit that was never made.
    """
    io = LakeFileIO({LAKE: lake} | iceberg_s3_properties())
    for namespace in names.NAMESPACES:
        folder = f"{layout.warehouse(lake)}/{namespace}/"
        places = (stored.uri.removeprefix(folder).split("/") for stored in storage.list_objects(folder))
        for name in sorted({place[0] for place in places if place[1:2] == ["metadata"]}):
            if f"{namespace}.{name}" not in listed:
                yield f"{namespace}.{name}", repair.newest_sound(f"{folder}{name}/metadata", io)


def list_again(catalog: Catalog, name: str, state: State) -> None:
    """Make a table that is in no catalog one of this catalog, in that state. name: with the namespace."""
    namespace, _, table = name.partition(".")
    with connect.readable_errors(catalog.properties["uri"]), contextlib.suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(namespace)
    with connect.readable_errors(catalog.properties["uri"]):
        catalog.register_table((namespace, table), state.uri)
