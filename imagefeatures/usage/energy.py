"""Joules that a machine has used, by the counters of its processors (RAPL), where it shows them.

Linux shows them to root alone by default, virtual machines hardly ever. They are those of the whole machine, whatever
else runs on it.
"""

from __future__ import annotations

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


class Energy:
    """Adds up the energy from the moment it is made on. folder: where Linux has the counters."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        self._zones = [zone for zone in sorted(folder.glob("intel-rapl:*")) if _is_counted(zone)]
        self._last = self._read()
        self._microjoules = 0

    @property
    def joules(self) -> float | None:
        """Of processors and memory, until the last `update`; None where the machine does not tell."""
        return self._microjoules / 1e6 if self._last else None

    def update(self) -> None:
        """Read the counters. They begin anew after some minutes under load: an update is due before the second time."""
        now = self._read()
        if now.keys() != self._last.keys():
            self._last = {}  # it has begun to refuse: half a sum would be wrong
        for zone, value in now.items():
            if zone in self._last:
                passed = value - self._last[zone]
                self._microjoules += passed if passed >= 0 else passed + _number(zone / "max_energy_range_uj")
        self._last = now if self._last else {}

    def _read(self) -> dict[Path, int]:
        try:
            return {zone: _number(zone / "energy_uj") for zone in self._zones}
        except (OSError, ValueError):
            return {}


def _is_counted(zone: Path) -> bool:
    """Packages, and memory beside them. Cores are part of their package, and psys is all of it again."""
    try:
        name = (zone / "name").read_text().strip()
    except OSError:
        return False
    return name.startswith("package") or name == "dram"


def _number(file: Path) -> int:
    return int(file.read_text())
