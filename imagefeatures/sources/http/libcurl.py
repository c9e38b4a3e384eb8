"""pycurl, bound to the libcurl that it brings.

TensorFlow shows the symbols of an older libcurl to the whole process. A pycurl that is imported after it would be bound
to them, and refuse to work.
"""

import os
import sys

__all__ = ["pycurl"]

_flags = sys.getdlopenflags()
sys.setdlopenflags(_flags | getattr(os, "RTLD_DEEPBIND", 0))  # its own libraries first; only Linux has the flag
try:
    import pycurl
finally:
    sys.setdlopenflags(_flags)
