"""What a publication must know of requests to forget that came while it was made."""

from __future__ import annotations

from collections.abc import Sequence

from imagefeatures import storage
from imagefeatures.forget import deny


def refusal(lake: str, before: str | None, files: Sequence[str]) -> str | None:
    """Why a publication that is written down must not be made, as a line for a person; None where it may.

    A request puts its images on the list, and then looks for what is written down of publications. So one of both sees
    the other. before: `deny.state` from before the rows were looked at; None where it is not known. files: URIs of the
    data files, which a request deletes that saw no publication of them.
    """
    if before is not None and deny.state(lake) != before:
        return f"{lake}: images were forgotten while the publication was made; try again"
    for uri, found in zip(files, storage.stat_all(files), strict=True):
        if isinstance(found, Exception):
            return f"{uri}: was deleted before it was published, as `forget` does; try again"
    return None
