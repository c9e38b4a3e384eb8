"""Manifest lists and manifests, read by readers that are worked out once for each schema they are written in.

pyiceberg works one out for each file, from the schema in its head. The files of a table have the same two schemas, and
a clean-up reads some two hundred files: that was two thirds of its time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import Any, Self

from pyiceberg.avro.decoder import new_decoder
from pyiceberg.avro.file import META_SCHEMA, AvroFile, AvroFileHeader
from pyiceberg.avro.reader import Reader
from pyiceberg.avro.resolver import construct_reader, resolve_reader
from pyiceberg.io import FileIO, InputFile
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    MANIFEST_ENTRY_SCHEMAS,
    MANIFEST_LIST_FILE_SCHEMAS,
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    PartitionFieldSummary,
)
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

SCHEMA = "avro.schema"
"""What the head of an Avro file calls the schema that it is written in."""

KNOWN_SCHEMAS = 64
"""So many readers are kept. A table has one of each kind, and some more of times before it got new columns."""


class _Kind(IntEnum):
    LIST, MANIFEST = range(2)


_RESOLVED: Mapping[_Kind, tuple[Any, ...]] = {
    _Kind.LIST: (
        MANIFEST_LIST_FILE_SCHEMAS[DEFAULT_READ_VERSION],
        {-1: ManifestFile, 508: PartitionFieldSummary},
        {517: ManifestContent},
    ),
    _Kind.MANIFEST: (
        MANIFEST_ENTRY_SCHEMAS[DEFAULT_READ_VERSION],
        {-1: ManifestEntry, 2: DataFile},
        {0: ManifestEntryStatus, 101: FileFormat, 134: DataFileContent},
    ),
}
"""What pyiceberg makes of each kind: the schema that is read, and the classes of its records and of its numbers."""

_HEAD = construct_reader(META_SCHEMA, {-1: AvroFileHeader})


def read_list(io: FileIO, uri: str) -> tuple[Mapping[str, str], list[ManifestFile]]:
    """What the head of a manifest list says of its snapshot, and the manifests. Raises FileNotFoundError."""
    with _File(io.new_input(uri), _Kind.LIST) as file:
        return file.header.meta, list(file)


def live(io: FileIO, manifest: ManifestFile) -> list[DataFile]:
    """The data files that a manifest names; `spec_id` is not filled in. Raises FileNotFoundError."""
    return [entry.data_file for entry in _entries(io, manifest) if entry.status != ManifestEntryStatus.DELETED]


def taken_away(io: FileIO, manifest: ManifestFile) -> list[DataFile]:
    """The data files of which a manifest says that its commit took them away. As `live`."""
    return [entry.data_file for entry in _entries(io, manifest) if entry.status == ManifestEntryStatus.DELETED]


def _entries(io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
    with _File(io.new_input(manifest.manifest_path), _Kind.MANIFEST) as file:
        return list(file)


class _File(AvroFile[Any]):
    """pyiceberg's Avro file, with a reader from those that are known."""

    def __init__(self, input_file: InputFile, kind: _Kind) -> None:
        super().__init__(input_file)
        self._kind = kind

    def __enter__(self) -> Self:
        with self.input_file.open() as file:
            self.decoder = new_decoder(file.read())
        self.header = _HEAD.read(self.decoder)
        self.reader = _reader(self.header.meta.get(SCHEMA, ""), self._kind)
        return self


@lru_cache(KNOWN_SCHEMAS)
def _reader(written: str, kind: _Kind) -> Reader:
    """The reader of files with this schema; it has no state. Raises ValueError where it is none."""
    return resolve_reader(AvroSchemaConversion().avro_to_iceberg(json.loads(written)), *_RESOLVED[kind])
