"""Images that take their decoder over: a decode function that runs the Python code which a blob holds.

It stands for a decoder with a hole, by which an image runs code of its own inside the decode process. Only tests can
reach it, since code names the decoder, never data. What the code prints with `say` becomes the rejection's detail.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import struct
import sys

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason

CODE = b"#code\n"


def inspect(data: bytes, limits: Limits) -> images.Header:
    """images.inspect, unless the blob is code: then it is run, with the locals of the child's loop as `loop`."""
    if not data.startswith(CODE):
        return images.inspect(data, limits)
    said: list[str] = []
    frame = sys._getframe(1)
    tools = {
        "ctypes": ctypes, "errno": errno, "os": os, "signal": signal, "socket": socket, "struct": struct, "sys": sys,
        "say": lambda text: said.append(str(text)), "loop": frame.f_locals, "main": frame.f_back.f_locals,
    }  # fmt: skip
    exec(compile(data.decode(), "image", "exec"), tools)
    raise Rejected(Reason.CORRUPT, " ".join(said))


def blob(code: str) -> bytes:
    return CODE + code.encode()
