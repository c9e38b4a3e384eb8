"""Prices as they are written, and the cost of a run in words and money."""

from __future__ import annotations

import pytest

from imagefeatures import cost
from imagefeatures.cost import Prices, RunCost, StepCost
from imagefeatures.steps import MEASURED, SPARK_STEPS
from imagefeatures.usage.drivers import DriverUsage
from imagefeatures.usage.meter import Usage
from imagefeatures.usage.traffic import Traffic

ONE = Usage(1.0, 100, Traffic(1, 2, 3, 4, 5))
NAMES = "core_hour, thousand_get_requests, thousand_put_requests, gb_read, gb_written, currency, each followed by ="

ROW = {
    **{f"{step}_core_seconds": 1000.25 for step in MEASURED},
    **{f"{step}_peak_memory": 1_000_000 * number or None for number, step in enumerate(MEASURED)},
    **{f"{step}_images": 100 for step in SPARK_STEPS},
    "ingest_images": 2000,
    "images_per_core_second": 1234.56,
    "bytes_read": 1_234_560_000,
    "bytes_written": 50_000,
    "get_requests": 12_000,
    "put_requests": 0,
    "http_requests": 7,
    "joules": None,
}


def test_prices_are_numbers_by_name_and_a_currency() -> None:
    assert Prices.parse("") == Prices.parse(" , ") == Prices(0, 0, 0, 0, 0, "")
    text = "core_hour=0.045, thousand_get_requests = 0 ,thousand_put_requests=2,gb_read=3,gb_written=999999999"
    assert Prices.parse(f"{text},currency=USD") == Prices(0.045, 0, 2, 3, 999_999_999, "USD")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("core_hours=1", f"'core_hours=1' is none of {NAMES}"),
        ("currency", f"'currency' is none of {NAMES}"),
        ("gb_read=1,gb_read=1", "'gb_read=1' stands twice"),
        ("core_hour=x", "core_hour: 'x' is not a price, such as 0.045"),
        ("core_hour=", "core_hour: '' is not a price, such as 0.045"),
        ("gb_read=-0.1", "gb_read: '-0.1' is not a price, such as 0.045"),
        ("gb_read=1e9", "gb_read: '1e9' is not a price, such as 0.045"),
        ("gb_read=nan", "gb_read: 'nan' is not a price, such as 0.045"),
    ],
)
def test_anything_else_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"=|price|twice") as refused:
        Prices.parse(text)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (0, "0.00"), (0.012345, "0.0123"), (0.1234, "0.123"), (1, "1.00"), (9.876, "9.88"), (10, "10.00"),
        (12.345, "12.35"), (1234.5, "1,234.50"),
    ],
)  # fmt: skip
def test_an_amount_has_three_digits_that_count_or_two_behind_the_point(amount: float, shown: str) -> None:
    assert RunCost({}, Prices()).in_money(amount) == RunCost({}).in_money(amount) == shown
    assert RunCost({}, Prices(currency="EUR")).in_money(amount) == f"{shown} EUR"


def test_a_run_is_told_in_one_line_with_what_was_measured() -> None:
    line = (
        "6,001.5 core-seconds (1,234.6 images a core-second), at most 5 MB a worker, 1,234.6 MB read, 0.1 MB written, "
        "12,000 GET requests, 7 HTTP requests"
    )
    assert str(RunCost(ROW)) == line
    assert str(RunCost(ROW | {"joules": 1234.5})) == f"{line}, 1,234 J of the machine"
    priced = RunCost(ROW, Prices(thousand_get_requests=0.5, currency="EUR"))
    assert str(priced) == f"{line}, 6.00 EUR, 3,000.00 EUR for a million images"
    unknown = ROW | {f"{step}_peak_memory": None for step in MEASURED}
    assert str(RunCost(unknown)) == line.replace(" at most 5 MB a worker,", "")
    every = RunCost(ROW | {"put_requests": 1})
    assert every.requests == [("GET", 12_000), ("PUT", 1), ("HTTP", 7)]


def test_each_step_has_its_own_cost_and_one_that_is_not_known_adds_nothing() -> None:
    found = RunCost(ROW | {"plan_core_seconds": None})
    assert found.core_seconds == 5 * 1000.25
    assert found.steps[:2] == [StepCost("plan", None, None, None), StepCost("ingest", 1000.25, 1_000_000, 2000)]
    assert [step.step for step in found.steps] == list(MEASURED)
    rates = [StepCost("x", seconds, None, images).images_per_core_second for seconds, images in (
        (4.0, 2), (4.0, None), (None, 2), (0.0, 2), (4.0, 0),
    )]  # fmt: skip
    assert rates == [0.5, None, None, None, None]
    assert RunCost.of(ROW) == RunCost(ROW)
    assert RunCost.of(ROW | {"images_per_core_second": None}) is None


def test_columns_are_null_where_a_part_was_not_measured() -> None:
    found = cost.columns(90, dict.fromkeys(SPARK_STEPS, ONE), {}, ONE)
    assert (found["plan_core_seconds"], found["plan_peak_memory"], found["register_core_seconds"]) == (None, None, 1)
    assert (found["bytes_read"], found["images_per_core_second"], found["joules"]) == (None, None, None)
    idle = Usage(0.0, 0, Traffic())
    drivers = {"plan": [DriverUsage(idle, joules=0.0)]}
    found = cost.columns(90, dict.fromkeys(SPARK_STEPS, idle), drivers, idle)
    assert (found["bytes_read"], found["images_per_core_second"], found["joules"]) == (0, None, 0.0)
    drivers = {"plan": [DriverUsage(ONE, joules=1.5)], "ingest": [DriverUsage(ONE), DriverUsage(ONE, joules=2.0)]}
    assert cost.columns(90, dict.fromkeys(SPARK_STEPS, ONE), drivers, ONE)["joules"] == 3.5
