"""Ctrl-C while a program is still importing what it needs, half a second: nothing has begun, and one line says so.

Python would show what it was importing just then. `imagefeatures.cli` imports this module first, and ends it when it
has imported the rest.
"""

from __future__ import annotations

import os
import signal
import threading

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells say it."""


def begin() -> None:
    """Let Ctrl-C end the process, where Python's own handler would raise KeyboardInterrupt."""
    in_main_thread = threading.current_thread() is threading.main_thread()  # no other may set a handler
    if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _stop)


def end() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _stop:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _stop(*_: object) -> None:
    os.write(2, b"imagefeatures: stopped\n")
    os._exit(INTERRUPTED)


begin()
