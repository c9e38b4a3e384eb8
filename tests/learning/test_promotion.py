"""When a classifier takes the place of the last one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.learning import portable
from imagefeatures.learning.declared import Classify
from imagefeatures.learning.job import Job
from imagefeatures.learning.promotion import Promoted, current, decide, readable, settle
from support.learning import FINGERPRINT, by_corners

NOW = dt.datetime(2026, 11, 3, tzinfo=dt.UTC)


def job(lake: str = "s3://b", fingerprint: str = FINGERPRINT, **fields: Any) -> Job:
    return Job(
        model_id="1" * 16, dataset="fruit", snapshot=1, fingerprint=fingerprint, classify=Classify(**fields), lake=lake,
        planned_at=NOW,
    )  # fmt: skip


def last(fingerprint: str = FINGERPRINT, **fields: Any) -> Promoted:
    return Promoted.of(job(fingerprint=fingerprint, **fields).model_copy(update={"model_id": "0" * 16}), 0.9)


def test_the_first_is_promoted() -> None:
    decision = decide(job(), 0.1, None, None)
    assert (decision.promoted, decision.predicts, decision.compared_with) == (True, "1" * 16, None)


def test_one_whose_files_are_gone_or_damaged_is_not_waited_for(tmp_path: Path) -> None:
    new, old = job(f"file://{tmp_path}"), last()
    folder = tmp_path / "learning/fruit" / old.model_id
    assert not readable(new, old)
    portable.save(by_corners(), f"file://{folder}")
    assert not readable(new, old)  # its job.json says how its rows were held out
    for cut in ("", "{}"):
        (folder / "job.json").write_text(cut)
        assert not readable(new, old)
    (folder / "job.json").write_text(new.model_copy(update={"model_id": old.model_id}).model_dump_json())
    assert readable(new, old)
    (folder / "portable.json").write_bytes(b"")
    assert not readable(new, old)
    decision = decide(new, 0.1, None, None, gone=old.model_id)
    assert (decision.promoted, decision.predicts) == (True, new.model_id)
    assert decision.why == f"the files of the last one, {old.model_id}, are gone or damaged"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"x"', "\xff"])
def test_a_damaged_file_that_says_which_one_predicts_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    layout = job(f"file://{tmp_path}").layout
    assert current(layout) is None
    (tmp_path / "learning/fruit").mkdir(parents=True)
    (tmp_path / "learning/fruit/promoted.json").write_text(content, encoding="latin-1")
    with pytest.raises(
        ModelMismatch, match=r"promoted\.json: is damaged; delete it: the next classifier takes its place$"
    ):
        current(layout)


@pytest.mark.parametrize(
    ("accuracy", "margin", "promoted"),
    [(0.9, 0, True), (0.8999, 0, False), (0.89, 0.01, True), (0.8899, 0.01, False), (0.0, 1, True), (0.95, 0, True)],
)
def test_others_are_unless_worse_by_more_than_the_margin(accuracy: float, margin: float, promoted: bool) -> None:
    decision = decide(job(margin=margin), accuracy, last(), 0.9)
    assert decision.promoted is promoted
    assert decision.predicts == ("1" if promoted else "0") * 16
    assert f"{accuracy:.4f}, and 0.9000 of {'0' * 16} on the same held-out rows" in decision.why


def test_what_is_compared_has_the_four_digits_that_a_person_reads() -> None:
    assert decide(job(margin=0.01), 0.88996, last(), 0.9).promoted
    assert decide(job(margin=0.01), 0.89, last(), 0.90004).promoted
    assert not decide(job(margin=0.01), 0.88994, last(), 0.9).promoted


def test_what_the_last_one_has_on_these_rows_counts_more_than_what_it_had() -> None:
    assert decide(job(), 0.8, last(), 0.7).promoted
    assert not decide(job(), 0.8, last(), None).promoted
    assert "on other held-out rows" in decide(job(), 0.8, last(), None).why


def test_it_is_judged_by_rows_that_it_held_out_itself_alone() -> None:
    assert last().held_out_all_of(job())
    assert last(test_share=0.3).held_out_all_of(job(test_share=0.2))
    assert not last(test_share=0.1).held_out_all_of(job(test_share=0.2))
    assert not last(split_seed=1).held_out_all_of(job())
    assert not last(fingerprint="0" * 32).held_out_all_of(job())


def test_nobody_predicts_vectors_that_the_last_one_does_not_know() -> None:
    assert decide(job(), 0.1, last(fingerprint="0" * 32), None).predicts is None


def test_what_was_decided_once_stays(tmp_path: Path) -> None:
    one = job(lake=f"file://{tmp_path}")
    first = settle(one, decide(one, 0.9, None, None))
    assert settle(one, decide(one, 0.1, last(), 0.9)) == first
