"""Which partitions a map or an audit is of, what is too much for a page, and what the page says instead."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures.audits import kept
from imagefeatures.background import UnderWay, Waits
from imagefeatures.errors import StoreError
from imagefeatures.maps import on_look
from imagefeatures.maps.choice import Choice
from imagefeatures.settings import Settings, program
from imagefeatures_airflow.web import audit, feature_map
from imagefeatures_airflow.web.audit import Audited
from imagefeatures_airflow.web.feature_map import MOST_PARTITIONS, Chosen
from imagefeatures_airflow.web.partitions import Partition
from imagefeatures_airflow.web.published import Unavailable
from support.web import runs_row

DAYS = ("2026-11-03", "2026-11-02", "2026-11-01")


def row(day: str, **changed: Any) -> dict[str, Any]:
    return runs_row("figs", day, {}, **({"registered": 10} | changed))


def chosen(settings: Settings, rows: list[dict[str, Any]], of: list[dict[str, Any]] | None = None) -> Chosen:
    return Chosen(settings, "figs", rows if of is None else of, rows)


def audited(settings: Settings, rows: list[dict[str, Any]], every: bool = False) -> Audited:
    return Audited([Partition(settings, one) for one in rows], every)


def test_older_partitions_are_listed_where_they_were_chosen(settings: Settings) -> None:
    every = [row(f"p{number:04}") for number in range(MOST_PARTITIONS + 3)][::-1]
    newest, oldest = every[:MOST_PARTITIONS], every[-1]
    assert chosen(settings, [newest[0]], every).listed == newest
    assert chosen(settings, [newest[0], oldest], every).listed == [*newest, oldest]
    assert chosen(settings, every, every).listed == newest
    few = every[-MOST_PARTITIONS:]
    assert chosen(settings, few, every).listed == [*newest, *every[MOST_PARTITIONS:]]


def test_a_map_of_too_much_is_said_with_its_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_look, "MOST_PHOTOS", 20)
    two = [row(day) for day in DAYS[:2]]
    assert feature_map._too_much(chosen(settings, two)) is None
    more = [two[0], row(DAYS[1], registered=11)]
    said = feature_map._too_much(chosen(settings, more, [*more, row(DAYS[2])]))
    command = f"{program()} map figs --partition {DAYS[0]} --partition {DAYS[1]}"
    assert said is not None
    assert said.startswith("These partitions have 21 photos, and a look begins maps of up to 20. ")
    assert said.endswith(command)
    assert (feature_map._too_much(chosen(settings, more)) or "").endswith(f"{program()} map figs")
    none = feature_map._too_much(chosen(settings, [row(DAYS[0], registered=0)]))
    assert none == "features.figs has no photos of these partitions."
    several = feature_map._too_much(chosen(settings, [two[0], row(DAYS[1], fingerprint="0f" * 16)]))
    assert (several or "").startswith("The vectors of these partitions were computed in several ways")


class Maps:
    """As `MapsOnLook`. It may write, and begins what it is given."""

    def __init__(self, state: UnderWay | Waits | None = None, may_write: bool = True) -> None:
        self.state, self.writes = state, may_write
        self.begun: list[Choice] = []

    def may_write(self) -> bool:
        return self.writes

    def begin(self, choice: Choice) -> Any:
        self.begun.append(choice)
        if self.state is None:
            raise StoreError("s3://secret/: no answer")
        return self.state


def test_a_map_is_begun_where_it_may_be_and_asked_for_again_while_it_is_under_way(settings: Settings) -> None:
    of = chosen(settings, [row(DAYS[0])], [row(day) for day in DAYS])
    choice = Choice.of("figs", of.rows)
    process: Any = None
    under_way = Maps(UnderWay(choice, process))
    said, again = feature_map._begun(of, under_way, choice)  # type: ignore[arg-type]
    assert (said, again) == ("The map is being computed, since 0 s. The page asks again by itself.", 5)
    assert under_way.begun == [choice]
    for state, seconds in ((Waits("another one"), 5), (Waits("it has failed", again=False), None)):
        assert feature_map._begun(of, Maps(state), choice) == (state.why, seconds)  # type: ignore[arg-type]
    refused = Maps(may_write=False)
    said, again = feature_map._begun(of, refused, choice)  # type: ignore[arg-type]
    assert said.startswith("Airflow's API server may not write into the lake")
    assert said.endswith(f"{program()} map figs --partition {DAYS[0]}")
    assert (again, refused.begun) == (None, [])
    none = chosen(settings, [row(DAYS[0], registered=0)])
    assert feature_map._begun(none, under_way, choice)[1] is None  # type: ignore[arg-type]
    assert under_way.begun == [choice]
    with pytest.raises(Unavailable, match=r"cannot be read now \(StoreError\)"):
        feature_map._begun(of, Maps(), choice)  # type: ignore[arg-type]


def test_an_audit_is_named_after_what_it_is_of(settings: Settings) -> None:
    rows = [row(day) for day in DAYS]
    one, every = audited(settings, rows[:1]), audited(settings, rows, every=True)
    assert (one.dataset, one.photos, one.name) == ("figs", 10, rows[0]["run_id"])
    assert (every.dataset, every.photos, every.name) == ("figs", 30, "figs")
    assert one.command == f"{program()} audit figs --partition {DAYS[0]} --to FOLDER"
    assert every.command == f"{program()} audit figs --to FOLDER"
    assert every.choice == Choice.of("figs", rows)


def test_an_audit_of_too_much_is_said_with_its_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_PHOTOS", 20)
    rows = [row(day) for day in DAYS]
    assert audit._too_much(audited(settings, rows[:1])) is None
    assert audit._too_much(audited(settings, rows[:2], every=True)) is None
    for of, whose in (
        (audited(settings, [row(DAYS[0], registered=21)]), "The partition has 21"),
        (audited(settings, [*rows[:2], row(DAYS[2], registered=1)], every=True), "The published partitions have 21"),
    ):
        said = audit._too_much(of) or ""
        assert said.startswith(f"{whose} photos, and the page audits up to 20. ")
        assert said.endswith(of.command)
    for every, words in ((False, "this"), (True, "any")):
        none = audit._too_much(audited(settings, [row(DAYS[0], registered=0)], every))
        assert none == f"features.figs has no photos of {words} partition."
    several = audit._too_much(audited(settings, [rows[0], row(DAYS[1], fingerprint="0f" * 16)], every=True))
    assert (several or "").startswith("The vectors of the published partitions were computed in several ways")
    pixels = audit._too_much(audited(settings, [row(DAYS[0], model="none", pixels="0f")]))
    assert pixels == "The partition has pixels alone: without vectors there are no neighbours."


def test_four_neighbours_are_shown() -> None:
    assert audit._neighbours({"neighbours": "a\nb\nc\nd\ne"}) == ["a", "b", "c", "d"]
    assert audit._neighbours({"neighbours": "a"}) == ["a"]
