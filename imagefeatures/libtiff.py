"""What the libtiff that Pillow has loaded reports while Pillow decodes a TIFF.

At a fax code that there is not, libtiff reports it, leaves the rest of the row out, and goes on. Pillow hears of
nothing, and passes a picture with other pixels.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

from PIL import Image, _imaging

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

_FAX = (b"Fax3Decode", b"Fax4Decode")
"""How the names of the functions begin whose reports are faults of the pixels. Others report tags, or stop Pillow."""


def load(image: Image.Image) -> None:
    """Decode a TIFF. Raises Rejected (CORRUPT) when a code of fax cannot be read, and what Pillow raises."""
    if _set_handler is None:
        image.load()
        return
    _heard.codes = 0
    previous = _set_handler(_handler)
    try:
        image.load()
    finally:
        _set_handler(previous)
    if _heard.codes:
        count = f"{_heard.codes:,} code{'s' * (_heard.codes != 1)}"
        raise Rejected(Reason.CORRUPT, f"TIFF of fax with {count} that cannot be read")


class _Heard(threading.local):
    """How many codes libtiff could not read in this thread."""

    codes = 0


_heard = _Heard()


def _hear(function: bytes | None, _form: bytes | None, _values: int | None) -> None:
    if function and function.startswith(_FAX):
        _heard.codes += 1


def _find_setter() -> Any:
    """libtiff's function that takes another handler of errors and returns the one before; None where there is none."""
    try:
        found = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler  # it is loaded: nothing is looked for
    except (OSError, AttributeError):
        return None
    found.argtypes, found.restype = [ctypes.c_void_p], ctypes.c_void_p
    return found


# Now, since the decode process imports this module before it locks itself in.
_callback = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_hear)
_handler = ctypes.cast(_callback, ctypes.c_void_p)
_set_handler = _find_setter()
