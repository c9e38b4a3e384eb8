"""What holds images besides this service's tables: unfinished runs, publications, kept rejects, exports below the lake,
and files of tables that are somebody's own, or in no catalog.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Container, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import layout, read, schemas, sealed, storage
from imagefeatures.catalog import purge
from imagefeatures.errors import AuditFailed, InputError, StoreError, StoreRefused
from imagefeatures.exports import formats
from imagefeatures.exports.folder_target import check_replaceable
from imagefeatures.forget.wanted import Needles, Stored, Wanted, mentions
from imagefeatures.layout import Layout
from imagefeatures.maps.stored import is_map
from imagefeatures.reasons import Reason
from imagefeatures.redrive.selection import selected
from imagefeatures.storage.object_reader import ObjectReader
from imagefeatures.storage.objects import StoredObject

OWN = (
    "warehouse", "staging", "publishing", "quarantine", "forgotten", "models", "folders", "learning", "known",
    "upkeep", "catalog.db",
)  # fmt: skip
"""The folders of the lake that are not exports; what holds images in them is looked for elsewhere."""

FOLDER_LIST = "export.json"
"""The file that marks a folder as one export."""

SUFFIXES = {*formats.by_suffix, *(one.beside for one in formats.FORMATS if one.beside)}
"""How the names of exported files end. Another file is somebody's own, and is not deleted."""

DELIMITED = {".csv", ".json"}
"""The suffixes of exports in which something stands between a URI and what follows it. In NumPy's arrays, HDF5 and
TFRecord what follows may be any byte, so there a URI also counts as the beginning of another one."""

COMPONENTS_SUFFIX = ".pca.npz"

LARGEST_READ = 1 << 30
"""An export in Parquet or Arrow is read up to this size, in bytes; a larger one is only searched as it is stored."""


def unfinished_runs(lake: str, wanted: Wanted) -> list[str]:
    """The staging folders of runs that hold a wanted image: its bytes, pixels, vectors or rejection."""
    folder = layout.staging(lake)
    found: dict[str, None] = {}
    for stored in storage.list_objects(folder):
        run = re.match(rf"{re.escape(folder)}/[^/]+/[^/]+/[^/]+/", stored.uri)
        if run and run[0] not in found and _holds(lake, stored, wanted):
            found[run[0]] = None
    return [run.rstrip("/") for run in found]


def refuse_publications(lake: str, wanted: Wanted, holders: Container[str]) -> None:
    """Raise StoreError while a run is being published that quarantines a wanted image, or whose files hold one.

    holders: URIs of the data files that do.
    """
    for stored in storage.list_objects(layout.publications_folder(lake)):
        try:
            content = sealed.decode(stored.uri, storage.read(stored.uri))
            rows = sealed.table_of_text(content["quarantine"], schemas.QUARANTINE)
            files = [uri for of_table in content["files"].values() for uri in of_table]
        except (storage.ObjectMissing, AuditFailed, KeyError, TypeError, AttributeError, ValueError, pa.ArrowException):
            continue  # it has ended; or it is none, and no run can end it
        if wanted.hold(rows.to_batches()) or any(uri in holders for uri in files):
            raise StoreError(
                f"{stored.uri}: this run is being published; try again once it is. If it does not end, run its "
                "partition anew"
            )


def kept_rejects(lake: str, wanted: Wanted) -> list[str]:
    """The kept bytes of rejected objects that are wanted."""
    found = storage.list_objects(layout.kept_rejects(lake))
    return [stored.uri for stored in found if stored.uri.rpartition("/")[2] in wanted.image_ids]


def other_tables(lake: str, searched: Collection[tuple[str, ...]], needles: Needles) -> purge.Found:
    """The files of other tables in the lake's warehouse that name a wanted image in a column of texts.

    They are somebody's own, or of a table that was dropped: the catalog forgets such a table, and its files stay.
    searched: (namespace, name) of the tables that are this service's and in the catalog.
    """
    found, own = purge.Found(), {*searched, *purge.WITHOUT_IMAGES}
    folder = f"{layout.warehouse(lake)}/"
    for entry in storage.list_entries(folder):
        namespace, _, inside = entry.uri.removeprefix(folder).partition("/")
        table, _, inside = inside.partition("/")
        if (namespace, table) in own or f"/{inside}".startswith("/metadata/"):
            continue
        if _is_unreadable(entry):
            found.unreadable.append(entry.uri)
        elif entry.rejected is None and purge.may_hold_rows(entry):
            _look_into(entry, needles, found)
    return found


class Exports(NamedTuple):
    """Other files below the lake. holding: exports that hold a wanted image; one with a slash at its end is a folder.

    foreign: files that hold one, and are no exports by their names. unsearched: too large to be read, damaged, or files
    and folders that this process may not read.
    """

    holding: list[str]
    foreign: list[str]
    unsearched: list[str]


def exports(lake: str, needles: Needles) -> Exports:
    """What holds a wanted image of the files below the lake that are neither tables nor files of runs and models."""
    found: dict[str, None] = {}
    foreign = []
    folders = set()
    entries = [entry for entry in storage.list_entries(lake) if not _is_own(lake, entry.uri)]
    unsearched = [entry.uri for entry in entries if _is_unreadable(entry)]
    others = [entry for entry in entries if entry.rejected is None]
    for stored in others:
        folder, _, name = stored.uri.rpartition("/")
        if name == FOLDER_LIST and _is_export_folder(folder, stored, others):
            folders.add(f"{folder}/")
    for stored in others:
        holds, whole = _export_holds(stored, needles)
        export = next((folder for folder in folders if stored.uri.startswith(folder)), None)
        if holds and (export or PurePosixPath(stored.uri).suffix.lower() in SUFFIXES):
            found[export or stored.uri] = None
        elif holds:
            foreign.append(stored.uri)
        elif not whole:
            unsearched.append(stored.uri)
    there = {stored.uri for stored in others}
    for uri in list(found):
        found |= dict.fromkeys(near for near in _written_with(uri) if near in there)
    return Exports(list(found), foreign, unsearched)


