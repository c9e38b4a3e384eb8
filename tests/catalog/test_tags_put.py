"""Which tags a publication sets and drops: its own, that of the run which it replaces, and the oldest of the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import RemoveSnapshotRefUpdate, SetSnapshotRefUpdate

from imagefeatures.catalog import retention, tags
from imagefeatures.catalog.tags import PLACE, SIGNATURE

FRUIT, NUTS, SEEDS = "fruit/1", "nuts/1", "seeds/1"


class Change:
    """A transaction on a table whose snapshots are numbered from 1, and what is added to it."""

    def __init__(self, *runs: tuple[str, str, int | None], most: int = 9, current: int | None = None) -> None:
        """runs: id, place and sequence number of each snapshot."""
        snapshots = [
            SimpleNamespace(
                snapshot_id=at,
                sequence_number=number,
                summary=Summary(Operation.APPEND, **{SIGNATURE: run_id, PLACE: place}),
            )
            for at, (run_id, place, number) in enumerate(runs, 1)
        ]
        self.table_metadata = SimpleNamespace(
            snapshots=snapshots,
            refs={tags.tag_of(run_id): SimpleNamespace(snapshot_id=at) for at, (run_id, *_) in enumerate(runs, 1)},
            properties={retention.KEEP_TAGS: str(most)},
            current_snapshot_id=len(runs) + 1 if current is None else current,
        )
        self.added: list[str] = []

    def _apply(self, updates: tuple[Any, ...]) -> None:
        for update in updates:
            if isinstance(update, SetSnapshotRefUpdate):
                self.added.append(f"+{update.ref_name} {update.snapshot_id} {update.type}")
            if isinstance(update, RemoveSnapshotRefUpdate):
                self.added.append(f"-{update.ref_name}")

    def put(self, run_id: str, place: str, stands: bool = True, began_with: int | None = 0) -> list[str]:
        table = cast("Table", SimpleNamespace(metadata=SimpleNamespace(current_snapshot_id=began_with)))
        tags.put(table, cast("Transaction", self), run_id, place, stands)
        return self.added


def test_a_snapshot_is_signed_with_its_run_and_its_place_if_it_has_one() -> None:
    assert tags.signed("a") == {SIGNATURE: "a"}
    assert tags.signed("a", FRUIT) == {SIGNATURE: "a", PLACE: FRUIT}
    assert tags.tag_of("a") == "run-a"


def test_a_publication_takes_the_tag_of_the_run_that_it_replaces() -> None:
    change = Change(("a", FRUIT, 1), ("b", NUTS, 2))
    assert change.put("c", FRUIT) == ["-run-a", "+run-c 3 tag"]


def test_a_run_that_is_published_again_keeps_its_tags_name() -> None:
    assert Change(("a", FRUIT, 1)).put("a", FRUIT) == ["+run-a 2 tag"]


@pytest.mark.parametrize(("most", "gone"), [(4, []), (3, ["a"]), (2, ["a", "b"]), (1, ["a", "b", "d"])])
def test_the_oldest_tags_beyond_the_number_go(most: int, gone: list[str]) -> None:
    change = Change(("d", NUTS, 4), ("b", SEEDS, 2), ("a", "a/1", None), most=most)
    assert change.put("e", FRUIT) == [*(f"-run-{run_id}" for run_id in gone), "+run-e 4 tag"]


def test_a_snapshot_without_a_number_is_older_than_any_other() -> None:
    """It is of the first version of Iceberg's format."""
    change = Change(("first", NUTS, 1), ("unnumbered", SEEDS, None), most=2)
    assert change.put("e", FRUIT) == ["-run-unnumbered", "+run-e 3 tag"]


def test_a_run_without_rows_and_one_of_a_table_without_tags_get_none() -> None:
    assert Change(("a", FRUIT, 1)).put("c", FRUIT, stands=False) == ["-run-a"]
    assert Change(("a", FRUIT, 1), most=0).put("c", NUTS) == ["-run-a"]
    assert Change(("a", FRUIT, 1), most=0).put("c", NUTS, stands=False) == ["-run-a"]


def test_changes_that_make_no_snapshot_change_no_tag() -> None:
    assert Change(("a", FRUIT, 1), current=7).put("c", FRUIT, began_with=7) == []
    change = Change(("a", FRUIT, 1))
    change.table_metadata.current_snapshot_id = None
    assert change.put("c", FRUIT, began_with=7) == []
    assert change.put("c", FRUIT, began_with=None) == []


def test_tags_of_others_are_none_of_a_runs() -> None:
    change = Change(("a", FRUIT, 1), ("b", FRUIT, 2), ("bare", FRUIT, 3))
    change.table_metadata.snapshots[2].summary = None
    change.table_metadata.refs = {
        "run-for-the-paper": SimpleNamespace(snapshot_id=1),
        "run-b": SimpleNamespace(snapshot_id=1),
        "run-bare": SimpleNamespace(snapshot_id=3),
        "run-gone": SimpleNamespace(snapshot_id=99),
    }
    assert change.put("c", FRUIT) == ["+run-c 4 tag"]


def test_the_tag_of_a_run_that_is_taken_back_goes() -> None:
    for run_id, expected in (("a", ["-run-a"]), ("b", [])):
        change = Change(("a", FRUIT, 1))
        tags.drop(cast("Transaction", change), run_id)
        assert change.added == expected
