"""The option --uris: a file that names objects, a URI on each line."""

from __future__ import annotations

import argparse
from pathlib import Path

from imagefeatures.errors import ParamsError


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--uris",
        metavar="FILE",
        type=Path,
        help="only the objects of this file: a URI on each line, as the table has it",
    )


def lines(path: Path | None) -> list[str] | None:
    """The lines of the file; None where none is named. Raises ParamsError, also where all are empty."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ParamsError(f"--uris: {path}: {getattr(error, 'strerror', None) or 'it is no text in UTF-8'}") from None
    if not text.strip():
        raise ParamsError(f"--uris: {path}: it has no URI; without --uris every object that fits is taken")
    return text.split("\n")
