"""Requests that are not done yet: each is a file of the lake, which holds the image ids for as long as they are needed.

Without it a request that was killed could not be finished: once the first table is changed, nothing says any more which
images a URI stood for, or which partitions have to be counted anew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imagefeatures import names, sealed, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.forget import deny
from imagefeatures.layout import forgotten_folder
from imagefeatures.reasons import printable
from imagefeatures.strict import unusable_texts

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.table import Table


@dataclass(frozen=True)
class Pending:
    """A request. partitions: (dataset, partition key) of what has to be counted anew."""

    run_id: str
    image_ids: frozenset[str]
    uris: frozenset[str]
    asked_by: str
    why: str
    requested_at: dt.datetime
    partitions: frozenset[tuple[str, str]] = frozenset()

    def with_images(self, image_ids: frozenset[str]) -> Pending:
        return replace(self, image_ids=self.image_ids | image_ids)

    def with_partitions(self, partitions: frozenset[tuple[str, str]]) -> Pending:
        return replace(self, partitions=self.partitions | partitions)


def keep(lake: str, request: Pending) -> None:
    """Write a request down, in place of what was written of it before."""
    content = {
        "image_ids": sorted(request.image_ids),
        "uris": sorted(request.uris),
        "asked_by": request.asked_by,
        "why": request.why,
        "requested_at": request.requested_at.isoformat(),
        "partitions": sorted(map(list, request.partitions)),
    }
    storage.write(_file(lake, request.run_id), sealed.encode(content))


def all_of(lake: str) -> Iterator[Pending]:
    """Every request that is not done, oldest first. Raises AuditFailed at the end where one is damaged."""
    damaged = []
    for name in deny.documents(_folder(lake)):
        uri = f"{_folder(lake)}/{name}"
        try:
            content = sealed.decode(uri, storage.read(uri))
        except storage.ObjectMissing:  # another process has done it meanwhile
            continue
        except AuditFailed:
            damaged.append(uri)
            continue
        yield Pending(
            name.removesuffix(".json"),
            frozenset(content["image_ids"]),
            # What an earlier version took although no table can hold it would stop this request, and all after it.
            frozenset(uri for uri in content["uris"] if _storable(uri) == uri),
            _storable(content["asked_by"]),
            _storable(content["why"]),
            dt.datetime.fromisoformat(content["requested_at"]),
            frozenset((dataset, partition) for dataset, partition in content["partitions"]),
        )
    if damaged:
        raise AuditFailed(
            f"{', '.join(damaged)}: a request that was not done is damaged, and nothing says what it asked for; ask "
            "for it again, and delete the file"
        )


def _storable(text: str) -> str:
    """The text as it was given, whatever its lines; with codes only where no table can hold it."""
    return printable(text) if list(unusable_texts(text)) else text


def done(lake: str, request: Pending) -> None:
    storage.delete(_file(lake, request.run_id))


def partitions_of(table: Table, rows: pa.Table) -> set[tuple[str, str]]:
    """(dataset, partition key) of rows of a table; of that of a further model of each dataset that it may be of."""
    namespace, name = table.name()
    keys = rows["partition_key"].to_pylist()
    if namespace == names.LEARNING:
        return {(name.removesuffix(names.predictions("")), key) for key in keys}
    if name == names.QUARANTINE:
        return set(zip(rows["dataset"].to_pylist(), keys, strict=True))
    return {(dataset, key) for dataset in names.datasets_of(name) for key in keys}


def _folder(lake: str) -> str:
    return f"{forgotten_folder(lake)}/pending"


def _file(lake: str, run_id: str) -> str:
    return f"{_folder(lake)}/{run_id}.json"
