"""An export, from the request to the finished file."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import pyarrow as pa

from imagefeatures import names, read, schemas
from imagefeatures.errors import ParamsError
from imagefeatures.exports import components, formats, rows
from imagefeatures.exports.content import Batch, Content
from imagefeatures.exports.estimate import Write, estimate
from imagefeatures.exports.folder_target import LocalFolder
from imagefeatures.exports.originals import COLUMNS as COLUMNS_OF_ORIGINALS
from imagefeatures.exports.originals import Originals
from imagefeatures.exports.s3_target import S3Folder, S3Object
from imagefeatures.exports.targets import LOCK, LocalFile, Target
from imagefeatures.exports.webdataset import check_png
from imagefeatures.reasons import printable
from imagefeatures.settings import Settings
from imagefeatures.wording import meant

if TYPE_CHECKING:
    from imagefeatures.catalog.snapshots import Selection

T = TypeVar("T", Batch, np.ndarray)

COLUMNS = ("uri", "label", "image_id", "partition_key", "width", "height")
"""The facts of an export, unless others are asked for."""

ALWAYS = ("uri", "label")
"""The facts that every export has."""

MOST_NAME_BYTES = 255
MOST_KEY_BYTES = 1024

SHOWN = 60
"""So many characters of a name that is too long are shown."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done: rows, or bytes that are sent to a store."""


@dataclass(frozen=True)
class Request:
    """What is to be exported, and where. target: a path or URI; one that ends in a slash is a folder.

    format: its name; None: as the suffix says. what: features or pixels. columns: the facts besides uri and label.
    components: so many principal components in place of the vectors. flat: each value is a column.
    originals: the images themselves in place of their pixels. selection: which rows, as for `read.batches`.
    """

    dataset: str
    target: str
    format: str | None = None
    what: str = "features"
    columns: tuple[str, ...] = COLUMNS
    components: int | None = None
    flat: bool = False
    originals: bool = False
    overwrite: bool = False
    selection: Selection = field(default_factory=lambda: cast("Selection", {}))


@dataclass(frozen=True)
class Export:
    """An export that is ready to be written. bytes: about how many it will have. projection: of the components."""

    content: Content
    format: formats.Format
    bytes: int
    projection: components.Projection | None
    _rows: rows.Rows
    _place: _Place

    def write(self, progress: Progress = lambda what, done, whole: None) -> int:
        """Write it, and publish it under its name. Returns its bytes.

        Raises InputError where the name is taken by now, StoreRefused where there is no room, StoreError; and what
        `read.batches` raises. Nothing is under the name after an error.
        """
        target = self._place.target(self.content)
        with target.writing(self.bytes, lambda done, whole: progress("sending", done, whole)) as folder:
            batches = self._rows.batches(self.content.facts.names)
            if self.projection is not None:
                batches = self.projection.batches(batches)
                self.projection.save(folder / self._place.projection)
            self._place.write(
                self.content, _counted(batches, "writing", self.content.rows, progress), folder / self._place.name
            )
            return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.name != LOCK)


def prepare(settings: Settings, request: Request, progress: Progress = lambda what, done, whole: None) -> Export:
    """Find the rows and their order, fit the components, and estimate the size. Writes nothing to the target.

    Raises ParamsError for a request that cannot be; InputError for an existing target, and for a table without such
    rows or with several fingerprints; and what `read.batches` raises.
    """
    place = _Place.of(request)
    _facts(request)
    place.target(None).check()
    selection = request.selection
    if request.originals:  # a copy has the same
        selection = {**selection, "copies": False}
    found = rows.find(settings, read.table_with(request.dataset, request.what), selection)
    chosen = _facts(replace(request, columns=(*request.columns, "copy")) if found.augmented else request)
    if found.kind is not None and place.format.name == "webdataset" and not request.originals:
        check_png(found.kind)
    projection = None
    if request.components is not None:
        vectors = _counted(found.vectors(), "fitting", len(found), progress)
        projection = components.fit(vectors, found.values.shape[0], request.components)
    content = Content(
        table=found.table,
        snapshot=found.snapshot,
        model=found.model,
        fingerprint=found.fingerprint,
        rows=len(found),
        shape=found.values.shape if request.components is None else (request.components,),
        label_names=found.label_names,
        facts=chosen,
        kind=found.kind,
        components=request.components,
        flat=request.flat,
        originals=Originals.of_dataset(settings, request.dataset) if request.originals else None,
    )
    sample = [found.sample(chosen.names, values=place.format.measured)]
    if projection is not None:
        sample = list(projection.batches(sample))
    # What cannot be had is counted where the export is written, and not in the sample.
    measured = replace(content, originals=content.originals and content.originals.uncounted())
    size = estimate(measured, sample, place.write, place.name)
    return Export(content, place.format, size, projection, found, place)


