"""A request that is not done is a file from which it can be gone on with."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from imagefeatures.errors import AuditFailed
from imagefeatures.forget import pending
from imagefeatures.forget.pending import Pending

WHEN = dt.datetime(2026, 11, 2, 8, 30, tzinfo=dt.UTC)


def request(run_id: str) -> Pending:
    places = frozenset({("fruit", "2026-11-02"), ("birds", "all")})
    return Pending(run_id, frozenset({"ab", "cd"}), frozenset({"s3://b/1.jpg"}), "ada", "asked to", WHEN, places)


def test_requests_are_read_as_they_were_written_oldest_first_until_they_are_done(tmp_path: Path) -> None:
    lake = f"file://{tmp_path}"
    assert list(pending.all_of(lake)) == []
    first, second = request("20261102T083000-1"), request("20261103T083000-2")
    for one in (second, first):
        pending.keep(lake, one)
    assert list(pending.all_of(lake)) == [first, second]
    pending.done(lake, first)
    assert list(pending.all_of(lake)) == [second]
    assert [path.name for path in tmp_path.rglob("*.json")] == ["20261103T083000-2.json"]


def test_a_request_is_written_again_with_what_it_has_found(tmp_path: Path) -> None:
    lake, one = f"file://{tmp_path}", request("r")
    pending.keep(lake, one)
    wider = one.with_images(frozenset({"ef"})).with_partitions(frozenset({("fruit", "2026-11-03")}))
    pending.keep(lake, wider)
    (found,) = pending.all_of(lake)
    assert found.image_ids == {"ab", "cd", "ef"}
    assert found.partitions == {("fruit", "2026-11-02"), ("birds", "all"), ("fruit", "2026-11-03")}
    assert (found.run_id, found.uris, found.requested_at) == (one.run_id, one.uris, WHEN)


def test_what_no_table_can_hold_is_left_out_of_a_request_that_was_written_before(tmp_path: Path) -> None:
    """It would stop this request and, as each begins with those that are not done, every later one."""
    lake, one = f"file://{tmp_path}", request("r")
    uris = one.uris | {"file:///\udcff.jpg", "file:///\0.jpg"}
    pending.keep(lake, replace(one, uris=uris, asked_by="ad\udcffa", why="\ud800"))
    (found,) = pending.all_of(lake)
    assert found == replace(one, asked_by="ad\\udcffa", why="\\ud800")


def test_a_request_that_waited_has_its_reason_as_it_was_given(tmp_path: Path) -> None:
    lake, one = f"file://{tmp_path}", replace(request("r"), asked_by="Ada\tL.", why=f"First line\n{'long ' * 97}")
    pending.keep(lake, one)
    assert list(pending.all_of(lake)) == [one]


def test_one_that_is_done_by_another_process_meanwhile_is_none_and_one_that_is_damaged_comes_last(
    tmp_path: Path,
) -> None:
    lake, (first, second, third) = f"file://{tmp_path}", (request(f"2026110{day}T083000-1") for day in (1, 2, 3))
    for one in (first, second, third):
        pending.keep(lake, one)
    found = pending.all_of(lake)
    assert next(found) == first
    pending.done(lake, second)
    assert list(found) == [third]
    (file,) = tmp_path.rglob(f"{first.run_id}.json")
    file.write_bytes(b"{}")
    found = pending.all_of(lake)
    assert next(found) == third
    with pytest.raises(AuditFailed, match=f"/{first.run_id}.json: a request that was not done is damaged"):
        next(found)
