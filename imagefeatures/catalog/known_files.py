"""The data files of a table that may hold vectors of a fingerprint, for reuse: at a cost that does not grow with them.

Iceberg's manifests say it, and a table of a thousand partitions has hundreds of files in each. A manifest never
changes. So what was found in it is kept in the lake, a file for each table, and plan reads only manifests that are new
since the last plan: a publication makes one or two, of some 64 kB (`retention.ICEBERG_PROPERTIES`).

What is kept names files and fingerprints, and no image. It is believed only with its digest, and may be deleted.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from pyiceberg.catalog import Catalog
from pyiceberg.conversions import from_bytes
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.expressions import And
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, ManifestContent, ManifestFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import PrimitiveType
from pyiceberg.utils.concurrent import ExecutorFactory

from imagefeatures import layout, names, sealed, storage
from imagefeatures.catalog import manifests
from imagefeatures.catalog.failures import in_one_line
from imagefeatures.catalog.file_io import LAKE, plain_uri
from imagefeatures.catalog.filters import equal, of_copy
from imagefeatures.errors import AuditFailed


class _Alike(NamedTuple):
    """Data files of a manifest of which it says the same. The bounds are None where it does not say them.

    beginning: what their URIs begin with. files: what comes after it, and the size in bytes. fingerprints, copies: the
    least and the greatest in each, texts perhaps cut. all_null, some_null: whether all its rows, or some, have no
    number of a copy.
    """

    beginning: str
    files: Sequence[tuple[str, int]]
    fingerprints: tuple[str, str] | None
    copies: tuple[int, int] | None
    all_null: bool
    some_null: bool

    def may_hold(self, fingerprint: str, number: int) -> bool:
        """Whether rows of this fingerprint and copy may be in them."""
        if self.fingerprints and not self.fingerprints[0] <= fingerprint <= self.fingerprints[1]:
            return False
        if self.all_null or (number == 0 and self.some_null):
            return number == 0
        return self.copies is None or self.copies[0] <= number <= self.copies[1]


@in_one_line
def files_with(catalog: Catalog, dataset: str, fingerprint: str, number: int = 0) -> list[tuple[str, int]]:
    """The data files of features.<dataset> that may hold rows of this fingerprint: (URI, bytes), sorted.

    number: of augmented copies. Creates no table. A file with single deleted rows is left out. Raises StoreError or
    StoreRefused where the lake takes no file.
    """
    try:
        table = catalog.load_table((names.NAMESPACE, dataset))
    except NoSuchTableError:
        return []
    snapshot = table.current_snapshot()
    named = snapshot.manifests(table.io) if snapshot else []
    if any(manifest.content == ManifestContent.DELETES for manifest in named):
        return _by_a_scan(table, fingerprint, number)
    found = _of_manifests(layout.known_files_of(catalog.properties[LAKE], dataset), table, named)
    alike = [one for of_manifest in found for one in of_manifest if one.may_hold(fingerprint, number)]
    return sorted((one.beginning + name, size) for one in alike for name, size in one.files)


def _by_a_scan(table: Table, fingerprint: str, number: int) -> list[tuple[str, int]]:
    """The same of a table in which another program has deleted single rows: pyiceberg finds out in which files."""
    where = equal("fingerprint", fingerprint)
    if "copy" in table.schema().column_names:
        where = And(where, of_copy(number))
    tasks = table.scan(row_filter=where).plan_files()
    return sorted(
        (plain_uri(task.file.file_path), task.file.file_size_in_bytes) for task in tasks if not task.delete_files
    )


def _of_manifests(kept_at: str, table: Table, named: list[ManifestFile]) -> list[list[_Alike]]:
    """What each manifest says of its files. Those that were read before are not read again."""
    kept = _kept(kept_at)
    paths = [plain_uri(manifest.manifest_path) for manifest in named]
    new = {path: manifest for path, manifest in zip(paths, named, strict=True) if path not in kept}
    read = ExecutorFactory.get_or_create().map(partial(_read, table.io, table.schema()), new.values())
    by_path = dict(kept) | dict(zip(new, read, strict=True))
    if new or len(kept) > len(paths):
        content = {path: by_path[path] for path in sorted(paths)}
        storage.write(kept_at, sealed.encode({"alike": content}))
    return [by_path[path] for path in paths]


def _kept(uri: str) -> dict[str, list[_Alike]]:
    """What is kept, by manifest; nothing where it is not what this version wrote."""
    try:
        kept: dict[str, list[list[Any]]] = sealed.decode(uri, storage.read(uri))["alike"]
        return {path: [_Alike(*one) for one in each] for path, each in kept.items()}
    except (storage.ObjectMissing, AuditFailed, LookupError, AttributeError, TypeError):
        return {}


def _read(io: FileIO, schema: Schema, manifest: ManifestFile) -> list[_Alike]:
    alike: dict[tuple[Any, ...], list[tuple[str, int]]] = defaultdict(list)
    for file in manifests.live(io, manifest):
        alike[_said_of(schema, file)].append((plain_uri(file.file_path), file.file_size_in_bytes))
    return [_Alike(*_shortened(files), *said) for said, files in alike.items()]


def _shortened(files: Sequence[tuple[str, int]]) -> tuple[str, list[tuple[str, int]]]:
    """What all the URIs begin with, and the files without it."""
    beginning = os.path.commonprefix([uri for uri, _ in files])  # noqa: RUF071 - of texts, not of folders
    return beginning, [(uri.removeprefix(beginning), size) for uri, size in files]


def _said_of(schema: Schema, file: DataFile) -> tuple[Any, ...]:
    """What a manifest says of a data file: the fields of _Alike after `files`."""
    copies = nulls = None
    if "copy" in schema.column_names:
        copies = _bounds(schema, file, "copy")
        nulls = (file.null_value_counts or {}).get(schema.find_field("copy").field_id)
    return _bounds(schema, file, "fingerprint"), copies, nulls == file.record_count, bool(nulls)


def _bounds(schema: Schema, file: DataFile, column: str) -> Any:
    field = schema.find_field(column)
    kind = cast(PrimitiveType, field.field_type)
    lower, upper = ((bounds or {}).get(field.field_id) for bounds in (file.lower_bounds, file.upper_bounds))
    if lower is None or upper is None:
        return None
    return from_bytes(kind, lower), from_bytes(kind, upper)
