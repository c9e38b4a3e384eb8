"""The corpus run is a program (`make test-corpora`), and not part of the suite: it downloads 95 MB first."""

from __future__ import annotations

collect_ignore_glob = ["*.py"]
