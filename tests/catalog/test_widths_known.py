"""What manifests say of the width of vectors, and that pixels of another shape are refused too."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from pyiceberg.manifest import DataFile

from imagefeatures.catalog import tables, widths
from imagefeatures.errors import DatasetError
from imagefeatures.outputs import Output
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings
from support.growing import run_file
from support.publishing import DAY

SMALL, LARGE = PixelFormat((2, 2, 3)), PixelFormat((4, 4, 3))


def output(table: str, kind: PixelFormat | None, width: int = 0) -> Output:
    return cast("Output", SimpleNamespace(table=table, kind=kind, spec=SimpleNamespace(width=width)))


def test_pixels_of_another_shape_are_refused_and_vectors_of_another_width(settings: Settings) -> None:
    catalog = tables.open_catalog(settings)
    tables.open_table(catalog, settings, "photos_pixels", SMALL)
    photos = tables.open_table(catalog, settings, "photos")
    tables.replace_files(photos, DAY, [run_file(settings, "one")], "one")
    for fits in (output("photos_pixels", SMALL), output("photos", None, 4)):
        widths.refuse_another(catalog, fits, "2026-11-03")
    with pytest.raises(DatasetError, match=r"^pixels: features\.photos_pixels holds pixels "):
        widths.refuse_another(catalog, output("photos_pixels", LARGE), "2026-11-03")
    with pytest.raises(DatasetError, match=r"^model: features\.photos holds vectors of 4 values in other partitions, "):
        widths.refuse_another(catalog, output("photos", None, 5), "2026-11-03")
    widths.refuse_another(catalog, output("photos", None, 5), DAY)


def test_the_width_of_a_file_whose_writer_kept_no_counts_is_not_known(settings: Settings) -> None:
    photos = tables.open_table(tables.open_catalog(settings), settings, "photos")
    element = photos.schema().find_field(widths.ELEMENT).field_id

    def width(values: dict[int, int] | None, rows: int) -> int | None:
        return widths._width(photos, DataFile.from_args(value_counts=values, record_count=rows))

    assert width({element: 28}, 4) == 7
    assert width({element + 1: 28}, 4) is None
    assert width(None, 4) is None
    assert width({element: 28}, 0) is None
