"""Why a run stopped: the last error of a step, kept in the run's own folder for whoever looks at the run.

The log of the task has it too, and more. This is for the page, which reads no logs. It is no part of the run: what
cannot be written or read is left out.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.layout import Layout

STOPPED = "stopped"
"""The task plan keeps its own in Airflow under this key: its run has no folder yet."""


@dataclass(frozen=True)
class Stop:
    """step: as the task is named. kind: the error's class. why: one line."""

    step: str
    kind: str
    why: str

    @classmethod
    def of_mapping(cls, facts: Mapping[str, Any]) -> Stop | None:
        """What `asdict` has made of one; None of anything else."""
        try:
            return cls(*(str(facts[name]) for name in ("step", "kind", "why")))
        except (KeyError, TypeError):
            return None


def keep(layout: Layout, stop: Stop) -> None:
    """Write it, in place of an earlier one."""
    with contextlib.suppress(ImageFeaturesError, OSError):
        if storage.exists(layout.run_file):  # else the folder of a finished run would come back
            storage.write(layout.stop, json.dumps(asdict(stop)).encode())


def last(layout: Layout) -> Stop | None:
    """The last one; None when no step has stopped, or it cannot be told."""
    try:
        return Stop.of_mapping(json.loads(storage.read(layout.stop)))
    except (ImageFeaturesError, storage.ObjectMissing, OSError, ValueError):
        return None
