"""What holds images besides the tables: unfinished runs, publications, kept rejects, and exports below the lake."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import layout, read, schemas, sealed, storage
from imagefeatures.errors import AuditFailed, InputError, StoreError, StoreRefused
from imagefeatures.exports import formats
from imagefeatures.exports.folder_target import check_replaceable
from imagefeatures.forget.wanted import Needles, Wanted
from imagefeatures.layout import Layout
from imagefeatures.maps.stored import is_map
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
            raise StoreError(f"{stored.uri}: this run is being published; try again once it is")


def kept_rejects(lake: str, wanted: Wanted) -> list[str]:
    """The kept bytes of rejected objects that are wanted."""
    found = storage.list_objects(layout.kept_rejects(lake))
    return [stored.uri for stored in found if stored.uri.rpartition("/")[2] in wanted.image_ids]


class Exports(NamedTuple):
    """Other files below the lake. holding: exports that hold a wanted image; one with a slash at its end is a folder.

    foreign: files that hold one, and are no exports by their names. unsearched: too large to be read, or damaged.
    """

    holding: list[str]
    foreign: list[str]
    unsearched: list[str]


def exports(lake: str, needles: Needles) -> Exports:
    """What holds a wanted image of the files below the lake that are neither tables nor files of runs and models."""
    found: dict[str, None] = {}
    foreign, unsearched = [], []
    folders = set()
    others = [stored for stored in storage.list_objects(lake) if not _is_own(lake, stored.uri)]
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
    try:
        if needles.in_object(stored.uri, stored.size):
            return True, True
        beginning = storage.read_part(stored.uri, 0, 6)
        if beginning[:4] == b"PAR1" or beginning == b"ARROW1":
            if stored.size > LARGEST_READ:
                return False, False
            return needles.in_rows(_batches(stored, beginning)), True
    except storage.ObjectMissing:
        return False, True
    except (pa.ArrowException, OSError, StoreRefused):
        return False, False
    # Of a compressed file the bytes tell nothing; what this service exports is not compressed otherwise.
    return False, not beginning.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))


def _batches(stored: StoredObject, beginning: bytes) -> Iterator[pa.RecordBatch]:
    if beginning[:4] == b"PAR1":
        yield from pq.ParquetFile(ObjectReader(stored.uri, stored.size)).iter_batches(1024, use_threads=False)
        return
    file = pa.ipc.open_file(pa.BufferReader(storage.read(stored.uri)))
    for number in range(file.num_record_batches):
        yield file.get_batch(number)


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
