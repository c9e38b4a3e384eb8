"""The URI of a folder: what may be written, the places of a partition in it, and whether one folder holds another."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
from pathlib import Path

from imagefeatures.errors import ParamsError

FIELD = re.compile(r"\{partition(?::([^{}]*))?\}")
"""`{partition}`; or, where partitions are days, a part of the day: `{partition:%Y}`."""

CODE = re.compile(r"%-?[A-Za-z%]")
CODES_OF_A_DAY = {f"%{letter}" for letter in "YymdjGVuwUWbBaA"} | {f"%-{letter}" for letter in "ymdj"}
"""strftime's codes for parts of a day. The others are of an hour, or padded with blanks."""

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

_HOME = re.compile(r"(file://)?/?~[^/]*(/|$)")
_VARIABLE = re.compile(r"\$(\{\w+\}|[A-Z_][A-Z0-9_]*)(?=/|$)")


def check_uri(uri: str) -> str:
    """The URI. Raises ValueError when it cannot be a source."""
    scheme, separator, rest = uri.partition("://")
    whole = "write the whole path, such as file:///data/photos/, or one that is relative to this file"
    if _HOME.match(uri):
        raise ValueError(f"~ is not expanded here, whose home it is depends on the process: {whole}")
    if variable := _VARIABLE.search(uri):
        raise ValueError(f"{variable[0]}: variables are not expanded here: {whole}")
    if separator and (scheme not in ("file", "s3") or not rest.strip("/")):
        raise ValueError("must be s3://bucket/… or file:///…, or a path relative to this file")
    if scheme == "file" and separator and not rest.startswith("/"):
        raise ValueError("file:// needs three slashes: file:///absolute/path/")
    if scheme == "s3" and rest.startswith("/"):
        raise ValueError("s3:// needs two slashes and a bucket: s3://bucket/folder/")
    return check_fields(uri)


def check_fields(text: str) -> str:
    """The text. Raises ValueError where something else than `{partition}` is in braces."""
    fields = re.findall(r"\{([^{}]*)\}", text)
    if unknown := [field for field in fields if not re.fullmatch("partition(:.*)?", field)]:
        raise ValueError(f"only {{partition}} may be in braces, found {unknown}")
    if stray := re.search("[{}]", FIELD.sub("", text)):
        raise ValueError(f"only {{partition}} may be in braces, found {stray[0]!r} alone")
    for field in fields:
        _check_format(field)
    return text


def for_partition(uri: str, partition: str) -> str:
    """The URI with the partition in it. Raises ParamsError where the partition must be a day and is none.

    >>> for_partition("s3://photos/{partition:%Y/%m}/{partition}/", "2026-11-02")
    's3://photos/2026/11/2026-11-02/'
    """

    def value(field: re.Match[str]) -> str:
        if field[1] is None:
            return partition
        return CODE.sub(lambda code: _day(partition, field[0]).strftime(code[0]), field[1])

    return FIELD.sub(value, uri)


def parent(uri: str) -> str:
    """The folder that holds the partitions. uri: with `{partition}`.

    >>> parent("s3://photos/fruit/day-{partition}/raw/")
    's3://photos/fruit/'
    """
    return uri[: uri.index("{partition")].rpartition("/")[0] + "/"


def holds(outer: str, inner: str) -> bool:
    """Whether a folder is another one, or holds it, by whatever links either is reached. Both are URIs.

    >>> holds("s3://b/photos/", "s3://b/photos/lake"), holds("s3://b/photo", "s3://b/photos/lake")
    (True, False)
    """
    (outer_scheme, _, outer_path), (inner_scheme, _, inner_path) = outer.partition("://"), inner.partition("://")
    if outer_scheme != inner_scheme:
        return False
    if outer_scheme != "file":
        return f"{inner_path.rstrip('/')}/".startswith(f"{outer_path.rstrip('/')}/")
    whole, part = Path(os.path.realpath(outer_path)), Path(os.path.realpath(inner_path))
    return part.is_relative_to(whole) or any(_is_same(folder, whole) for folder in [part, *part.parents])


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one folder, such as a mount of it under another name."""
    with contextlib.suppress(OSError):
        return one.samefile(other)
    return False


def _check_format(field: str) -> None:
    """field: what is between the braces. Raises ValueError."""
    name, separator, form = field.partition(":")
    if not separator:
        return
    codes = CODE.findall(form)
    wrong = sorted(set(codes) - CODES_OF_A_DAY) or ["%"] * ("%" in CODE.sub("", form))
    if not codes or wrong:
        found = f"{wrong[0]} is none" if wrong else "there is none"
        raise ValueError(
            f"{{{field}}}: needs strftime's codes of a day, such as {{{name}:%Y}} or {{{name}:%m}}; {found}"
        )


def _day(partition: str, field: str) -> dt.date:
    with contextlib.suppress(ValueError):
        if DAY.fullmatch(partition):
            return dt.date.fromisoformat(partition)
    raise ParamsError(f"partition: {partition} is no day such as 2026-11-02, and the source has {field}")
