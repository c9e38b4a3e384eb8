"""How the parameters of a run override its dataset file."""

from __future__ import annotations

import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from imagefeatures.run_params import ForgetParams, Params, RedriveParams, RunParams, UnpublishParams
from support.dataset_files import GOOD


def test_parameters_that_are_not_given_leave_the_dataset_as_it_is() -> None:
    dataset = Dataset.model_validate(GOOD | {"sample": 0.5, "limits": {"max_rejected": 0.2}})
    assert RunParams.parse({}).applied_to(dataset) == dataset


def test_parameters_override_the_dataset_for_one_run() -> None:
    dataset = Dataset.model_validate(GOOD | {"limits": {"max_bytes": 7, "max_rejected": 0.2}})
    given = {"partition": "2026-11-02", "sample": 0.25, "max_rejected": 0, "decode_seconds": 3}
    effective = RunParams.parse(given).applied_to(dataset)
    assert effective.sample == 0.25
    assert effective.limits == Limits(max_bytes=7, max_rejected=0, decode_seconds=3)
    assert dataset.limits.max_rejected == 0.2


@pytest.mark.parametrize(
    ("file", "given", "effective"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True), (True, "false", False)],
)
def test_the_parameter_reuse_overrides_the_dataset_file(file: bool, given: bool | str | None, effective: bool) -> None:
    dataset = Dataset.model_validate(GOOD | {"reuse": file})
    assert RunParams.parse({"reuse": given}).applied_to(dataset).reuse is effective


def test_the_defaults_are_the_documented_ones() -> None:
    params = RunParams()
    assert (params.shard_images, params.shard_bytes, params.replace_newer) == (512, 67_108_864, False)
    rest = set(RunParams.model_fields) - {"shard_images", "shard_bytes", "replace_newer"}
    assert [getattr(params, name) for name in rest] == [None] * len(rest)


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("sample", 1e-9, 1),
        ("max_rejected", 0, 1),
        ("decode_seconds", 0.1, 600),
        ("shard_images", 1, 10_000),
        ("shard_bytes", 1_048_576, 1_073_741_824),
    ],
)
def test_a_value_at_its_bound_is_taken(field: str, least: float, most: float) -> None:
    for value in (least, most):
        assert getattr(RunParams.parse({field: value}), field) == value


def test_numbers_may_be_given_as_text() -> None:
    params = RunParams.parse({"sample": "0.5", "shard_images": "64"})
    assert (params.sample, params.shard_images) == (0.5, 64)


@pytest.mark.parametrize("params", [RunParams, RedriveParams, UnpublishParams])
def test_a_form_proposes_the_days_that_have_a_name(params: type[Params]) -> None:
    assert params.model_json_schema()["properties"]["partition"]["examples"] == ["yesterday", "today"]


def test_a_form_proposes_every_reason_and_none() -> None:
    assert RedriveParams.model_json_schema()["properties"]["reason"]["enum"] == [*(str(one) for one in Reason), None]


def test_images_that_are_left_out_are_none() -> None:
    for given in ({}, {"image_ids": None, "uris": None}):
        params = ForgetParams.model_validate({"why": "a wish", **given})
        assert (params.image_ids, params.uris, params.dry_run) == (None, None, True)
