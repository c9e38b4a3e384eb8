"""The bytes of an object that a table names, if they are still those of the table."""

from __future__ import annotations

import hashlib

from imagefeatures import storage
from imagefeatures.errors import Rejected, StoreError, StoreRefused


def bytes_of(uri: str, image_id: str, max_bytes: int) -> bytes:
    """The object's bytes; none where they cannot be had. image_id: their SHA-256, in hexadecimal.

    Only objects below file:// and s3:// are read, as the lake's files are: no other URI leads anywhere. None of more
    than `max_bytes` is read. What has changed since the table was written, is gone, or may not be read, has no bytes.
    """
    try:
        readable = uri.startswith(("file://", "s3://")) and storage.stat(uri).size <= max_bytes
        data = storage.read(uri) if readable else b""
    except (storage.ObjectMissing, Rejected, StoreError, StoreRefused):
        return b""
    return data if hashlib.sha256(data).hexdigest() == image_id else b""
