"""Joules, by counters as Linux shows them, in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagefeatures.usage.energy import Energy


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages, one of them with its cores and its memory; psys, which is all of them again; another interface."""
    zones = {
        "intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "package-1",
        "intel-rapl:2": "psys", "intel-rapl-mmio:0": "package-0",
    }  # fmt: skip
    for zone, name in zones.items():
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text("10000000\n")
        set_counter(tmp_path, zone, 1_000_000)
    return tmp_path


def set_counter(powercap: Path, zone: str, microjoules: int) -> None:
    (powercap / zone / "energy_uj").write_text(f"{microjoules}\n")


def test_packages_and_memory_are_added_up_and_nothing_twice(powercap: Path) -> None:
    energy = Energy(powercap)
    assert energy.joules == 0
    for zone in powercap.iterdir():
        set_counter(powercap, zone.name, 1_500_000)
    energy.update()
    assert energy.joules == 1.5  # three counters, half a joule each


def test_a_counter_that_begins_anew_loses_nothing(powercap: Path) -> None:
    energy = Energy(powercap)
    for value in (9_000_000, 500_000, 600_000):
        set_counter(powercap, "intel-rapl:1", value)
        energy.update()
    assert energy.joules == pytest.approx(8.0 + 1.5 + 0.1)


def test_a_machine_without_counters_tells_nothing(tmp_path: Path) -> None:
    energy = Energy(tmp_path / "none")
    energy.update()
    assert energy.joules is None


def test_counters_that_may_not_be_read_tell_nothing(powercap: Path) -> None:
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert Energy(powercap).joules is None
    (powercap / "intel-rapl:1" / "energy_uj").write_text("no number\n")
    assert Energy(powercap).joules is None


def test_a_zone_without_a_name_is_not_counted(powercap: Path) -> None:
    (powercap / "intel-rapl:1" / "name").unlink()
    energy = Energy(powercap)
    for zone in powercap.iterdir():
        set_counter(powercap, zone.name, 1_500_000)
    energy.update()
    assert energy.joules == 1.0


def test_a_counter_that_vanishes_makes_the_sum_unknown(powercap: Path) -> None:
    energy = Energy(powercap)
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    energy.update()
    assert energy.joules is None
    set_counter(powercap, "intel-rapl:0", 5_000_000)
    energy.update()
    assert energy.joules is None
