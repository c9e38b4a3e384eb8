"""The quarantine reason codes, and the form of the detail that goes with each."""

from __future__ import annotations

import re
from enum import StrEnum

DETAIL_CHARACTERS = 500


class Reason(StrEnum):
    """A quarantine reason code. The comment says what is true of the object."""

    BAD_KEY = "BAD_KEY"  # its name cannot be written as UTF-8
    NOT_FOUND = "NOT_FOUND"  # it was listed, and was gone when it was read; or a re-drive no longer finds it
    CHANGED_DURING_RUN = "CHANGED_DURING_RUN"  # it was replaced between listing and reading
    NOT_READABLE = "NOT_READABLE"  # the store refuses it, or never gives it; also of a whole folder
    ARCHIVED = "ARCHIVED"  # it lies in an archive, and has to be restored before it can be read
    NOT_A_FILE = "NOT_A_FILE"  # it is a FIFO, a socket or a device
    LINK_OUTSIDE = "LINK_OUTSIDE"  # it is a link that leads out of the source's folder
    LINK_BROKEN = "LINK_BROKEN"  # it is a link that leads to nothing, or in a circle
    LINK_TO_FOLDER = "LINK_TO_FOLDER"  # it is a link to a folder of the source, whose files have names of their own
    EMPTY_OBJECT = "EMPTY_OBJECT"  # it has 0 bytes
    TOO_LARGE = "TOO_LARGE"  # it is over limits.max_bytes; it was not downloaded whole
    UNSUPPORTED_URL = "UNSUPPORTED_URL"  # a list names no URI there, or one that is never read
    BLOCKED_ADDRESS = "BLOCKED_ADDRESS"  # its host has an address that may not be dialled
    TOO_MANY_REDIRECTS = "TOO_MANY_REDIRECTS"  # its URL leads on and on
    OPTED_OUT = "OPTED_OUT"  # its host says that it must not be used so
    HTTP_REFUSED = "HTTP_REFUSED"  # its host refused the request, with a status
    RATE_LIMITED = "RATE_LIMITED"  # its host wants fewer requests, for longer than was waited
    FETCH_TIMEOUT = "FETCH_TIMEOUT"  # its host did not send it within the deadline
    FETCH_FAILED = "FETCH_FAILED"  # its host failed at each try
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"  # its bytes are not one of the allowed image formats
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"  # it is over limits.max_pixels, or a transform would make too many of it
    TOO_SMALL = "TOO_SMALL"  # it has no pixel in the rectangle that is cut out of every picture
    METADATA_TOO_LARGE = "METADATA_TOO_LARGE"  # its metadata would take too much memory
    TRUNCATED = "TRUNCATED"  # its last bytes are missing
    CORRUPT = "CORRUPT"  # its bytes contradict themselves
    UNSUPPORTED_MODE = "UNSUPPORTED_MODE"  # its colours have no defined conversion to RGB, or its bands are others
    FORGOTTEN = "FORGOTTEN"  # somebody has asked that it be forgotten
    DUPLICATE = "DUPLICATE"  # same bytes as another object of the partition (duplicates: reject)
    DECODER_CRASHED = "DECODER_CRASHED"  # the decoder crashed on it
    TIMEOUT = "TIMEOUT"  # the decoder took longer than limits.decode_seconds
    OUT_OF_MEMORY = "OUT_OF_MEMORY"  # the decoder asked for more memory than it may have
    NOT_FINITE = "NOT_FINITE"  # its features hold NaN or infinity, or its stored values do


def printable(text: object) -> str:
    """The text on one line, control characters escaped, at most 500 characters.

    >>> printable("tab\\tand\\nnewline")
    'tab\\\\tand\\\\nnewline'
    """
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return line if len(line) <= DETAIL_CHARACTERS else line[: DETAIL_CHARACTERS - 1] + "…"


_BUCKET_AND_KEY = re.compile(r"[\w.-]+(/.*)?", re.DOTALL)
_HOST_AND_PORT = re.compile(r"(\[[^\]]*\]|[^:]*)(:\d*)?")


def without_secrets(uri: str) -> str:
    """A URI as a message may have it: without user, password, query and fragment, whatever its scheme.

    In a file's name and in a key of a bucket `?`, `#` and `@` are letters as any other. What is no URI is taken for one
    whose scheme was forgotten.

    >>> without_secrets("https://me:word@host/1.jpg?token=x#y"), without_secrets("s3://bucket/a?b@c.jpg")
    ('https://host/1.jpg?…', 's3://bucket/a?b@c.jpg')
    >>> without_secrets("s3a://KEY:SEC/RET@bucket/1.jpg"), without_secrets("host:80/a@b.jpg?token=x")
    ('s3a://bucket/1.jpg', 'host:80/a@b.jpg?…')
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or re.search("[?#@]", scheme):  # that of another URI, in a query
        scheme, separator, rest = "", "//" if uri.startswith("//") else "", uri.removeprefix("//")
    if scheme.lower() == "file" or (scheme.lower() in ("s3", "s3a") and _BUCKET_AND_KEY.fullmatch(rest)):
        return uri
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" in host:
        rest = rest[host.rindex("@") + 1 :]
    elif "@" in rest and (scheme.lower() in ("s3", "s3a") or not _HOST_AND_PORT.fullmatch(host)):
        # a password may hold what ends a host elsewhere
        rest = rest.rpartition("@")[2]
    place, *more = re.split("[?#]", rest, maxsplit=1)
    return f"{scheme}{separator}{place}{'?…' if more else ''}"
