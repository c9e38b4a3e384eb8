"""A table of pixels says what they are, and takes no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from pyiceberg.table import Table

from imagefeatures import schemas
from imagefeatures.catalog import pixel_tables, tables
from imagefeatures.errors import CatalogRefused, DatasetError
from imagefeatures.pixels import PixelFormat
from imagefeatures.settings import Settings

KIND = PixelFormat.of_shape((6, 5, 3))


def table(name: str, **properties: str) -> Table:
    return cast("Table", SimpleNamespace(name=lambda: ("features", name), properties=properties))


def test_only_a_table_of_pixels_is_made_with_properties() -> None:
    assert pixel_tables.properties("photos", KIND) == pixel_tables.properties("photos", None) == {}
    assert pixel_tables.properties("photos_pixels", KIND) == {
        "imagefeatures.pixels": KIND.as_text(),
        "write.metadata.metrics.column.pixels": "none",
    }
    with pytest.raises(CatalogRefused, match=r"^features\.photos_pixels: is not there; run a partition"):
        pixel_tables.properties("photos_pixels", None)


def test_a_table_says_its_pixels_or_is_refused() -> None:
    said = {pixel_tables.KIND: KIND.as_text()}
    assert pixel_tables.kind_of(table("photos_pixels", **said)) == KIND
    with pytest.raises(CatalogRefused) as refused:
        pixel_tables.kind_of(table("photos_pixels"))
    assert str(refused.value) == (
        "features.photos_pixels: its property imagefeatures.pixels is not as it was made: '' does not say shape, "
        "dtype and layout"
    )


def test_the_columns_are_those_of_the_kind_of_table() -> None:
    said = {pixel_tables.KIND: KIND.as_text()}
    assert pixel_tables.schema(table("photos_pixels", **said)) == schemas.pixels_table(KIND)
    assert pixel_tables.schema(table("photos")) == schemas.FEATURES


def test_a_table_of_pixels_may_be_opened_once_it_is_there(settings: Settings) -> None:
    with tables.open_catalog(settings) as catalog:
        assert pixel_tables.may_be_opened(catalog, "photos")
        assert not pixel_tables.may_be_opened(catalog, "photos_pixels")
        pixel_tables.refuse_another(catalog, "photos_pixels", KIND)
        tables.open_table(catalog, settings, "photos_pixels", KIND)
        assert pixel_tables.may_be_opened(catalog, "photos_pixels")
        pixel_tables.refuse_another(catalog, "photos_pixels", KIND)
        with pytest.raises(DatasetError) as refused:
            pixel_tables.refuse_another(catalog, "photos_pixels", PixelFormat.of_shape((6, 5, 1)))
    assert str(refused.value) == (
        "pixels: features.photos_pixels holds pixels uint8 [6, 5, 3] RGB, this run makes uint8 [6, 5, 1] L; give the "
        "dataset another name, or drop that table"
    )
