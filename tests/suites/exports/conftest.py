"""FAISS and WebDataset lie in a folder of their own: `make test-exports` puts it on the path."""

from __future__ import annotations

import sys

from imagefeatures.settings import REPOSITORY

sys.path.append(str(REPOSITORY / ".bench" / "exports"))