@dataclass(frozen=True)
class _Place:
    """Where an export goes: a file with those beside it, or a folder. name: of the file; "" for a folder."""

    uri: str
    local: bool
    name: str
    format: formats.Format
    components: bool
    overwrite: bool

    @classmethod
    def of(cls, request: Request) -> _Place:
        _check_name(request.target)
        chosen = formats.choose(request.target, request.format)
        if request.originals and (request.what != "pixels" or chosen.name != "webdataset"):
            raise ParamsError("--originals: is for --what pixels in the format webdataset")
        if request.what == "pixels":
            _check_pixels(request, chosen)
        if request.flat and not chosen.flat:
            flat = ", ".join(one.name for one in formats.FORMATS if one.flat)
            raise ParamsError(f"--flatten: {chosen.name} has no columns of single values; {flat} have")
        if request.components is not None and request.components < 1:
            raise ParamsError(f"--pca: must be at least 1 (got {request.components})")
        scheme, separator, rest = request.target.partition("://")
        if separator and scheme not in ("file", "s3"):
            raise ParamsError(f"--to: {request.target}: neither a path, file:// nor s3://")
        if scheme == "file" and separator and not rest.startswith("/"):
            raise ParamsError(
                f"--to: {request.target}: the address of a file begins with file:///; name the whole path"
            )
        local = scheme != "s3" or not separator
        if not local and "/" not in rest.rstrip("/"):
            raise ParamsError(f"--to: {request.target}: name a key in the bucket, such as s3://bucket/features.npy")
        try:
            path = str(Path(rest if separator else request.target).expanduser().absolute()) if local else request.target
        except RuntimeError:
            raise ParamsError(f"--to: {request.target}: there is no such user; write the path of the folder") from None
        if not path.strip("/"):
            raise ParamsError(f"--to: {request.target}: is the root of the file system; name a folder in it")
        name = "" if request.target.endswith("/") else path.rpartition("/")[2]
        if name == LOCK:
            raise ParamsError(f"--to: {request.target}: an export needs this name itself; choose another")
        place = cls(path.rstrip("/"), local, name, chosen, request.components is not None, request.overwrite)
        if name and len(set(place.names)) < len(place.names):
            raise ParamsError(f"--to: {name} is also the name of the file beside it; give it another suffix")
        _check_length(place)
        return place

    @property
    def names(self) -> tuple[str, ...]:
        """The files of an export that is no folder, its own last."""
        return (*((self.projection,) if self.components else ()), *self.format.names(self.name))

    @property
    def stale(self) -> tuple[str, ...]:
        """The files that only an earlier export of this name can have beside it."""
        return () if self.components else (self.projection,)

    @property
    def projection(self) -> str:
        """The file that holds what makes components of a vector."""
        return f"{self.name}.pca.npz" if self.name else "pca.npz"

    @property
    def write(self) -> Write:
        module = importlib.import_module(f"imagefeatures.exports.{self.format.name}")
        return cast("Write", module.write if self.name else module.write_folder)

    def target(self, content: Content | None) -> Target:
        if self.name:
            return (
                (LocalFile(Path(self.uri), self.names, self.overwrite, self.stale))
                if self.local
                else (S3Object(self.uri, self.names, self.overwrite, self.stale))
            )
        about = {"format": self.format.name, **(content.about() if content else {})}
        return (
            LocalFolder(Path(self.uri), about, self.overwrite)
            if self.local
            else (S3Folder(self.uri, about, self.overwrite))
        )


