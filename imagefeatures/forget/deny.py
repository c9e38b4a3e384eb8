"""The list of what was forgotten: keyed hashes of images and URIs, and no image.

ingest rejects what is on it as FORGOTTEN, and register publishes no run that holds one of these images. It is read anew
for each shard, since a run may be older than a request. Each request adds files of its own and changes none, so no two
requests can lose each other's.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from imagefeatures import sealed, storage
from imagefeatures.errors import AuditFailed, Rejected
from imagefeatures.layout import forgotten_folder
from imagefeatures.reasons import Reason

if TYPE_CHECKING:
    import pyarrow as pa

WHY = Rejected(Reason.FORGOTTEN, "it is on the lake's list of images that are forgotten")

IMAGE, URI = "image", "uri"


@dataclass(frozen=True)
class DenyList:
    """hashes: of everything that is forgotten; empty where nothing is. key: theirs."""

    key: bytes = b""
    hashes: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def has_image(self, image_id: str | None) -> bool:
        return self._has(IMAGE, image_id)

    def has_uri(self, uri: str) -> bool:
        return self._has(URI, uri)

    def held(self, rows: pa.Table) -> set[str | None]:
        """The image_id of each row of an image or a URI on the list, but of those that are rejected for it.

        rows: with image_id, uri and, of rejected objects, reason. An image_id is null where nothing was fetched.
        """
        columns = [rows[name].to_pylist() for name in ("image_id", "uri")]
        reasons = rows["reason"].to_pylist() if "reason" in rows.column_names else [None] * rows.num_rows
        return {
            image_id
            for image_id, uri, reason in zip(*columns, reasons, strict=True)
            if reason != WHY.reason and (self.has_image(image_id) or self.has_uri(uri))
        }

    def _has(self, kind: str, text: str | None) -> bool:
        return bool(self.hashes) and text is not None and _hash(self.key, kind, text) in self.hashes


def read(lake: str) -> DenyList:
    """The list as it is now. Raises AuditFailed where its key or a file of it is lost or damaged."""
    folder = _list_folder(lake)
    if not (files := documents(folder)):
        return DenyList()
    key = _key(lake)
    if key is None:
        raise AuditFailed(f"{_key_file(lake)}: is gone, and images are forgotten by it; restore it from a backup")
    check = _hash(key, "key", "")
    found: set[str] = set()
    for name in files:
        entry = _entry(f"{folder}/{name}")
        if entry["key"] != check:
            raise AuditFailed(f"{folder}/{name}: is of another key than {_key_file(lake)}; restore the key")
        found.update(entry["hashes"])
    return DenyList(key, frozenset(found))


def state(lake: str) -> str:
    """Changes when a request begins, when it is on the list, and when it is done: what was kept before may name it."""
    pending = documents(f"{forgotten_folder(lake)}/pending")
    return f"{len(documents(_list_folder(lake)))} {' '.join(pending)}"


def is_pending(lake: str) -> bool:
    """Whether a request is under way."""
    return bool(documents(f"{forgotten_folder(lake)}/pending"))


def add(lake: str, request: str, image_ids: Iterable[str], uris: Iterable[str]) -> list[str]:
    """Put images and URIs on the list. request: its run_id. Returns their hashes, sorted. May be repeated."""
    if _key(lake) is None:
        new = sealed.encode({"key": secrets.token_hex(32)})
        storage.write(_key_file(lake), new, only_if_absent=True)
    key = _key(lake)
    if key is None:
        raise AuditFailed(f"{_key_file(lake)}: was written, and is gone")
    pairs = [*((IMAGE, image_id) for image_id in image_ids), *((URI, uri) for uri in uris)]
    hashes = sorted(_hash(key, kind, text) for kind, text in pairs)
    content = sealed.encode({"key": _hash(key, "key", ""), "hashes": hashes})
    # Named by its content: what a worker has read of a name once is so for good.
    storage.write(f"{_list_folder(lake)}/{request}-{hashlib.sha256(content).hexdigest()[:8]}.json", content)
    return hashes


def documents(folder: str) -> list[str]:
    """The names of the files in a folder below `forgotten`, without what is, or was left, half written there."""
    return [name for name in storage.names(folder) if name.endswith(".json")]


def _hash(key: bytes, kind: str, text: str) -> str:
    return hmac.new(key, f"{kind}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def _key(lake: str) -> bytes | None:
    uri = _key_file(lake)
    try:
        return bytes.fromhex(sealed.decode(uri, storage.read(uri))["key"])
    except storage.ObjectMissing:
        return None


@cache
def _entry(uri: str) -> dict[str, Any]:
    return sealed.decode(uri, storage.read(uri))


def _key_file(lake: str) -> str:
    return f"{forgotten_folder(lake)}/key.json"


def _list_folder(lake: str) -> str:
    return f"{forgotten_folder(lake)}/list"
