"""The sources of support.doors with several partitions, each of which has images of its own place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imagefeatures import read, storage
from imagefeatures.settings import Settings
from support.catalog_doors import CATALOG_DOOR, doors_of_the_catalog
from support.doors import DOORS, Door
from support.hostile_http import Site, response
from support.photos import jpeg
from support.shared import PARTITION

DAYS = ("2026-11-02", "2026-11-03", "2026-11-04")
ON_THE_WEB = 7

IN_MINIO = {
    "list": "uri_list_of_lines", "urls": "table_of_parquet", "bytes": "parquet_of_bytes", "tars": "tar_shards",
    "catalog": CATALOG_DOOR,
}  # fmt: skip
"""Dataset: what it is of, for those with three partitions in MinIO. One of each kind."""

IN_FOLDERS = {
    "list_file": "uri_list_of_columns", "csv_file": "table_of_csv", "json_file": "table_of_json_lines",
    "structs_file": "parquet_of_structs", "tars_file": "tar_shards", "catalog_file": CATALOG_DOOR,
}  # fmt: skip
"""The same for those with one partition in a folder."""

WEB = "web"
"""The dataset of a table with URLs of HTTP."""


@dataclass(frozen=True)
class Stack:
    """The deployment. doors: by dataset, and by day."""

    home: Path
    settings: Settings
    doors: dict[str, dict[str, Door]]


def doors_of_days(name: str, base: str, days: Sequence[str] = DAYS) -> dict[str, Door]:
    """The door of each day, by the day. Their sources are one and the same, with `{partition}` in it.

    Builders fill PARTITION. What they have written is copied to the names of another day, and lies there besides: a
    run that took the files of another day would be seen. Of the catalog it is one table with the rows of all days.
    """
    if name == CATALOG_DOOR:
        return doors_of_the_catalog(base, days, re.sub(r"\W", "_", base.rpartition("/")[2]))
    doors = {}
    for day in days:
        root = f"{base}/{day}"
        made = DOORS[name](root)
        for stored in [] if day == PARTITION else list(storage.list_objects(root)):
            if PARTITION in stored.uri:
                storage.write(stored.uri.replace(PARTITION, day), storage.read(stored.uri))
        source = {
            field: value.replace(root, f"{base}/{{partition}}") if isinstance(value, str) else value
            for field, value in made.source.items()
        }
        good = {uri.replace(PARTITION, day): value for uri, value in made.good.items()}
        rejected = {uri.replace(PARTITION, day): value for uri, value in made.rejected.items()}
        doors[day] = Door(source, good, rejected, made.passed)
    return doors


def table_of_the_web(host: Site, base: str) -> Door:
    """A CSV of URLs that lead to this host, and to one that may not be dialled."""
    for number in range(ON_THE_WEB):
        host.behaviours[f"/{number}.jpg"] = response(body=jpeg(number), headers={"ETag": f'"{number}"'})
    host.behaviours["/page"] = response(body=b"<!doctype html>")
    good: dict[str, tuple[str | None, str | None]] = {
        host.url(f"/{number}.jpg"): (str(number), None) for number in range(ON_THE_WEB)
    }
    rejected = {
        host.url("/page"): "UNSUPPORTED_FORMAT", host.url("/gone"): "HTTP_REFUSED",
        "http://127.0.0.9/1.jpg": "BLOCKED_ADDRESS",
    }  # fmt: skip
    rows = [f"{number},{url}" for number, url in enumerate([*good, *rejected])]
    storage.write(f"{base}/{PARTITION}.csv", "\n".join(["id,photo", *rows]).encode())
    source = {
        "kind": "url_table", "table": f"{base}/{{partition}}.csv", "url": "photo", "key": "id",
        "label": {"column": "id"},
    }  # fmt: skip
    return Door(source, {uri: (key, key) for uri, (key, _) in good.items()}, rejected)


def place_of(source: dict[str, Any]) -> str:
    """Where a source lies, as people are told it."""
    return source.get("uri") or source.get("table") or f"{source['iceberg']} where {source['filter']}"


def check_partition(door: Door, settings: Settings, dataset: str, day: str) -> dict[str, object]:
    """Every object of the door is in exactly one table, with its key and label. Returns the row of features.runs."""
    rows = read.table(settings, dataset, partitions=(day,)).to_pylist()
    assert {row["uri"]: (row["key"], row["label"]) for row in rows} == door.good
    quarantine = read.table(settings, "quarantine", partitions=(day,)).to_pylist()
    quarantined = [row for row in quarantine if row["dataset"] == dataset]
    assert {row["uri"]: row["reason"] for row in quarantined} == door.rejected
    assert (len(rows), len(quarantined)) == (len(door.good), len(door.rejected))
    (counts,) = [row for row in read.runs(settings, dataset) if row["partition_key"] == day]
    assert (counts["registered"], counts["quarantined"]) == (len(rows), len(quarantined))
    assert counts["listed"] == len(rows) + len(quarantined)
    assert dict(counts["passed_over"]) == door.passed
    assert {row["run_id"] for row in rows + quarantined} == {counts["run_id"]}
    return dict(counts)
