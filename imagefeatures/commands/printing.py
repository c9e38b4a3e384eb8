"""Lines for a terminal, whatever stands in them."""

from __future__ import annotations

import os
import re
import sys
from typing import TextIO


def say(text: str = "", file: TextIO | None = None) -> None:
    """Print one line that holds no secret: not the environment's, nor a password in an endpoint's address."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        if secret := os.environ.get(name):
            text = text.replace(secret, "***")
    text = re.sub(r"://[^/@\s]*@", "://***@", text)
    # A store's words, and a key in them, may hold anything: line ends, terminal escapes.
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    print(text, file=file or sys.stdout, flush=True)
