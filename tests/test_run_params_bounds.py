"""The parameters of runs and requests: what they are where nobody sets them, and how far they may go."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.errors import ParamsError
from imagefeatures.learning.declared import MOST_COMPONENTS, MOST_SEED, Classify
from imagefeatures.run_params import (
    ClassifyParams,
    ForgetParams,
    Params,
    RedriveParams,
    RunParams,
    UnpublishParams,
    UpkeepParams,
    day_named,
)

MIB = 1 << 20
ID = hashlib.sha256(b"an image").hexdigest()
WHY = {"why": "x"}


@pytest.mark.parametrize(
    ("model", "field", "default", "least", "most"),
    [
        (RunParams, "max_rejected", None, 0, 1),
        (RunParams, "decode_seconds", None, 0.1, 600),
        (RunParams, "shard_images", 512, 1, 10_000),
        (RunParams, "shard_bytes", 64 * MIB, MIB, 1024 * MIB),
        (ClassifyParams, "components", None, 2, MOST_COMPONENTS),
        (ClassifyParams, "split_seed", None, 0, MOST_SEED),
    ],
)
def test_a_number_has_a_default_and_bounds(
    model: type[Params], field: str, default: float | None, least: float, most: float
) -> None:
    assert getattr(model.parse({}), field) == default
    for value in (least, most):
        assert getattr(model.parse({field: value}), field) == value
    below = least - (0.05 if field == "decode_seconds" else 1)
    for value, says in ((below, f"must be at least {least}"), (most + 1, f"must be at most {most}")):
        with pytest.raises(ParamsError) as refused:
            model.parse({field: value})
        assert str(refused.value) == f"{field}: {says} (got {value})"


def test_a_sample_is_a_share_and_never_nothing() -> None:
    assert [RunParams(sample=share).sample for share in (1e-9, 1)] == [1e-9, 1]
    for share, says in ((0, "must be above 0"), (1.01, "must be at most 1")):
        with pytest.raises(ParamsError, match=says):
            RunParams.parse({"sample": share})


def test_nothing_is_replaced_and_all_is_only_said_unless_somebody_says_otherwise() -> None:
    assert not RunParams().replace_newer
    requests = [UnpublishParams.parse(WHY), ForgetParams.parse(WHY), UpkeepParams.parse({})]
    assert all(request.dry_run for request in requests)
    assert [RunParams().partition, RunParams().sample, RunParams().reuse] == [None] * 3
    assert RedriveParams() == RedriveParams(partition=None, reason=None, since=None, uris=None)


@pytest.mark.parametrize("model", [UnpublishParams, ForgetParams])
def test_a_reason_is_given_in_up_to_500_characters(model: type[Params]) -> None:
    assert model.parse({"why": "x" * 500}).why == "x" * 500  # type: ignore[attr-defined]
    for text in ("", "x" * 501):
        with pytest.raises(ParamsError, match=r"^why: "):
            model.parse({"why": text})


@pytest.mark.parametrize(
    ("given", "uris"),
    [
        (None, None),
        (["s3://b/1"], ("s3://b/1",)),
        (["", " s3://b/1 ", "s3://b/2\r\n", " \n", "s3://b/1"], ("s3://b/1 ", "s3://b/1", "s3://b/2")),
    ],
)
def test_lines_are_taken_with_blanks_at_their_end_and_without(given: Any, uris: Any) -> None:
    assert RedriveParams.parse({"uris": given}).uris == uris
    assert UnpublishParams.parse({"uris": given, **WHY}).uris == uris
    assert ForgetParams.parse({"uris": given, **WHY}).uris == uris


def test_a_field_without_a_line_names_nothing() -> None:
    for model, field in ((RedriveParams, "uris"), (UnpublishParams, "uris"), (ForgetParams, "image_ids")):
        with pytest.raises(
            ParamsError, match=rf"^{field}: must name an object; where the field is left out, every one"
        ):
            model.parse({field: [" ", ""], **(WHY if model is not RedriveParams else {})})


def test_images_are_named_by_their_hash_and_a_request_has_at_most_a_thousand() -> None:
    def ids(*given: str) -> tuple[str, ...] | None:
        return ForgetParams.parse({"image_ids": given, **WHY}).image_ids

    assert ForgetParams.parse(WHY).image_ids is None
    assert ids(f" {ID.upper()} ", ID, "") == (ID,)
    for wrong in (ID[:-1], f"{ID}0", "x" * 64):
        with pytest.raises(ParamsError, match=rf"^image_ids: '{wrong}' is no SHA-256 of 64 hexadecimal digits"):
            ids(ID, wrong)
    many = [f"{number:064x}" for number in range(1001)]
    assert len(ids(*many[:1000]) or ()) == 1000
    says = r"must have at most 1,000 lines \(got 1,001\); make several requests"
    with pytest.raises(ParamsError, match=rf"^image_ids: {says}"):
        ids(*many)
    with pytest.raises(ParamsError, match=rf"^uris: {says}"):
        ForgetParams.parse({"uris": many, **WHY})
    assert len(RedriveParams.parse({"uris": many}).uris or ()) == 1001


@pytest.mark.parametrize(("reason", "near"), [("FETCH_TIMOUT", " (did you mean FETCH_TIMEOUT?)"), ("x", "")])
def test_a_reason_code_that_there_is_not_is_refused(reason: str, near: str) -> None:
    with pytest.raises(ParamsError) as refused:
        RedriveParams.parse({"reason": reason})
    assert str(refused.value) == f"reason: is no reason code{near} (got '{reason}')"
    assert RedriveParams.parse({"reason": "CORRUPT"}).reason == "CORRUPT"


def test_days_that_are_named_by_a_word_are_those_in_utc() -> None:
    evening = dt.datetime(2026, 11, 3, 1, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    named = [day_named(word, evening) for word in ("today", "Yesterday", "2026-10-05", "all")]
    assert named == ["2026-11-02", "2026-11-01", "2026-10-05", "all"]


def test_what_is_given_takes_the_place_of_the_files_values_and_all_else_stays() -> None:
    dataset = Dataset.model_validate({"name": "photos", "source": "s3://b/", "sample": 0.5, "limits": {"max_bytes": 7}})
    changed = RunParams(max_rejected=0.25, reuse=False, shard_images=3).applied_to(dataset)
    assert changed.limits == dataset.limits.model_copy(update={"max_rejected": 0.25})
    assert changed == dataset.model_copy(update={"reuse": False, "limits": changed.limits})
    assert RunParams().applied_to(dataset) == dataset
    assert RunParams.overridden(dataset) == {
        "sample": 0.5, "max_rejected": 0.05, "decode_seconds": 10, "reuse": dataset.reuse,
    }  # fmt: skip
    classify = Classify(components=5)
    assert ClassifyParams(split_seed=0).applied_to(classify) == classify.model_copy(update={"split_seed": 0})
    assert ClassifyParams().applied_to(classify) == classify


@pytest.mark.parametrize("model", [RedriveParams, UnpublishParams, ForgetParams])
@pytest.mark.parametrize("uri", ["file:///\udcff.jpg", "s3://b/\ud800", "s3://b/\0.jpg"])
def test_a_uri_that_no_table_can_hold_is_refused_with_its_field(model: type[Params], uri: str) -> None:
    """Written down, it would stop each request that goes on with it."""
    given = {} if model is RedriveParams else WHY
    with pytest.raises(ParamsError, match=r"^uris\.1: holds a character that cannot be stored$"):
        model.parse(given | {"uris": ["s3://b/1.jpg", uri]})
