"""What the page "Image features" keeps on this machine: thumbnails and audits at which nobody has looked for long."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from imagefeatures.audits import kept
from imagefeatures.thumbnails.folder import ThumbnailFolder
from imagefeatures.upkeep.report import Line


def clean(cache: Path, before: float, line: Line, *, remove: bool) -> None:
    """Count them, and remove them if asked to. before: in seconds since 1970. What the page removes first is gone."""
    for path, size in ThumbnailFolder(cache / "thumbnails").older_than(before).items():
        line.add(size)
        if remove:
            path.unlink(missing_ok=True)
    for folder in kept.older_than(cache, before):
        with contextlib.suppress(FileNotFoundError):
            line.add(sum(path.stat().st_size for path in folder.iterdir()))
            if remove:
                shutil.rmtree(folder, ignore_errors=True)
