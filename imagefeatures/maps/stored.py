"""Maps in the lake: one Parquet file each, whose metadata says of what it is and how it was made.

<lake>/maps/<dataset>/<digest of the choice>.parquet

A map holds URIs, labels and image_ids. So one goes as soon as what it shows is published anew, taken back or forgotten.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError, InputError, StoreError
from imagefeatures.forget import deny
from imagefeatures.forget.wanted import Wanted
from imagefeatures.maps import choice as choices
from imagefeatures.maps.choice import Choice
from imagefeatures.maps.compute import POINTS, SHOWN, FeatureMap, compute
from imagefeatures.settings import Settings
from imagefeatures.storage.object_reader import ObjectReader
from imagefeatures.storage.objects import StoredObject

KEPT = 20
"""So many maps of a dataset are kept: one of 100,000 images has 20 MB. The latest ones, but those of more than SHOWN
photos go last: a look makes none of these, and looks at many choices must not push out what was dear."""

FACTS = b"imagefeatures.map"

UNREADABLE = (storage.ObjectMissing, pa.ArrowException, OSError, ValueError, KeyError, TypeError)
"""What reading a file raises that is gone, cut off, or no map."""


@dataclass(frozen=True, eq=False)
class StoredMap:
    """A map of the lake. One that is read again is another object, and not equal.

    points: `compute.POINTS`. facts: `compute.compute`'s, and runs, (partition key, run_id) pairs; forgotten, what had
    been forgotten of the lake (`deny.state`); made_at, as ISO 8601.
    """

    points: pa.Table
    facts: dict[str, Any]


def folder_of(lake: str) -> str:
    return f"{lake}/maps"


def uri_of(lake: str, choice: Choice) -> str:
    return _uri(lake, choice.dataset, choice.digest)


def is_map(lake: str, uri: str) -> bool:
    """Whether a file of the lake has the name of a map. Other files beside maps are somebody's own."""
    return bool(re.fullmatch(rf"{re.escape(folder_of(lake))}/[^/]+/[0-9a-f]{{32}}\.parquet", uri))


def make(settings: Settings, choice: Choice) -> StoredMap:
    """Compute a map, and keep it in the lake; the dataset's maps of what is no longer published go.

    Raises StoreError where something of it is published anew, taken back or forgotten meanwhile: try again. And what
    `compute.compute` and `storage.write` raise.
    """
    uri = uri_of(settings.lake, choice)
    forgotten = deny.state(settings.lake)
    computed = compute(settings, choice)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    facts = computed.facts | {"runs": choice.runs, "forgotten": forgotten, "made_at": now}
    storage.write(uri, encode(FeatureMap(computed.points, facts)))
    # Only now: whoever takes something back looks for maps too, and finds this one or is seen here.
    try:
        there = choices.published(settings, choice.dataset)
    except InputError:  # nothing of the dataset is published any more
        there = Choice(choice.dataset, ())
    if deny.state(settings.lake) != forgotten or not set(choice.runs) <= set(there.runs):
        storage.delete(uri)
        raise StoreError(
            f"{uri}: {choice.dataset} has changed while its map was computed: something was published, taken back or "
            "forgotten; try again"
        )
    _tidy(settings.lake, there, uri)
    return StoredMap(computed.points, facts)


def find(lake: str, dataset: str, digest: str) -> StoredMap | None:
    """The kept map; None where there is none. One that shows a forgotten image counts for none, as does a damaged one:
    it is deleted, where the lake may be written.

    digest: of its choice. Whether that is still published is for the caller to know.
    """
    uri = _uri(lake, dataset, digest)
    try:
        found = decode(storage.read(uri))
    except storage.ObjectMissing:
        return None
    except UNREADABLE:
        _delete_if_allowed(uri)
        return None
    if found.facts["forgotten"] != deny.state(lake):  # its writer may have been killed before it looked again
        denied = deny.read(lake)
        points = found.points
        pairs = zip(points["image_id"].to_pylist(), points["uri"].to_pylist(), strict=True)
        if any(denied.has_image(image_id) or denied.has_uri(uri) for image_id, uri in pairs):
            _delete_if_allowed(uri)
            return None
    return found


def holding(lake: str, wanted: Wanted) -> list[str]:
    """The URIs of the maps that show a wanted image, or cannot be read: of these it cannot be told."""
    found = []
    for stored in _maps(lake):
        try:
            points = pq.ParquetFile(ObjectReader(stored.uri, stored.size)).read([*wanted.columns])
            if not wanted.hold(points.to_batches()):
                continue
        except storage.ObjectMissing:
            continue
        except UNREADABLE:
            pass
        found.append(stored.uri)
    return found


def remove(lake: str, dataset: str, partition: str) -> int:
    """Delete the maps that show rows of a partition. Returns how many there were."""
    found = [
        stored.uri
        for stored, facts in with_facts(lake, dataset)
        if facts is None or any(key == partition for key, _ in facts["runs"])
    ]
    for uri in found:
        storage.delete(uri)
    return len(found)


def with_facts(lake: str, dataset: str | None = None) -> Iterator[tuple[StoredObject, dict[str, Any] | None]]:
    """The maps of a dataset with their facts, None for a file without any. dataset: None for the maps of all."""
    for stored in _maps(lake, dataset):
        try:
            yield stored, _facts_in(pq.read_schema(ObjectReader(stored.uri, stored.size)))
        except storage.ObjectMissing:
            continue
        except UNREADABLE:
            yield stored, None


def encode(computed: FeatureMap) -> bytes:
    """The bytes of the file."""
    points = computed.points.replace_schema_metadata({FACTS: json.dumps(computed.facts)})
    sink = pa.BufferOutputStream()
    pq.write_table(points, sink, compression="zstd")
    written: bytes = sink.getvalue().to_pybytes()
    return written


def decode(data: bytes) -> StoredMap:
    """What `encode` was given. Raises one of UNREADABLE."""
    points = pq.read_table(pa.BufferReader(data))
    facts = _facts_in(points.schema)
    return StoredMap(points.select(POINTS.names).cast(POINTS), facts)


def _uri(lake: str, dataset: str, digest: str) -> str:
    return f"{folder_of(lake)}/{dataset}/{digest}.parquet"


def _maps(lake: str, dataset: str | None = None) -> list[StoredObject]:
    """The maps of a dataset; None for all."""
    below = "" if dataset is None else f"/{dataset}"
    return [stored for stored in storage.list_objects(f"{folder_of(lake)}{below}") if is_map(lake, stored.uri)]


def _delete_if_allowed(uri: str) -> None:
    """Delete a file that is shown to nobody. Whoever may not write into the lake, as an API server, leaves it."""
    with contextlib.suppress(ImageFeaturesError):
        storage.delete(uri)


def _tidy(lake: str, there: Choice, made: str) -> None:
    """Delete the maps of what is no longer published, and those beyond KEPT. made: the one that stays in any case."""
    published, kept = set(there.runs), []
    for stored, facts in with_facts(lake, there.dataset):
        if facts and {(key, run_id) for key, run_id in facts["runs"]} <= published:
            kept.append((stored.uri == made, facts.get("photos", 0) > SHOWN, facts["made_at"], stored.uri))
        else:
            storage.delete(stored.uri)
    for *_, uri in sorted(kept)[:-KEPT]:
        storage.delete(uri)


def _facts_in(schema: pa.Schema) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((schema.metadata or {})[FACTS])
    for name in ("runs", "forgotten", "made_at"):
        facts[name]
    return facts
