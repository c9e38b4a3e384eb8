"""What a table must be to be used: of this lake, of a version that is known, without code; else one line says why."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.exceptions import ValidationError
from pyiceberg.table import Table

from imagefeatures import schemas
from imagefeatures.catalog import guards
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import program

LAKE_URI = "file:///lake"
INSIDE = f"{LAKE_URI}/warehouse/features/photos"


def table(location: str = INSIDE, **properties: str) -> Any:
    metadata = SimpleNamespace(properties=properties)
    return SimpleNamespace(metadata=metadata, name=lambda: ("features", "photos"), location=lambda: location)


def test_a_table_of_this_lake_passes_without_the_properties_that_name_code() -> None:
    code = dict.fromkeys(("py-io-impl", "write.py-location-provider.impl", "py-catalog-impl"), "os.system")
    harmless = {"write.metadata.compression-codec": "gzip", guards.VERSION: str(schemas.VERSION)}
    given: Table = table(**code, **harmless)
    assert guards.checked(given, LAKE_URI, "c") is given
    assert given.metadata.properties == harmless


def test_a_table_without_a_version_is_of_the_first_one() -> None:
    given: Table = table()
    assert guards.checked(given, LAKE_URI, "c") is given


@pytest.mark.parametrize("version", [str(schemas.VERSION + 1), "one", "", "-1", "²"])
def test_a_version_that_is_not_known_is_a_newer_one(version: str) -> None:
    with pytest.raises(CatalogRefused) as refused:
        guards.checked(table(**{guards.VERSION: version}), LAKE_URI, "the catalog")
    assert str(refused.value) == (
        f"features.photos in the catalog has schema version {version}, of a newer imagefeatures; this one knows "
        f"versions up to {schemas.VERSION}: install the newer one"
    )


def test_a_table_whose_metadata_names_another_lake_is_refused() -> None:
    with pytest.raises(CatalogRefused, match=r"^features\.photos in the catalog lies in file:///other/t, which is not"):
        guards.checked(table("file:///other/t"), LAKE_URI, "the catalog")


@pytest.mark.parametrize(
    ("location", "inside"),
    [
        (INSIDE, True),
        (INSIDE.replace("file:///", "file:/"), True),  # as Spark writes it
        (f"{LAKE_URI}/warehouse", False),
        (f"{LAKE_URI}/warehouse2/features/photos", False),
        (f"{LAKE_URI}/staging/x", False),
        ("s3://lake/warehouse/features/photos", False),
    ],
)
def test_a_location_lies_in_a_lake_if_it_is_below_its_warehouse(location: str, inside: bool) -> None:
    assert guards.is_inside(location, LAKE_URI) is inside


@pytest.mark.parametrize("location", [None, "", INSIDE])
def test_no_location_is_in_no_other_lake(location: str | None) -> None:
    guards.check_place("features.photos", location, LAKE_URI, "c")


def told(file: Path, error: Exception) -> str:
    """The line in which an error of a metadata file is told."""
    files = LakeFileIO({LAKE: f"file://{file.parent}"})
    with pytest.raises(CatalogRefused) as refused, guards.readable_metadata("features.x", f"file://{file}", files):
        raise error
    return str(refused.value)


REPAIR = f"`{program()} repair` shows what is left of it"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "warehouse" / "features" / "x" / "metadata"
    folder.mkdir(parents=True)
    return folder / "v1.metadata.json"


def test_metadata_that_is_missing(file: Path) -> None:
    assert told(file, FileNotFoundError()) == f"features.x: its metadata, file://{file}, is missing; {REPAIR}"


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\ufffd", "7"])
def test_metadata_that_cannot_be_read(file: Path, content: str) -> None:
    size = file.write_bytes(content.encode())
    said = f"features.x: its metadata, file://{file}, cannot be read ({size} bytes); {REPAIR}"
    assert told(file, ValueError("json")) == said


@pytest.mark.parametrize(("version", "newer"), [("4", True), ("3", False), ('"4"', False), ("1", False)])
@pytest.mark.parametrize("error", [ValidationError("x"), KeyError("x"), ValueError("x")])
def test_metadata_that_makes_no_sense_or_is_of_a_newer_format(
    file: Path, version: str, newer: bool, error: Exception
) -> None:
    file.write_text(f'{{"format-version": {version}}}')
    assert told(file, error) == (
        "features.x: it has version 4 of Iceberg's table format, and this version reads up to 3"
        if newer
        else f"features.x: its metadata, file://{file}, does not make sense ({type(error).__name__}); {REPAIR}"
    )
