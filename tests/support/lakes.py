"""Lakes that earlier versions have published: kept in tests/lakes, and copied into a test's own folder."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from pyiceberg.avro.file import AvroFile, AvroOutputFile
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.typedef import Record

KEPT = Path(__file__).resolve().parent.parent / "lakes"

PUBLISHED = "file:///srv/imagefeatures-"
"""The URI of every lake when its version published it, without the version at its end."""


def lay_out(version: str, folder: Path) -> Path:
    """Copy a kept lake, with its photos and its dataset file, into a folder. Returns the lake: folder/lake.

    Iceberg refers to every file by its full URI. So the catalog, the tables' metadata, the manifest lists and the
    manifests are rewritten, older snapshots included. The data files stay as they were published, byte for byte: their
    column `uri` has the photos' old URIs. Reuse works nevertheless, since it compares image_id, the digest of an
    image's bytes.
    """
    old, new = f"{PUBLISHED}{version}", f"file://{folder}"
    shutil.copytree(KEPT / version, folder, dirs_exist_ok=True)
    lake = folder / "lake"
    _move_catalog(lake / "catalog.db", old, new)
    for metadata in lake.glob("warehouse/*/*/metadata"):
        for path in metadata.glob("*.metadata.json"):
            path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        # Manifest lists last, since they hold the lengths of their manifests.
        for path in sorted(metadata.glob("*.avro"), key=lambda path: path.name.startswith("snap-")):
            _move_manifests(path, old, new)
    return lake


def _move_catalog(database: Path, old: str, new: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for column in ("metadata_location", "previous_metadata_location"):
            connection.execute(f"UPDATE iceberg_tables SET {column} = replace({column}, ?, ?)", (old, new))


def _move_manifests(path: Path, old: str, new: str) -> None:
    """Rewrite one manifest or one manifest list, with the same records in the same columns."""
    files = PyArrowFileIO()
    with AvroFile(files.new_input(str(path))) as source:
        records = [_moved(record, old, new) for record in source]
    columns = [field.name for field in source.schema.fields]
    if "manifest_length" in columns:
        path_index, length_index = columns.index("manifest_path"), columns.index("manifest_length")
        for record in records:
            record[length_index] = Path(record[path_index].removeprefix("file://")).stat().st_size
    meta = source.header.meta
    name = json.loads(meta["avro.schema"])["name"]
    with AvroOutputFile(files.new_output(str(path)), source.schema, name, metadata=meta) as sink:
        sink.write_block(records)


def _moved(value: Any, old: str, new: str) -> Any:
    if isinstance(value, Record):
        return Record(*(_moved(value[index], old, new) for index in range(len(value))))
    return value.replace(old, new) if isinstance(value, str) else value
