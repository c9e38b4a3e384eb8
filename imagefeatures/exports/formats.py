"""The formats of an export, by name and suffix. Light: the command line shows them in its help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from imagefeatures.errors import ParamsError
from imagefeatures.wording import meant


@dataclass(frozen=True)
class Format:
    """A format. name: as `--format` has it, and of its module in this package. suffixes: of its files, first the usual.

    compression: in words. beside: the suffix of a second file, in place of the first one's; "" for none.
    folder: whether it may be a folder of several files. flat: whether each value of a vector may be a column.
    pixels: whether it holds pixels, and as a folder of them too. measured: whether the size depends on what the values
    are: they are compressed, or written as digits.
    """

    name: str
    suffixes: tuple[str, ...]
    compression: str = "not compressed"
    beside: str = ""
    folder: bool = False
    flat: bool = False
    pixels: Literal["", "file", "folder"] = "file"
    measured: bool = False

    def names(self, name: str) -> tuple[str, ...]:
        """The files that the export `name` consists of; the last one is the export's own.

        >>> by_name["npy"].names("fruit.npy")
        ('fruit.parquet', 'fruit.npy')
        """
        if not self.beside:
            return (name,)
        return (beside(name, self.beside), name)


FORMATS = (
    Format("hdf5", (".h5", ".hdf5")),
    Format("npy", (".npy",), beside=".parquet", folder=True),
    Format("npz", (".npz",)),
    Format("tfrecord", (".tfrecord", ".tfrecords"), beside=".json"),
    Format("webdataset", (".tar",), folder=True, pixels="folder", measured=True),
    Format("csv", (".csv",), flat=True, pixels="", measured=True),
    Format("parquet", (".parquet",), "zstd", flat=True, measured=True),
    Format("arrow", (".arrow", ".feather"), flat=True),
)
by_name = {one.name: one for one in FORMATS}
by_suffix = {suffix: one for one in FORMATS for suffix in one.suffixes}


def beside(name: str, suffix: str) -> str:
    """The name of the file beside an export's own.

    >>> beside("fruit.npy", ".parquet")
    'fruit.parquet'
    """
    return str(PurePosixPath(name).with_suffix(suffix))


def choose(target: str, name: str | None) -> Format:
    """The format of an export: the one that is named, or that of the target's suffix.

    target: URI or path; one that ends in a slash is a folder. Raises ParamsError for an unknown format or suffix, and
    for a folder in a format of one file.
    """
    suffix = PurePosixPath(target).suffix.lower() if not target.endswith("/") else ""
    if name is not None:
        if name not in by_name:
            raise ParamsError(f"--format: no format {name!r}{_known(name)}")
        chosen = by_name[name]
    elif suffix in by_suffix:
        chosen = by_suffix[suffix]
    elif suffix:
        raise ParamsError(f"--to: {target}: no format has the suffix {suffix}{_known(suffix)}")
    else:
        raise ParamsError(f"--to: {target}: no suffix says the format; add one of {_suffixes()}, or --format")
    if target.endswith("/") and not chosen.folder:
        folders = " or ".join(one.name for one in FORMATS if one.folder)
        raise ParamsError(
            f"--to: {target}: {chosen.name} is one file, such as {target}features{chosen.suffixes[0]}; "
            f"a folder takes --format {folders}"
        )
    return chosen


def _known(given: str) -> str:
    near = meant(given, [*by_suffix] if given.startswith(".") else [*by_name])
    return near if near.startswith(" (did") else f"; there are {_suffixes() if given.startswith('.') else _names()}"


def _names() -> str:
    return ", ".join(by_name)


def _suffixes() -> str:
    return ", ".join(by_suffix)
