"""What a run has cost, as columns of features.runs: core time, memory, bytes, requests, energy; and that in money.

columns        the columns of a run, from what was measured of its steps
RunCost        the same read from a row of features.runs, with what follows from it
Prices         what the units cost: IMAGEFEATURES_PRICES
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from imagefeatures.steps import MEASURED, REGISTER
from imagefeatures.usage import meter
from imagefeatures.usage.meter import Usage
from imagefeatures.usage.traffic import Traffic

if TYPE_CHECKING:
    from imagefeatures.usage.drivers import DriverUsage

MILLION = 1_000_000


@dataclass(frozen=True)
class Prices:
    """What the units cost, in one currency. core_hour: of one core. gb: 10⁹ bytes.

    thousand_get_requests, thousand_put_requests: to S3, the latter with COPY, POST and LIST.
    """

    core_hour: float = 0.0
    thousand_get_requests: float = 0.0
    thousand_put_requests: float = 0.0
    gb_read: float = 0.0
    gb_written: float = 0.0
    currency: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Prices written as name=number, separated by commas. Raises ValueError in plain words.

        >>> Prices.parse("core_hour=0.045, thousand_put_requests=0.005, currency=USD").core_hour
        0.045
        """
        known = [field.name for field in fields(cls)]
        given: dict[str, Any] = {}
        for part in filter(None, map(str.strip, text.split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name not in known or not equals or name in given:
                why = "stands twice" if name in given else f"is none of {', '.join(known)}, each followed by ="
                raise ValueError(f"{part!r} {why}")
            given[name] = value if name == "currency" else _price(name, value)
        return cls(**given)


@dataclass(frozen=True)
class StepCost:
    """One step. images: that came in; None for plan and register, which work on the run as a whole."""

    step: str
    core_seconds: float | None
    peak_memory: int | None
    images: int | None

    @property
    def images_per_core_second(self) -> float | None:
        return self.images / self.core_seconds if self.images and self.core_seconds else None


@dataclass(frozen=True)
class RunCost:
    """What a published run has cost. Make one with `RunCost.of`.

    row: of features.runs. prices: None where nobody has set any; then there is no money.
    """

    row: Mapping[str, Any]
    prices: Prices | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any], prices: Prices | None = None) -> Self | None:
        """The cost of a run by its row of features.runs; None where it was not measured, as in earlier versions.

        row: for instance of `read.runs(settings)`. prices: for instance `settings.prices`.
        """
        return cls(row, prices) if row.get("images_per_core_second") is not None else None

    @property
    def steps(self) -> list[StepCost]:
        row = self.row
        return [
            StepCost(s, row[f"{s}_core_seconds"], row[f"{s}_peak_memory"], row.get(f"{s}_images")) for s in MEASURED
        ]

    @property
    def core_seconds(self) -> float:
        """Of all steps."""
        return sum(step.core_seconds or 0.0 for step in self.steps)

    @property
    def images(self) -> int:
        """How many images the run has taken: of a re-drive those that it took again."""
        return int(self.row["ingest_images"])

    @property
    def money(self) -> float | None:
        """What the run has cost in the prices' currency; None without prices."""
        if self.prices is None:
            return None
        prices, row = self.prices, self.row
        return float(
            prices.core_hour * self.core_seconds / 3600
            + prices.thousand_get_requests * row["get_requests"] / 1000
            + prices.thousand_put_requests * row["put_requests"] / 1000
            + prices.gb_read * row["bytes_read"] / 1e9
            + prices.gb_written * row["bytes_written"] / 1e9
        )

    @property
    def money_per_million_images(self) -> float | None:
        """The same for a million images such as the run's; None without prices."""
        return None if self.money is None else self.money / self.images * MILLION

    @property
    def requests(self) -> list[tuple[str, int]]:
        """How many requests there were of each kind, for the kinds of which there were any."""
        kinds = {"GET": "get_requests", "PUT": "put_requests", "HTTP": "http_requests"}
        return [(kind, self.row[column]) for kind, column in kinds.items() if self.row[column]]

    def in_money(self, amount: float) -> str:
        """An amount with three digits that count, and the currency.

        >>> RunCost({}, Prices(currency="EUR")).in_money(0.012345), RunCost({}, Prices()).in_money(1234.5)
        ('0.0123 EUR', '1,234.50')
        """
        digits = max(2, 2 - math.floor(math.log10(amount))) if amount else 2
        return f"{amount:,.{digits}f} {self.prices.currency if self.prices else ''}".strip()

    def __str__(self) -> str:
        row = self.row
        peaks = [step.peak_memory for step in self.steps if step.peak_memory]
        parts = [f"{self.core_seconds:,.1f} core-seconds ({row['images_per_core_second']:,.1f} images a core-second)"]
        if peaks:
            parts.append(f"at most {max(peaks) / 1e6:,.0f} MB a worker")
        parts.append(f"{row['bytes_read'] / 1e6:,.1f} MB read, {row['bytes_written'] / 1e6:,.1f} MB written")
        parts += [f"{count:,} {kind} requests" for kind, count in self.requests]
        if row["joules"] is not None:
            parts.append(f"{row['joules']:,.0f} J of the machine")
        if self.money is not None and self.money_per_million_images is not None:
            million = self.in_money(self.money_per_million_images)
            parts.append(f"{self.in_money(self.money)}, {million} for a million images")
        return ", ".join(parts)


def columns(
    images: int, workers: Mapping[str, Usage | None], drivers: Mapping[str, Sequence[DriverUsage]], register: Usage
) -> dict[str, Any]:
    """The columns of features.runs that say what a run has cost. All are None where a part was not measured.

    images: that were listed. workers: of each step that works on shards, the sums over its receipts. drivers: as
    drivers.read. register: until now.
    """
    by_step: dict[str, Usage | None] = {REGISTER: register}
    for step in MEASURED[:-1]:
        own = [driver.usage for driver in drivers.get(step, ())]
        by_step[step] = meter.total([workers[step], *own] if step in workers else own)
    found: dict[str, Any] = {}
    for step, usage in by_step.items():
        # The memory of a step on shards is that of its workers: a driver of Spark is mostly its JVM.
        largest = workers.get(step, usage)
        found[f"{step}_core_seconds"] = usage.core_seconds if usage else None
        found[f"{step}_peak_memory"] = largest.peak_memory if largest else None
    sums = meter.total(by_step.values())
    for field in fields(Traffic):
        found[field.name] = getattr(sums.traffic, field.name) if sums else None
    found["images_per_core_second"] = images / sums.core_seconds if sums and sums.core_seconds and images else None
    joules = [driver.joules for of_step in drivers.values() for driver in of_step if driver.joules is not None]
    return found | {"joules": sum(joules) if joules else None}


def _price(name: str, value: str) -> float:
    try:
        price = float(value)
    except ValueError:
        price = math.nan
    if not 0 <= price < 1e9:
        raise ValueError(f"{name}: {value!r} is not a price, such as 0.045")
    return price
