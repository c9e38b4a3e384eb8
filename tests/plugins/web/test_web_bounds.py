"""How much of a conf is shown, which names are taken for ours, and how many statistics are kept."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures.settings import Settings
from imagefeatures_airflow.web import statistics
from imagefeatures_airflow.web.parameters import LONGEST, MOST, Given, given
from imagefeatures_airflow.web.partitions import Partition, has_names_of_ours
from support.web import runs_row

RUN = "20261102T000000-0a1b2c3d"


def test_so_many_parameters_and_so_many_characters_are_shown() -> None:
    for count in (MOST - 1, MOST, MOST + 1):
        found = given({f"p{number}": number for number in range(count)})
        assert (len(found.shown), found.more) == (min(count, MOST), max(0, count - MOST))
    for length in (LONGEST, LONGEST + 1):
        cut = "x" * LONGEST + "…" * (length > LONGEST)
        assert given({"x" * length: "x" * length}).shown == ((cut, cut),)


def test_of_a_list_as_many_are_shown_as_may_be_seen() -> None:
    assert given({"uris": ["a"] * 300}).shown == (("uris", ", ".join(["a"] * 300)[:LONGEST] + "…"),)
    assert given({"uris": [""] * LONGEST}) == given({"uris": [""] * 300})
    assert given(["a", None, 1, {"b": [None, True]}]).shown == (("conf", 'a, none, 1, {"b": [null, true]}'),)


def test_a_conf_that_says_nothing_has_no_parameters() -> None:
    for nothing in (None, {}, [], "", 0):
        assert given(nothing) == Given((), 0)


def test_mappings_are_shown_to_a_depth() -> None:
    four: Any = {"a": {"a": {"a": {"a": "end"}}}}
    assert given({"x": four}).shown == (("x", '{"a": {"a": {"a": {"a": "end"}}}}'),)
    assert given({"x": {"a": four}}).shown == (("x", '{"a": {"a": {"a": {"a": {"a": "end"}}}}}'),)
    assert given({"x": {"a": {"a": four}}}).shown == (("x", '{"a": {"a": {"a": {"a": {"a": "…"}}}}}'),)


@pytest.mark.parametrize("field", ["dataset", "partition_key", "run_id"])
def test_a_name_that_no_run_has_is_none_of_ours(field: str) -> None:
    row = runs_row("fruit", "2026-11-02", {}, run_id=RUN)
    assert has_names_of_ours(row)
    for name in ("../x", "a b", "<b>", ""):
        assert not has_names_of_ours(row | {field: name})


def test_a_partition_knows_its_tables(settings: Settings) -> None:
    of = Partition(settings, runs_row("fruit", "2026-11-02", {}, run_id=RUN, pixels="0f"))
    assert (of.dataset, of.key, of.run_id, of.table) == ("fruit", "2026-11-02", RUN, "fruit")
    assert (of.has_vectors, of.has_pixels, of.layout.partition) == (True, True, "2026-11-02")
    alone = Partition(settings, runs_row("fruit", "2026-11-02", {}, run_id=RUN, pixels="0f", model="none"))
    assert (alone.table, alone.has_vectors, alone.has_pixels) == ("fruit_pixels", False, True)
    assert not Partition(settings, runs_row("fruit", "2026-11-02", {}, run_id=RUN)).has_pixels


def test_the_statistics_that_were_read_last_are_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def of(_: Settings, runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        read.append(runs[0]["run_id"])
        return runs

    monkeypatch.setattr(statistics, "_kept", {})
    monkeypatch.setattr(statistics, "_unread", {})
    monkeypatch.setattr(statistics, "_read", of)
    monkeypatch.setattr(statistics, "MOST_KEPT", 2)
    monkeypatch.setattr(statistics.published, "FRESH_SECONDS", 600.0)
    rows = {name: [runs_row("fruit", "2026-11-02", {}, run_id=name)] for name in "abc"}
    for name in "abcbca":
        assert statistics.statistics_of(rows[name]) == rows[name]
    assert read == ["a", "b", "c", "a"]
    assert [runs for _, runs in statistics._kept] == [("c",), ("a",)]
