"""Lines for a terminal: without secrets and control characters."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO


def say(text: str = "", file: TextIO | None = None) -> None:
    """Print one line with its secrets masked: those of the environment, and a password in an endpoint's address."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "IMAGEFEATURES_SERVING_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]*@", "://***@", text)
    # A store's message, or an object's key in it, may contain line ends or terminal escapes.
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(text, file=file or sys.stdout, flush=True)
