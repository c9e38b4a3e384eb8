"""The tables features.<dataset>_pixels: each says in a property what its pixels are, and has pixels of one shape."""

from __future__ import annotations

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.table import Table

from imagefeatures import names, schemas
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.errors import CatalogRefused, DatasetError
from imagefeatures.pixels import PixelFormat

KIND = "imagefeatures.pixels"
"""The property of a table that says shape, dtype and layout of its pixels, as JSON."""

METRICS = "write.metadata.metrics.column.pixels"


def properties(name: str, kind: PixelFormat | None) -> dict[str, str]:
    """The properties that a table of such pixels is made with; none for a table without pixels.

    Raises CatalogRefused for a table of pixels that would have to be made without knowing what they are.
    """
    if not names.is_pixels_table(name):
        return {}
    if kind is None:
        raise CatalogRefused(f"{names.table_name(name)}: is not there; run a partition of the dataset")
    return {KIND: kind.as_text(), METRICS: "none"}


def kind_of(table: Table) -> PixelFormat:
    """The pixels of a table. Raises CatalogRefused where the table does not say them."""
    try:
        return PixelFormat.of_text(table.properties.get(KIND, ""))
    except ValueError as error:
        raise CatalogRefused(f"{'.'.join(table.name())}: its property {KIND} is not as it was made: {error}") from None


def schema(table: Table) -> pa.Schema:
    """The columns of a table, of whatever kind it is, as this version has them."""
    name = table.name()[-1]
    return schemas.of_table(name, kind_of(table) if names.is_pixels_table(name) else None)


def whole_schema(table: Table) -> pa.Schema:
    """The same, and after them the columns that somebody has added to the table."""
    own = schema(table)
    held = schema_to_pyarrow(table.schema(), include_field_ids=False)
    return pa.schema([*own, *(field for field in held if field.name not in own.names)])


def may_be_opened(catalog: Catalog, name: str) -> bool:
    """Whether a table is there, or can be made without knowing what its pixels are."""
    return not names.is_pixels_table(name) or catalog.table_exists((names.NAMESPACE, name))


@in_one_line
def refuse_another(catalog: Catalog, name: str, kind: PixelFormat) -> None:
    """Raise DatasetError where the table has pixels of another shape, dtype or layout. name: without the namespace.

    Iceberg cannot change the size of a column's values, so this holds for the only partition of a table too.
    """
    try:
        table = catalog.load_table((names.NAMESPACE, name))
    except NoSuchTableError:
        return
    if (held := kind_of(table)) != kind:
        raise DatasetError(
            f"pixels: {names.table_name(name)} holds pixels {held}, this run makes {kind}; give the dataset another "
            "name, or drop that table"
        )
