"""One table holds vectors of one width: whoever reads it makes one matrix of them."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from imagefeatures import names
from imagefeatures.catalog import manifests, pixel_tables
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.errors import DatasetError
from imagefeatures.outputs import Output

ELEMENT = "features.element"


def refuse_another(catalog: Catalog, output: Output, partition: str) -> None:
    """Raise DatasetError where the table of an output has vectors of another width, or pixels of another shape."""
    if output.kind:
        pixel_tables.refuse_another(catalog, output.table, output.kind)
    else:
        refuse_another_width(catalog, output.table, partition, output.spec.width)


def refuse_another_width(catalog: Catalog, dataset: str, partition: str, width: int) -> None:
    """Raise DatasetError where the other partitions of features.<dataset> have vectors of another width.

    Of them one file is asked, by the counts that the table keeps: all have the width of the first, because each run is
    asked so. Nothing is known of a file whose writer kept no counts.
    """
    try:
        table = catalog.load_table((names.NAMESPACE, dataset))
    except NoSuchTableError:
        return
    held = _width_beside(table, partition)
    if held not in (None, width):
        raise DatasetError(
            f"model: {names.table_name(dataset)} holds vectors of {held} values in other partitions, this model gives "
            f"{width}; give the dataset another name"
        )


@in_one_line
def _width_beside(table: Table, partition: str) -> int | None:
    """The width of the vectors in another partition than the given one; None without any, or where it is not known."""
    snapshot = table.current_snapshot()
    named = snapshot.manifests(table.io) if snapshot else []
    for manifest in sorted(named, key=lambda manifest: manifest.manifest_length):  # one file is enough
        for file in manifests.live(table.io, manifest):
            if file.partition[0] != partition and (width := _width(table, file)):
                return width
    return None


def _width(table: Table, file: DataFile) -> int | None:
    values = (file.value_counts or {}).get(table.schema().find_field(ELEMENT).field_id)
    return values // file.record_count if values and file.record_count else None
