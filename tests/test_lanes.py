"""How URLs are cut into shards by host, and how rows are sorted into them."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from imagefeatures import lanes
from imagefeatures.lanes import Cut, Hosts, in_lanes, sorted_rows
from imagefeatures.sources.http import host_of

Row = tuple[str | None, int]
"""A URL, or None for what has no host, and its weight."""


def cut(rows: list[Row], wanted: int, most_rows: int = 1000, most_weight: int = 10**9) -> Cut:
    hosts = Hosts()
    for row in rows:
        hosts.add(*row)
    return hosts.cut(wanted, most_rows, most_weight)


def of_host(name: str, count: int) -> list[Row]:
    return [(f"https://{name}/{number}.jpg", 100) for number in range(count)]


def of_no_host(*weights: int) -> list[Row]:
    return [(None, weight) for weight in weights]


def test_whatever_the_listing_a_host_is_in_one_lane_and_a_shard_under_its_caps() -> None:
    chance = random.Random(7)
    for _ in range(400):
        hosts, count = chance.randint(1, 12), chance.randint(1, 60)
        rows: list[Row] = [
            (f"http://h{chance.randrange(hosts)}.org/{n}" if chance.random() < 0.8 else None, chance.choice([0, 1, 50]))
            for n in range(count)
        ]
        most_rows, most_weight = chance.randint(1, 20), chance.choice([5, 120, 1000])
        made = cut(rows, chance.randint(1, 8), most_rows, most_weight)
        assert set(made.shards.tolist()) == set(range(len(made.lanes)))  # no shard is empty
        assert sorted(made.lanes) == list(made.lanes)
        lane_of, shards_of = defaultdict(set), defaultdict(set)
        for (url, _), shard in zip(rows, made.shards.tolist(), strict=True):
            lane_of[url and host_of(url)].add(made.lanes[shard])
            shards_of[made.lanes[shard]].add(shard)
        lane_of.pop(None, None)
        assert {len(found) for found in lane_of.values()} <= {1}
        for shard in range(len(made.lanes)):
            within = [weight for (_, weight), of in zip(rows, made.shards.tolist(), strict=True) if of == shard]
            assert len(within) <= most_rows
            assert sum(within) <= most_weight or len(within) == 1
        for lane, within_lane in shards_of.items():
            if len(within_lane) > 1:  # of one host alone
                assert len([host for host, found in lane_of.items() if lane in found]) == 1


def test_a_large_host_has_equal_shards_in_one_lane_and_small_ones_share_a_shard() -> None:
    small = [row for n in range(10) for row in of_host(f"small{n}.org", 10)]
    made = cut(of_host("large.org", 300) + small, 8)
    assert np.bincount(made.shards).tolist() == [50] * 8
    assert list(made.lanes) == [0] * 6 + [1, 2]
    assert made.shards[:300].tolist() == sorted(made.shards[:300].tolist())  # as it was listed


EXACT = {
    "as many rows as may be": (of_no_host(*[9] * 6), 1, {"most_rows": 2}, [0, 0, 1, 1, 2, 2]),
    "as much weight as may be": (of_no_host(*[50] * 6), 1, {"most_weight": 100}, [0, 0, 1, 1, 2, 2]),
    "a row of which half is over stays": (of_no_host(1, 1, 8, 6), 2, {}, [0, 0, 0, 1]),
    "one of which more is over does not": (of_no_host(1, 1, 9, 5), 2, {}, [0, 0, 1, 1]),
    "of one byte in all": (of_no_host(1, 0, 0, 0), 4, {}, [0, 1, 2, 3]),
    "a row too heavy keeps its place": (of_no_host(1, 500, 1), 1, {"most_weight": 100}, [0, 1, 2]),
    "a host of a whole shard's rows is not large": (
        of_no_host(*[100] * 5) + of_host("a.org", 10), 1, {"most_rows": 10}, [0] * 5 + [1] * 10,
    ),
    "nor one of its weight": (
        of_no_host(*[100] * 5) + of_host("a.org", 10), 1, {"most_weight": 1000}, [0] * 5 + [1] * 10,
    ),
    "nor one a thousandth above its share": (
        [*of_no_host(499, 0), ("http://a.org/1", 501), ("http://a.org/2", 0)], 2, {}, [0, 0, 1, 1],
    ),
    "one of eight tenths of two shards is": (
        of_no_host(*[100] * 20) + of_host("a.org", 80), 2, {}, [2] * 20 + [0] * 40 + [1] * 40,
    ),
}  # fmt: skip
"""Rows, how many shards are wanted, caps, and the shard of each row. a.org, by its hash, follows what has no host."""


@pytest.mark.parametrize(("rows", "wanted", "caps", "shards"), EXACT.values(), ids=EXACT)
def test_a_shard_is_filled_up_to_its_bounds(
    rows: list[Row], wanted: int, caps: dict[str, int], shards: list[int]
) -> None:
    assert cut(rows, wanted, **caps).shards.tolist() == shards


def test_only_rows_that_have_a_host_have_to_be_cut_by_it() -> None:
    hosts = Hosts()
    assert not hosts
    hosts.add(None, 1)
    hosts.add("file:///a.org/1", 1)
    assert not hosts
    hosts.add("http://a.org/1", 1)
    assert hosts


def test_what_has_no_host_is_parted_anywhere() -> None:
    made = cut([(None, 100)] * 90 + of_host("a.org", 10), 4)
    assert np.bincount(made.shards).tolist() == [25] * 4
    assert list(made.lanes) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.org/1", "https://A.org./2"),
        ("http://a.org:80/1", "http://a.org:8080?2"),
        ("http://bücher.example/1", "http://xn--bcher-kva.example/2"),
        (" http://a.org", "HTTP://a.org#2"),
        ("http://[::1]/1", "https://[::1]:99/2"),
    ],
)
def test_hosts_are_those_of_the_client_however_they_are_written(one: str, other: str) -> None:
    assert host_of(one) == host_of(other)
    assert len(set(cut([(one, 1), (other, 1), ("http://z.org", 1)], 2).shards[:2].tolist())) == 1
    assert len(set(cut([(one, 1), ("http://other.org/", 1)], 2).shards.tolist())) == 2


@pytest.mark.parametrize("wanted", [2, 3])
def test_a_url_that_is_never_asked_for_belongs_to_no_host(wanted: int) -> None:
    made = cut([("http://me:secret@a.org/1", 1), ("http://a.org:22/", 1), ("file:///a.org/1", 1)], wanted)
    assert len(set(made.shards.tolist())) == wanted


def test_rows_are_sorted_by_shard_in_files_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "SORTED_ROWS", 100)
    chance = random.Random(3)
    shards = np.array([chance.randrange(40) for _ in range(2000)], np.int32)
    table = pa.table({"uri": [f"http://a.org/{n}" for n in range(2000)], "label": [None, "b"] * 1000})
    rows = sorted_rows(table.to_batches(max_chunksize=170), shards, tmp_path)
    first = next(rows)
    assert 10 < len(list(tmp_path.iterdir())) < 30
    expected = sorted(range(2000), key=lambda n: (shards[n], n))
    found = [first, *rows]
    assert [(row["shard"], row["uri"]) for row in found] == [(shards[n], f"http://a.org/{n}") for n in expected]
    assert [row["label"] for row in found] == [[None, "b"][n % 2] for n in expected]
    assert list(tmp_path.iterdir()) == []


def test_a_shard_of_many_rows_before_one_of_a_single_row_has_each_of_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "SORTED_ROWS", 100)
    table = pa.table({"number": range(2101)})
    shards = np.array([0] * 2100 + [1], np.int32)
    found = list(sorted_rows(table.to_batches(), shards, tmp_path))
    assert [(row["shard"], row["number"]) for row in found] == list(zip(shards, range(2101), strict=True))


def test_the_longest_lane_is_begun_first_and_what_is_done_is_left_out() -> None:
    assert in_lanes([0, 0, 1, 1, 1, 2], [1, 2, 3, 4, 5]) == [[2, 3, 4], [1], [5]]
    assert in_lanes((), [4, 2, 7]) == [[4], [2], [7]]
