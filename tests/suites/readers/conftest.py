"""PyTorch lies in a folder of its own: `make test-readers` makes it, and it is put on the path of this process."""

from __future__ import annotations

import os
import sys

from imagefeatures.settings import REPOSITORY

sys.path.append(os.environ.get("TORCH_FOLDER", str(REPOSITORY / ".bench" / "torch")))
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
