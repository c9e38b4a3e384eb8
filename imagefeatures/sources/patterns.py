"""Which objects a pattern means: shell patterns for names, for paths below the source, and for folders.

    *.jpg           no slash: the object's name, its last path segment
    day/*.jpg       a slash: the path below the source; never the scheme, the bucket or the folder of the source itself
    /cover.jpg      the same: this object right in the source's folder
    thumbs/         a slash at the end: a folder of this name at any depth, with all that is in it
    2026/raw/       the same, of this path below the source

`*` stands for any text, in a path also for text with slashes. `**/` stands for any folders, or none. `?` stands for one
character, `[abc]` for one of these, `[!abc]` for one that is none of these. Nothing else is special. An é is an é,
whether a name has it as one character or, as on macOS, as two.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product

DEFAULT_EXCLUDES = (
    "._*",  # macOS: the second half of a file, on disks and in archives that have no place for it
    ".DS_Store",
    "__MACOSX/",
    "[Tt]humbs.db",  # Windows
    "ehthumbs.db",
    "[Dd]esktop.ini",
    ".directory",  # KDE
    "@eaDir/",  # Synology: thumbnails of every photo
    ".ipynb_checkpoints/",  # Jupyter
    "_SUCCESS",  # Hadoop and Spark
    "*_$folder$",
)
"""What systems and tools leave beside photos, and nobody means to be one."""

MOST_ANYWHERE = 4
"""The most `**/` in one pattern: each doubles the number of expressions."""


def fits(path: str, patterns: tuple[str, ...], ignore_case: bool = False) -> bool:
    """Whether an object fits one of the patterns. path: below the source; that of a whole folder ends in a slash.

    >>> [fits("2026/thumbs/a.JPG", (pattern,)) for pattern in ("*.jpg", "*.JPG", "2026/*", "thumbs/", "/a.JPG")]
    [False, True, True, True, False]
    >>> fits("2026/thumbs/a.JPG", ("*.jpg",), ignore_case=True)
    True
    """
    return _compiled(patterns, ignore_case).fits(path if path.isascii() else unicodedata.normalize("NFC", path))


def check(pattern: str) -> str:
    """The pattern. Raises ValueError when it cannot mean what it says."""
    if not pattern.strip("/ "):
        raise ValueError(f"{pattern!r} fits nothing; leave it out")
    if "://" in pattern:
        raise ValueError(
            f"{pattern!r}: a pattern is for names, or for paths below the source: leave out scheme and folder"
        )
    if ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r}: nothing below the source has .. in its path")
    if braces := re.search(r"\{[^{}]*,[^{}]*\}", pattern):
        raise ValueError(f"{pattern!r}: {braces[0]} is no sign of a pattern: write a list of patterns, one for each")
    if pattern.count("**/") > MOST_ANYWHERE:
        raise ValueError(f"{pattern!r}: more than {MOST_ANYWHERE} times **/")
    return pattern


@dataclass(frozen=True)
class _Patterns:
    """The expressions for names, for names of folders, and for paths; None where no pattern is of that kind."""

    names: re.Pattern[str] | None
    folders: re.Pattern[str] | None
    paths: re.Pattern[str] | None

    def fits(self, path: str) -> bool:
        bare = path.rstrip("/")
        if self.names and self.names.match(bare[bare.rfind("/") + 1 :]):
            return True
        if self.folders and "/" in path and any(map(self.folders.match, path.split("/")[:-1])):
            return True
        return bool(self.paths and (self.paths.match(path) or (path != bare and self.paths.match(bare))))


@cache
def _compiled(patterns: tuple[str, ...], ignore_case: bool) -> _Patterns:
    names, folders, paths = [], [], []
    for pattern in (unicodedata.normalize("NFC", given) for given in patterns):
        inner = pattern.rstrip("/")
        if "/" not in pattern:
            names.append(pattern)
        elif "/" not in inner:
            folders.append(inner)
        else:
            whole = inner.removeprefix("./").removeprefix("/") + "/*" * pattern.endswith("/")
            parts = whole.split("**/")
            paths += [_joined(parts, between) for between in product(("", "*/"), repeat=len(parts) - 1)]
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    return _Patterns(_one_of(names, flags), _one_of(folders, flags), _one_of(paths, flags))


def _joined(parts: list[str], between: tuple[str, ...]) -> str:
    return parts[0] + "".join(joint + part for joint, part in zip(between, parts[1:], strict=True))


def _one_of(patterns: Iterable[str], flags: re.RegexFlag) -> re.Pattern[str] | None:
    expressions = [fnmatch.translate(pattern) for pattern in patterns]
    return re.compile("|".join(expressions), flags) if expressions else None
