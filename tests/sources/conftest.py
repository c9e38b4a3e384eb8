"""What the tests of the HTTP client share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.hostile_http import Site, site


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A host that may be dialled, and so may 127.0.0.3."""
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1,127.0.0.3")
    with site("127.0.0.1") as made:
        yield made
