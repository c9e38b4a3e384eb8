"""Files that a dataset file names: by a URI in a store, or by a path relative to the dataset file."""

from __future__ import annotations

import posixpath
from pathlib import Path


def check(uri: str) -> str:
    """The same text. Raises ValueError where it is neither."""
    scheme, separator, _ = uri.partition("://")
    if separator and scheme not in ("file", "s3"):
        raise ValueError("must be s3://bucket/… or file:///…, or a path relative to this file")
    if uri.startswith("~") or "$" in uri or "{" in uri:
        raise ValueError("~, variables and {partition} are not expanded here: write the whole path")
    return uri


def absolute(uri: str, folder: Path) -> str:
    """The absolute URI. folder: of the dataset file.

    >>> absolute("models/../birds/", Path("/data")), absolute("s3://b/birds.onnx", Path("/data"))
    ('file:///data/birds/', 's3://b/birds.onnx')
    """
    if "://" in uri:
        return uri
    # normpath and not resolve(), which would replace symbolic links in the path.
    return f"file://{posixpath.normpath((folder / uri).absolute())}" + ("/" if uri.endswith("/") else "")
