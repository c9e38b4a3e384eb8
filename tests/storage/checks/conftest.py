"""Fixtures of the tests of the checks of a store."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures import storage


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bytes]]:
    """The name and the bytes of each object that a check writes by `storage`, in this order."""
    found: list[tuple[str, bytes]] = []
    real = storage.write

    def noted(uri: str, data: bytes, **given: Any) -> bool:
        found.append((uri.partition("/checks/")[2], data))
        return real(uri, data, **given)

    monkeypatch.setattr(storage, "write", noted)
    return found
