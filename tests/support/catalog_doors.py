"""A source that is a table of the Iceberg catalog, in a folder or in a bucket, with the rows of one or several days."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import NoSuchTableError

from imagefeatures.catalog.file_io import plain_uri
from imagefeatures.settings import Settings
from support.doors import BAD, DOORS, GOOD, Door, photos
from support.shared import PARTITION

CATALOG_DOOR = "table_of_the_catalog"

S3 = {
    "s3.endpoint": "AWS_ENDPOINT_URL", "s3.access-key-id": "AWS_ACCESS_KEY_ID",
    "s3.secret-access-key": "AWS_SECRET_ACCESS_KEY", "s3.region": "AWS_DEFAULT_REGION",
}  # fmt: skip
"""pyiceberg's properties, and the variables that hold them."""


def doors_of_the_catalog(base: str, days: Sequence[str], name: str = "products") -> dict[str, Door]:
    """The door of each day, by the day: one table shop.<name> of the environment's catalog, one data file a day.

    base: where its images and its files lie. Where the catalog has the table already, the rows are added to it.
    """
    settings = Settings.from_env()
    kind = {"type": "rest"} if settings.catalog.startswith("http") else {"type": "sql"}
    places = {ours: os.environ[theirs] for ours, theirs in S3.items() if theirs in os.environ}
    catalog = load_catalog("imagefeatures", **kind, uri=settings.catalog, warehouse=f"{base}/warehouse", **places)
    catalog.create_namespace_if_not_exists("shop")
    doors, seen = {}, set[str]()
    for day in days:
        uris = photos(f"{base}/{day}")
        rows = rows_of(uris, day)
        try:
            table = catalog.load_table(f"shop.{name}")
        except NoSuchTableError:
            table = catalog.create_table(f"shop.{name}", rows.schema, location=f"{base}/warehouse/{name}")
        table.append(rows)
        (file,) = {plain_uri(task.file.file_path) for task in table.scan().plan_files()} - seen
        seen.add(file)
        good: dict[str, tuple[str | None, str | None]] = {
            uris[f"photo {number}.jpg"]: (f"{number // 2}", None if number % 2 else "fig")
            for number in range(len(GOOD))
        }
        rejected = {
            uris["text"]: "UNSUPPORTED_FORMAT", uris["empty"]: "EMPTY_OBJECT",
            f"{file}#{len(GOOD) + len(BAD)}": "UNSUPPORTED_URL", f"gopher://{day}": "UNSUPPORTED_URL",
        }  # fmt: skip
        source = {
            "kind": "url_table", "iceberg": f"shop.{name}", "filter": "day = '{partition}' and n < 1000",
            "url": "photo", "key": "id", "label": {"column": "kind"},
        }  # fmt: skip
        doors[day] = Door(source, good, rejected, {"repeated": 1})
    return doors


def rows_of(uris: dict[str, str], day: str) -> pa.Table:
    """A table of odd types, in which every second row has no label, one no URL, one a URL again, one is filtered."""
    places = [*uris.values(), None, uris["photo 1.jpg"], f"gopher://{day}", "file:///filtered.jpg"]
    columns: dict[str, Any] = {
        "meta": [{"noise": "x" * number} for number in range(len(places))], "photo": places,
        "id": [number // 2 for number in range(len(places))], "day": [day] * len(places),
        "n": [*range(len(places) - 1), 1000],
        "kind": [None if number % 2 else "fig" for number in range(len(places))],
    }  # fmt: skip
    return pa.table(columns)


def table_of_the_catalog(base: str) -> Door:
    return doors_of_the_catalog(base, [PARTITION])[PARTITION]


EVERY_DOOR: dict[str, Callable[[str], Door]] = {**DOORS, CATALOG_DOOR: table_of_the_catalog}
"""DOORS, and the one that writes to the catalog of the environment."""