def _is_unreadable(entry: StoredObject) -> bool:
    """Whether this process may not look into a file or folder. Links and devices are no files of the lake."""
    return entry.rejected is not None and entry.rejected.reason is Reason.NOT_READABLE


def _look_into(stored: StoredObject, needles: Needles, found: purge.Found) -> None:
    try:
        schema = pq.ParquetFile(ObjectReader(stored.uri, stored.size)).schema_arrow
        texts = [field.name for field in schema if _is_text(field.type)]
        if texts and needles.in_rows(batch for _, batch in read.file_batches(stored.uri, stored.size, texts)):
            found.files[stored.uri] = stored.size
    except storage.ObjectMissing:
        return
    except purge.UNREADABLE:
        found.unreadable.append(stored.uri)


def _is_text(kind: pa.DataType) -> bool:
    of_values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(of_values) or pa.types.is_large_string(of_values))


def _is_export_folder(folder: str, listed: StoredObject, others: list[StoredObject]) -> bool:
    """Whether a folder holds what its export.json names and nothing else: only such a one is deleted as a whole."""
    inside = [one.uri.removeprefix(f"{folder}/") for one in others if one.uri.startswith(f"{folder}/")]
    try:
        check_replaceable(folder, inside, storage.read(listed.uri))
    except (storage.ObjectMissing, InputError):
        return False
    return True


def _written_with(uri: str) -> Iterator[str]:
    """The other files that an export of this name may have: that beside it, and the components of its vectors."""
    yield f"{uri}{COMPONENTS_SUFFIX}"
    for one in formats.FORMATS:
        for suffix in one.suffixes if one.beside else ():
            if uri.endswith(suffix):
                yield uri.removesuffix(suffix) + one.beside
            elif uri.endswith(one.beside):
                yield (main := uri.removesuffix(one.beside) + suffix)
                yield f"{main}{COMPONENTS_SUFFIX}"


def _is_own(lake: str, uri: str) -> bool:
    first = uri.removeprefix(f"{lake}/").partition("/")[0]
    return first in OWN or first.startswith("catalog.db-") or is_map(lake, uri)


def _export_holds(stored: StoredObject, needles: Needles) -> tuple[bool, bool]:
    """Whether an export holds a wanted image; and whether that could be told."""
    if not stored.size:  # such as a store's mark of a folder, or Spark's of a success
        return False, True
    found = Stored(False)
    try:
        delimited = PurePosixPath(stored.uri).suffix.lower() in DELIMITED
        found = needles.in_object(stored.uri, stored.size, delimited=delimited)
        if found.surely:
            return True, True
        beginning = storage.read_part(stored.uri, 0, 6)
        if (beginning[:4] == b"PAR1" or beginning == b"ARROW1") and stored.size <= LARGEST_READ:
            # Its texts may stand side by side, so only the columns tell where one ends.
            said, batches = _opened(stored, beginning)
            own = any(mentions(text, uri) for text in said for uri in found.uris)
            return own or needles.in_rows(batches, found.uris), True
    except storage.ObjectMissing:
        return False, True
    except (pa.ArrowException, OSError, StoreRefused):
        return bool(found.uris), bool(found.uris)
    if found.uris:
        return True, True
    # Of a compressed file the bytes tell nothing; what this service exports is not compressed otherwise.
    return False, not beginning.startswith((b"PAR1", b"ARROW1", b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))


def _opened(stored: StoredObject, beginning: bytes) -> tuple[list[bytes], Iterator[pa.RecordBatch]]:
    """What a file in Parquet or Arrow says of itself, and its rows."""
    if beginning[:4] == b"PAR1":
        parquet = pq.ParquetFile(ObjectReader(stored.uri, stored.size))
        return list((parquet.metadata.metadata or {}).values()), parquet.iter_batches(1024, use_threads=False)
    file = pa.ipc.open_file(pa.BufferReader(storage.read(stored.uri)))
    batches = (file.get_batch(number) for number in range(file.num_record_batches))
    return list((file.schema.metadata or {}).values()), batches


def _holds(lake: str, stored: StoredObject, wanted: Wanted) -> bool:
    """Whether a file of a run's staging folder holds a wanted image."""
    try:
        if stored.uri.endswith("/redrive.json"):
            place = Layout.of_run_file(stored.uri.replace("/redrive.json", "/run.json"), lake)
            chosen = selected(place, json.loads(storage.read(stored.uri))["replaces"])
            return wanted.hold([*chosen.chosen.to_batches(), *chosen.kept.to_batches()])
        if not stored.uri.endswith(".parquet"):
            return False
        file = pq.ParquetFile(ObjectReader(stored.uri, stored.size))
        if "image_id" not in file.schema_arrow.names:  # a listing, or where vectors are
            return False
        return wanted.hold(batch for _, batch in read.file_batches(stored.uri, stored.size, wanted.columns))
    except storage.ObjectMissing:
        return False
    except (AuditFailed, KeyError, ValueError, TypeError, pa.ArrowException, OSError):
        return True  # of a damaged file it cannot be told, and no run can go on with it
