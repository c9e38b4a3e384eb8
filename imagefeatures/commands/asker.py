"""The option --by: in whose name a command changes what is published."""

from __future__ import annotations

import argparse
import getpass

from imagefeatures.errors import ParamsError


def add_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--by", metavar="NAME", help="who asks; by default the user of this machine")


def name(given: str | None) -> str:
    """The name that is given, else this process's user. Raises ParamsError where that user has none."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # such as in a container that runs as a number; the class depends on the Python
        raise ParamsError("--by: this process's user has no name; say who asks") from None
