"""How pyiceberg reads and writes the files of tables: this FileIO and no other, whatever a catalog or a table names.

pyiceberg imports the FileIO that a property names, and any function with it. Whoever can write a table's metadata, or
answers as a REST catalog, can set such properties. So the catalogs of this package (`sql_catalog`, `rest_catalog`) make
a LakeFileIO themselves. It takes few properties, opens `file://` and `s3://` alone, and writes inside the lake alone.
"""

from __future__ import annotations

import io
from types import TracebackType
from urllib.parse import urlsplit

from pyiceberg.io import InputFile, OutputFile, OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

from imagefeatures import storage
from imagefeatures.errors import StoreRefused
from imagefeatures.layout import warehouse

LAKE = "imagefeatures.lake"
"""The catalog's property that holds the lake's URI, as in Settings."""

SCHEMES = {"file": "file", "s3": "s3", "s3a": "s3", "s3n": "s3"}
"""The schemes that are opened; Spark's names of S3 among them."""


class LakeFileIO(PyArrowFileIO):
    """Files of the tables of one lake. Local files are written by `storage`: whole, and safe from a power cut.

    Raises StoreRefused for another scheme, and for a write or a delete outside the lake's warehouse.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(store_properties(properties) | {LAKE: properties[LAKE]})

    def new_input(self, location: str) -> PyArrowFile:
        _check_scheme(location)
        return super().new_input(location)

    def new_output(self, location: str) -> PyArrowFile:
        self._check_inside(location)
        file = super().new_output(location)
        if SCHEMES[_scheme(location)] != "file":
            return file
        return _LocalFile(file.location, file._path, file._filesystem)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        self._check_inside(location if isinstance(location, str) else location.location)
        super().delete(location)

    def _check_inside(self, location: str) -> None:
        _check_scheme(location)
        inside = f"{warehouse(self.properties[LAKE])}/"
        if not plain_uri(location).startswith(inside) or "/../" in location:
            raise StoreRefused(f"{location}: tables of the lake {self.properties[LAKE]} are written to {inside} alone")


def store_properties(properties: Properties) -> dict[str, str]:
    """Of a catalog's or a server's properties those that say how to reach S3; none that names code to import."""
    return {
        name: value
        for name, value in properties.items()
        if name.startswith(("s3.", "client.")) and name not in ("s3.retry-strategy-impl", "s3.signer")
    }


def plain_uri(location: str) -> str:
    """The URI as this package writes it. Spark writes one slash for a local file, and has other names for S3.

    >>> plain_uri("file:/lake/a"), plain_uri("s3a://bucket/a"), plain_uri("/lake/a")
    ('file:///lake/a', 's3://bucket/a', 'file:///lake/a')
    """
    scheme = _scheme(location)
    rest = location.removeprefix(f"{scheme}:")
    if SCHEMES.get(scheme) == "file":
        return "file:///" + rest.lstrip("/")
    return f"{SCHEMES.get(scheme, scheme)}:{rest}"


def checksums_of(uri: str) -> str:
    """Where Spark leaves the checksums of a local file that it writes.

    >>> checksums_of("file:///lake/a.parquet")
    'file:///lake/.a.parquet.crc'
    """
    folder, _, name = uri.rpartition("/")
    return f"{folder}/.{name}.crc"


def is_checksums(uri: str) -> bool:
    """Whether a URI is one of `checksums_of`.

    >>> is_checksums("file:///lake/.a.parquet.crc"), is_checksums("file:///lake/a.parquet")
    (True, False)
    """
    name = uri.rpartition("/")[2]
    return name.startswith(".") and name.endswith(".crc")


class _LocalFile(PyArrowFile):
    def create(self, overwrite: bool = False) -> OutputStream:
        if not overwrite and self.exists():
            raise FileExistsError(f"{self.location} exists already")
        return _Draft(plain_uri(self.location))


class _Draft:
    """The bytes of a file, held in memory until they are whole: a table's metadata, or rows that are in memory too."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._bytes = io.BytesIO()

    @property
    def closed(self) -> bool:
        return self._bytes.closed

    def write(self, b: bytes) -> int:
        return self._bytes.write(b)

    def tell(self) -> int:
        return self._bytes.tell()

    def flush(self) -> None:
        """Nothing to do: the file is written as a whole."""

    def close(self) -> None:
        """Write the file. Raises StoreError."""
        if not self.closed:
            data = self._bytes.getvalue()
            self._bytes.close()
            storage.write(self._uri, data)

    def __enter__(self) -> _Draft:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: BaseException | TracebackType | None) -> None:
        if kind is not None:
            self._bytes.close()  # what is not whole gets no name
        self.close()


def _scheme(location: str) -> str:
    return urlsplit(location).scheme or "file"


def _check_scheme(location: str) -> None:
    if (scheme := _scheme(location)) not in SCHEMES:
        raise StoreRefused(f"{location}: a table names a file of {scheme}://; only file:// and s3:// are opened")
