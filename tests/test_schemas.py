"""The columns of the files between the steps, and how tables' files are written. docs/tables.md has the tables'."""

from __future__ import annotations

import pyarrow as pa
import pytest

from imagefeatures import schemas
from imagefeatures.pixels import PixelFormat

PICTURE = PixelFormat((224, 224, 3))
IDENTITY = "uri string, image_id string, size int64, etag string?, label string?, key string?"
SHOWN = "width int32, height int32, mode string"
REJECTED = "uri string, image_id string?, size int64?, etag string?, label string?, key string?, step string"
VECTOR = "features list<element: float not null>"
OF_A_ROW = "size int64, etag string?"


def columns(schema: pa.Schema) -> str:
    """Name and type of each column; `?` where it may be null."""
    return ", ".join(f"{field.name} {field.type}{'?' if field.nullable else ''}" for field in schema)


@pytest.mark.parametrize(
    ("schema", "has"),
    [
        (
            schemas.LISTING,
            "uri string, size int64?, etag string?, label string?, key string?, locator string?, weight int64?, "
            "reason string?, detail string?",
        ),
        (schemas.RAW, f"{IDENTITY}, data binary"),
        (schemas.VERDICT, f"{IDENTITY}, format string, {SHOWN}"),
        (schemas.DECODED, f"{IDENTITY}, {SHOWN}"),
        (schemas.pixels(PICTURE), f"{IDENTITY}, {SHOWN}, pixels fixed_size_binary[150528]?"),
        (schemas.REUSED, f"{IDENTITY}, {SHOWN}, {VECTOR}"),
        (schemas.REJECTED, f"{REJECTED}, reason string, detail string"),
        (
            schemas.pixels_table(PICTURE),
            f"partition_key string, uri string, image_id string, label string?, {SHOWN}, {OF_A_ROW}, "
            "fingerprint string, pixels fixed_size_binary[150528], run_id string, key string?, copy int32?",
        ),
        (
            schemas.FEATURES,
            f"partition_key string, uri string, image_id string, label string?, {SHOWN}, {OF_A_ROW}, model string, "
            f"fingerprint string, {VECTOR}, run_id string, key string?, copy int32?",
        ),
    ],
)
def test_each_file_has_its_columns(schema: pa.Schema, has: str) -> None:
    assert columns(schema) == has


def test_what_resize_reuses_is_vectors_or_pixels() -> None:
    assert schemas.reused(None) == schemas.REUSED
    assert columns(schemas.reused(PICTURE)) == columns(schemas.pixels(PICTURE))


def test_pixels_say_their_shape_in_files_and_tables() -> None:
    for schema in (schemas.pixels(PICTURE), schemas.pixels_table(PICTURE)):
        assert PixelFormat.of_field(schema.field("pixels")) == PICTURE
    for field in schemas.pixels_table(PICTURE):
        assert field.metadata[b"doc"]
        assert len(field.metadata) == 1 or field.name == "pixels"
    assert schemas.FEATURES.field("features").metadata[b"doc"]


def test_a_table_has_the_columns_of_its_name() -> None:
    assert schemas.of_table("birds") == schemas.FEATURES
    assert schemas.of_table("birds_pixels", PICTURE) == schemas.pixels_table(PICTURE)
    assert schemas.of_table("birds_pixels").field("pixels").type == pa.binary()
    by_name = {"quarantine": schemas.QUARANTINE, "runs": schemas.RUNS, "withdrawals": schemas.WITHDRAWALS}
    by_name |= {"forgotten": schemas.FORGOTTEN, "statistics": schemas.STATISTICS}
    for name, schema in by_name.items():
        assert schemas.of_table(name) == schema
        assert schemas.columns_of(name) == tuple(schema.names)
    assert schemas.columns_of("birds") == tuple(schemas.FEATURES.names)
    assert schemas.columns_of("birds_pixels") == tuple(schemas.pixels_table(PICTURE).names)


def test_files_of_a_table_are_compressed_and_have_checksums() -> None:
    texts = ["partition_key", "label", "mode", "fingerprint", "run_id"]
    features, pixels = schemas.file_options(None), schemas.file_options(PICTURE)
    for options in (features, pixels):
        assert (options["compression"], options["write_page_checksum"]) == ("zstd", True)
    assert sorted(features["use_dictionary"]) == sorted([*texts, "model"])
    assert sorted(pixels["use_dictionary"]) == sorted(texts)
    assert pixels["compression_level"] == 1
    assert sorted([*pixels["write_statistics"], "pixels"]) == sorted(schemas.PIXEL_COLUMNS)


def test_pages_and_groups_of_pixels_hold_few_pictures_and_never_none() -> None:
    def sizes(row_bytes: int) -> tuple[int, int]:
        options = schemas.pixels_file(row_bytes)
        return options["write_batch_size"], options["row_group_size"]

    assert sizes(PICTURE.size) == (6, 111)
    assert sizes(1 << 20) == (1, 16)
    assert sizes(1 << 30) == (1, 1)
