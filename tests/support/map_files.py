"""Feature maps as the lake keeps them, of photos that no table has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import storage
from imagefeatures.forget import deny
from imagefeatures.maps import compute, stored
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings
from support.publishing import DAY

RUN = "20261102T000000-0a1b2c3d"
CHOSEN = Choice("photos", ((DAY, RUN),))
IDS = ("a" * 64, "b" * 64)


def drawn(**facts: Any) -> compute.FeatureMap:
    """Two photos on a map."""
    rows = [
        {"uri": f"s3://b/{at}.jpg", "image_id": one, "partition_key": DAY, "label": None, "x": at, "y": 0.0,
         "near": [1 - at], "cosines": [0.5]}
        for at, one in enumerate(IDS)
    ]  # fmt: skip
    return compute.FeatureMap(pa.Table.from_pylist(rows, schema=compute.POINTS), {"photos": 2} | facts)


def keep(settings: Settings, of: Choice = CHOSEN, **facts: Any) -> str:
    """Write a map into the lake. facts: instead of its own; None: without. Returns its URI."""
    own = {"runs": of.runs, "forgotten": deny.state(settings.lake), "made_at": "2026-11-03T00:00:00+00:00"}
    left = {name: value for name, value in (own | facts).items() if value is not None}
    uri = stored.uri_of(settings.lake, of)
    storage.write(uri, stored.encode(drawn(**left)))
    return uri


def files(settings: Settings) -> set[str]:
    return {listed.uri for listed in storage.list_objects(f"{settings.lake}/maps")}


def gone_after_a_listing(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    """From now on a file leaves as soon as it was listed, as when another process deletes it."""
    listed = storage.list_objects

    def then_gone(prefix: str) -> list[storage.StoredObject]:
        found = list(listed(prefix))
        Path(uri.removeprefix("file://")).unlink(missing_ok=True)
        return found

    monkeypatch.setattr(storage, "list_objects", then_gone)