def _check_name(target: str) -> None:
    """Raise ParamsError for a target that can be no name, or that was hardly meant as the name of a file."""
    try:
        target.encode()
    except UnicodeEncodeError:
        raise ParamsError(f"--to: {printable(target)}: is not UTF-8; choose another name") from None
    if "\0" in target:
        raise ParamsError(f"--to: {printable(target)}: no name holds the character 0; choose another")
    if target == "-":
        raise ParamsError("--to: -: an export is not written to standard output; name a file")
    if meant_uri := re.match(r"(s3|file):(?!//)", target):
        scheme = meant_uri[1]
        raise ParamsError(f"--to: {target}: an address begins with {scheme}://; a file of this name is ./{target}")


def _check_length(place: _Place) -> None:
    """Raise ParamsError for what is too long for a file system, with what an export adds to it, or for a store."""
    path, names_ = PurePosixPath(place.uri), place.names if place.name else ()
    growing = (*path.parts, f"{path.name}.part") if place.local else ()
    longest = max((*growing, *names_), key=_size, default="")
    if _size(longest) > MOST_NAME_BYTES:
        raise ParamsError(
            f"--to: {longest[:SHOWN]}…: a name of {_size(longest)} bytes, with what an export adds to it; a file "
            f"system takes {MOST_NAME_BYTES}; choose a shorter one"
        )
    key = place.uri.removeprefix("s3://").partition("/")[2]
    if not place.local and _size(key) > MOST_KEY_BYTES:
        raise ParamsError(
            f"--to: {place.uri[:SHOWN]}…: a key of {_size(key)} bytes; an object store takes {MOST_KEY_BYTES}; choose "
            "a shorter one"
        )


def _size(name: str) -> int:
    return len(name.encode())


def _check_pixels(request: Request, chosen: formats.Format) -> None:
    """Raise ParamsError for what is of vectors alone."""
    if not chosen.pixels:
        others = ", ".join(one.name for one in formats.FORMATS if one.pixels)
        raise ParamsError(f"--what pixels: {chosen.name} holds no pixels; {others} do")
    if request.target.endswith("/") and chosen.pixels != "folder":
        raise ParamsError(f"--to: {request.target}: {chosen.name} of pixels is one file; a folder takes webdataset")
    if request.components is not None or request.flat:
        option = "--flatten" if request.flat else "--pca"
        raise ParamsError(f"{option}: is for vectors; leave it out with --what pixels")


def _facts(request: Request) -> pa.Schema:
    """The columns besides the values, in the order of the table."""
    name_of_table = read.table_with(request.dataset, request.what)
    table = schemas.of_table(name_of_table)
    known = [name for name in table.names if name != request.what]
    if {*request.columns} == {request.what}:
        values = "features are the vectors, which" if request.what == "features" else "pixels"
        raise ParamsError(f"--columns: {values} are always exported; name other columns")
    for name in request.columns:
        if name not in table.names:
            raise ParamsError(
                f"--columns: {names.table_name(name_of_table)} has no column {name!r}{meant(name, known)}"
            )
    always = {*ALWAYS, *(COLUMNS_OF_ORIGINALS if request.originals else ())}
    return pa.schema([column for column in table if column.name in {*always, *request.columns} - {request.what}])


def _counted(parts: Iterator[T], what: str, whole: int, progress: Progress) -> Iterator[T]:
    """The parts of the rows as they are, and progress after each."""
    done = 0
    for part in parts:
        yield part
        done += len(part.labels if isinstance(part, Batch) else part)
        progress(what, done, whole)
