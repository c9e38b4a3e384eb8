"""JSON objects that carry the SHA-256 of their own content, so that one that has changed is never believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from imagefeatures.errors import AuditFailed

SEAL = "sha256"


def encode(content: Mapping[str, Any]) -> bytes:
    """A JSON object with its seal. content: whatever JSON holds, except numbers with a fraction."""
    return json.dumps({**content, SEAL: _digest(content)}).encode()


def decode(uri: str, data: bytes) -> dict[str, Any]:
    """The content that `encode` was given. uri: for the error. Raises AuditFailed when it is not what was written.

    >>> decode("file:///a.json", encode({"files": []}))
    {'files': []}
    """
    try:
        content: dict[str, Any] = json.loads(data)
        if content.pop(SEAL) == _digest(content):
            return content
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        pass
    raise AuditFailed(f"{uri}: its {len(data):,} bytes are not what this version wrote; start a new run")


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
