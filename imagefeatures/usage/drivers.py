"""What plan and the drivers of the steps have used: small files in the run's folder, one for each attempt.

No step depends on them. A file that cannot be written is left out.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imagefeatures import storage
from imagefeatures.errors import ImageFeaturesError
from imagefeatures.layout import Layout
from imagefeatures.usage.meter import Usage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriverUsage:
    """usage: of the driver alone, without the workers. joules: of the whole machine during the step, if it tells."""

    usage: Usage
    joules: float | None = None


def keep(layout: Layout, step: str, usage: Usage, joules: float | None = None) -> None:
    """Keep what a driver has used for a step. step: a step, or plan."""
    content = {"step": step, "usage": usage.as_json(), "joules": joules}
    try:
        storage.write(layout.new_driver_usage(step), json.dumps(content).encode())
    except ImageFeaturesError as error:
        log.info("%s: what its driver has used is not counted (%s)", step, error)


def read(layout: Layout) -> Mapping[str, Sequence[DriverUsage]]:
    """What was kept, by step, of all attempts. What cannot be read is left out. Raises StoreRefused or StoreError."""
    found: dict[str, list[DriverUsage]] = defaultdict(list)
    for name in storage.names(layout.driver_usages):
        try:
            content = json.loads(storage.read(f"{layout.driver_usages}/{name}"))
            if usage := Usage.of_json(content["usage"]):
                found[str(content["step"])].append(DriverUsage(usage, content["joules"]))
        except (storage.ObjectMissing, ValueError, LookupError, TypeError):  # empty or cut
            continue
    return found
