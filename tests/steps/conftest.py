"""Fixtures of the tests of the steps."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures import read


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were opened for their rows."""
    uris: list[str] = []
    real = read.file_batches

    def noted(uri: str, *given: Any) -> Any:
        uris.append(uri)
        return real(uri, *given)

    monkeypatch.setattr(read, "file_batches", noted)
    return uris
