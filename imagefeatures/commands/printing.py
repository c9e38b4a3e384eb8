"""Lines for a terminal: without secrets and control characters."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO


def say(text: str = "", file: TextIO | None = None) -> None:
    """Print one line with its secrets masked: those of the environment, and a password in an endpoint's address."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "IMAGEFEATURES_SERVING_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]*@", "://***@", text)
    # A store's message, or an object's key in it, may contain line ends or terminal escapes.
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    with writing(file):
        print(text, file=file or sys.stdout, flush=True)


@contextlib.contextmanager
def writing(file: TextIO | None = None) -> Iterator[None]:
    """Name standard output, or what the file is, in an error of it, which would pass for one of another file.

    Not where nobody reads on (BrokenPipeError).
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard error" if file is sys.stderr else "standard output"
        raise OSError(error.errno, error.strerror, error.filename or name) from None


def open_streams() -> None:
    """Let standard input, output and errors be there, and take every letter. For a program, before it opens a file.

    One that is closed leads to nowhere. Else the next file of the lake that is opened would get its number, and with it
    all that a library prints.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            if nowhere != number:
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - it is for the whole process
    if isinstance(sys.stdout, io.TextIOWrapper):  # as Python itself does it for the errors
        with contextlib.suppress(OSError):  # of what is still to be written, where nobody reads on
            sys.stdout.reconfigure(errors="backslashreplace")
