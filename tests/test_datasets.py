from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagefeatures.datasets import Dataset, Limits, RunParams, find_dataset, load_dataset, load_datasets
from imagefeatures.errors import DatasetError, ParamsError

GOOD: dict[str, Any] = {"name": "fruit", "source": "s3://photos/fruit/{partition}/"}

NAUGHTY: dict[str, list[Any]] = {
    "name": [
        "",
        "Fruit",
        "1fruit",
        "fruit-a",
        "fruit/..",
        "fruit\n",
        "é",
        "f" * 64,
        "quarantine",
        "runs",
        7,
        None,
        True,
    ],
    "source": [
        "",
        "http://x/y",
        "S3://b/",
        "s3://",
        "s3:///x",
        "file://",
        "file://a/b",
        "s3://b/{day}/",
        "s3://b/{}/",
        7,
        None,
    ],
    "pattern": [[], 7, None, [7], {"a": 1}],
    "label": ["(", "no group", "(two)(groups)", 7, None, False],
    "schedule": ["0 3 * * *", "@daily", "* * * * *", "0 0 * *", "0 0 * * *; rm", "", 7, True],
    "start_date": ["2026-11-31", "yesterday", "2026-11-01T12:00:00", None, [], True],
    "model": ["resnet50", "", None, 7],
    "engine": ["onnx", "OpenVINO", "", None, True],
    "sample": [0, -0.1, 1.1, "abc", None, True, float("nan"), float("inf")],
    "limits": [None, 7, [], "none"],
    "duplicates": ["drop", "", None, True],
    "keep_rejected": ["maybe", "", None, 7, []],
    "reuse": ["maybe", "", None, 7, []],
    "on_empty": ["ignore", "", None, False],
}
NAUGHTY_LIMITS: dict[str, list[Any]] = {
    "max_bytes": [0, -1, 2**31 + 1, 1.5, "abc", None, True, 1e99],
    "max_pixels": [0, -1, 2**31 + 1, 1.5, "abc", None, True],
    "max_rejected": [-0.1, 1.1, "abc", None, True, float("nan")],
    "decode_seconds": [0, -1, 601, "abc", None, True, float("inf"), float("nan")],
    "formats": [[], ["EPS"], ["jpeg"], "JPEG", None, True, 7],
}
NAUGHTY_PARAMS: dict[str, list[Any]] = {
    "partition": ["", "../x", "a/b", ".hidden", "a b", "2026-11-02\n", "$(id)", "é", "x" * 65, 20261102, True],
    "sample": [0, -1, 1.01, "abc", True, float("nan")],
    "max_rejected": [-0.01, 1.01, "abc", True, float("nan")],
    "decode_seconds": [0, 601, "abc", True],
    "reuse": ["maybe", "", 7, []],
    "shard_images": [0, -1, "abc", 1e9, 1.5, None, True],
    "shard_bytes": [0, -1, 2**20 - 1, 2**30 + 1, "abc", None, True],
}


def each(table: dict[str, list[Any]]) -> list[Any]:
    return [pytest.param(f, v, id=f"{f}={str(v)[:20]!r}") for f, values in table.items() for v in values]


def written(folder: Path, content: dict[str, Any] | str, name: str = "fruit.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def test_every_field_has_its_naughty_values() -> None:
    assert set(NAUGHTY) == set(Dataset.model_fields)
    assert set(NAUGHTY_LIMITS) == set(Limits.model_fields)
    assert set(NAUGHTY_PARAMS) == set(RunParams.model_fields)


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY))
def test_a_naughty_value_in_a_dataset_file_is_refused_with_file_and_field(
    field: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: {field}(\.\d+)?: [^\n]+\Z"):
        load_dataset(written(tmp_path, GOOD | {field: value}))


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY_LIMITS))
def test_a_naughty_limit_is_refused_with_file_and_field(field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: limits\.{field}: [^\n]+\Z"):
        load_dataset(written(tmp_path, GOOD | {"limits": {field: value}}))


@pytest.mark.parametrize(("field", "value"), each(NAUGHTY_PARAMS))
def test_a_naughty_parameter_is_refused_with_its_field(field: str, value: Any) -> None:
    with pytest.raises(ParamsError, match=rf"^{field}: [^\n]+\Z"):
        RunParams.parse({field: value})


def test_a_day_that_does_not_exist_is_refused_with_its_field(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: start_date: .*day value is outside expected range"):
        load_dataset(written(tmp_path, "name: fruit\nsource: s3://b/\nstart_date: 2026-11-31\n"))


def test_unknown_keys_are_named(tmp_path: Path) -> None:
    content = GOOD | {"patern": "*.jpg", "limits": {"max_byte": 7}}
    with pytest.raises(DatasetError) as refused:
        load_dataset(written(tmp_path, content))
    assert str(refused.value) == "fruit.yaml: limits.max_byte: unknown field; patern: unknown field"
    with pytest.raises(ParamsError, match=r"^batch: unknown field$"):
        RunParams.parse({"batch": 32})


def test_missing_fields_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: name: is required; source: is required$"):
        load_dataset(written(tmp_path, {"label": "none"}))


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"sample: .*; limits\.max_bytes: "):
        load_dataset(written(tmp_path, GOOD | {"sample": 7, "limits": {"max_bytes": 0}}))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param("name: [fruit", "not YAML", id="unclosed list"),
        pytest.param("name: fruit\n\tsource: x", "not YAML", id="tab"),
        pytest.param("name: !!python/object/apply:os.system [id]", "not YAML", id="python tag"),
        pytest.param("limits: {max_bytes: !!int many}", "not YAML", id="a tag that does not fit"),
        pytest.param("", "expected a mapping of fields, found NoneType", id="empty"),
        pytest.param("- name: fruit", "expected a mapping of fields, found list", id="list"),
        pytest.param("fruit", "expected a mapping of fields, found str", id="text"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(content: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"^fruit\.yaml: {says}") as refused:
        load_dataset(written(tmp_path, content))
    assert "\n" not in str(refused.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "fruit.yaml"
    path.write_bytes("name: früchte".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"^fruit\.yaml: not YAML: .*utf-8"):
        load_dataset(path)


def test_the_name_must_be_the_files_own(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"^pears\.yaml: name: must be the file's own name, 'pears' \(got 'fruit'\)$"
    ):
        load_dataset(written(tmp_path, GOOD, "pears.yaml"))


def test_the_documented_file_is_read_as_written(tmp_path: Path) -> None:
    dataset = load_dataset(
        written(
            tmp_path,
            """
            name: fruit
            source: s3://photos/fruit/{partition}/
            pattern: ["*.jpg", "*.jpeg", "*.png"]
            label: parent
            schedule: "0 0 * * *"
            start_date: 2026-11-01
            model: mobilenet_v2
            engine: tensorflow
            sample: 0.5
            limits: {max_bytes: 1048576, max_pixels: 1000000, max_rejected: 0.1, decode_seconds: 5}
            duplicates: reject
            on_empty: skip
            """,
        )
    )
    assert dataset == Dataset(
        name="fruit",
        source="s3://photos/fruit/{partition}/",
        pattern=["*.jpg", "*.jpeg", "*.png"],
        schedule="0 0 * * *",
        start_date=dt.date(2026, 11, 1),
        engine="tensorflow",
        sample=0.5,
        limits=Limits(max_bytes=1048576, max_pixels=1000000, max_rejected=0.1, decode_seconds=5),
        duplicates="reject",
        on_empty="skip",
    )
    assert str(dataset.source_for("2026-11-02")) == "s3://photos/fruit/2026-11-02/"


def test_the_documented_defaults_hold() -> None:
    dataset = Dataset.model_validate(GOOD)
    assert (dataset.source.pattern, dataset.label, dataset.schedule) == (("*",), "parent", None)
    assert (dataset.engine, dataset.sample, dataset.duplicates, dataset.on_empty) == ("openvino", 1.0, "keep", "fail")
    assert dataset.limits == Limits(max_bytes=33554432, max_pixels=50000000, max_rejected=0.05, decode_seconds=10)


@pytest.mark.parametrize(
    ("source", "absolute"),
    [
        ("photos/{partition}/", "file://{folder}/photos/{{partition}}/"),
        ("photos", "file://{folder}/photos"),
        ("../elsewhere/", "file://{parent}/elsewhere/"),
        ("é 1+%20#/", "file://{folder}/é 1+%20#/"),
    ],
)
def test_a_relative_source_counts_from_the_dataset_file(source: str, absolute: str, tmp_path: Path) -> None:
    dataset = load_dataset(written(tmp_path, GOOD | {"source": source}))
    assert str(dataset.source) == absolute.format(folder=tmp_path, parent=tmp_path.parent)


def test_a_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, GOOD | {"name": "nuts"}, "nuts.yml")
    written(tmp_path, GOOD | {"name": "pears", "sample": 7}, "pears.yaml")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "readme.md").write_text("no dataset")
    datasets, errors = load_datasets(tmp_path)
    assert [dataset.name for dataset in datasets] == ["fruit", "nuts"]
    assert [str(error).split(": ")[0] for error in errors] == ["gone.yaml", "pears.yaml"]


def test_no_datasets_folder_is_no_dataset(tmp_path: Path) -> None:
    assert load_datasets(tmp_path / "nowhere") == ([], [])


def test_a_dataset_is_found_by_its_name_in_either_suffix(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, GOOD | {"name": "nuts"}, "nuts.yml")
    assert find_dataset(tmp_path, "fruit").name == "fruit"
    assert find_dataset(tmp_path, "nuts").name == "nuts"


@pytest.mark.parametrize("name", ["pears", "../fruit", "", "fruit.yaml", "*"])
def test_an_unknown_dataset_is_told_with_the_known_ones(name: str, tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    (tmp_path / "sub").mkdir()
    with pytest.raises(DatasetError, match=r"^no dataset file for .* \(there: fruit\)$"):
        find_dataset(tmp_path / "sub" / "..", name)


@pytest.mark.parametrize(
    ("pattern", "uri", "matches"),
    [
        ("*", "s3://b/k", True),
        ("*.jpg", "s3://b/pear/1.jpg", True),
        ("*.jpg", "s3://b/pear/1.JPG", False),
        ("*.jpg", "s3://b/pear.jpg/1.png", False),
        ("*.[jp][pn]g", "s3://b/pear/1.png", True),
        ("*/pear/*", "s3://b/pear/1.png", True),
        ("*.jpg", "s3://b/new\nline.jpg", True),
        (["*.jpg", "*.png"], "s3://b/1.png", True),
    ],
)
def test_patterns_fit_names_or_whole_uris(pattern: str | list[str], uri: str, matches: bool) -> None:
    assert Dataset.model_validate(GOOD | {"pattern": pattern}).source.matches(uri) is matches


@pytest.mark.parametrize(
    ("rule", "uri", "label"),
    [
        ("parent", "file:///data/2026-11-02/pear/1.jpg", "pear"),
        ("parent", "s3://b/1.jpg", None),
        ("parent", "file:///1.jpg", None),
        ("none", "s3://b/pear/1.jpg", None),
        (r"/(pear|fig)-\d+", "s3://b/fig-7.jpg", "fig"),
        (r"/(pear|fig)-\d+", "s3://b/nut-7.jpg", None),
        (r"nut(-\d+)?", "s3://b/nut.jpg", None),
    ],
)
def test_labels_come_from_the_uri(rule: str, uri: str, label: str | None) -> None:
    assert Dataset.model_validate(GOOD | {"label": rule}).label_of(uri) == label


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
def test_reuse_is_as_the_dataset_file_says_unless_the_run_says_otherwise(
    file: bool, given: bool | str | None, effective: bool
) -> None:
    dataset = Dataset.model_validate(GOOD | {"reuse": file})
    assert RunParams.parse({"reuse": given}).applied_to(dataset).reuse is effective


def test_numbers_may_arrive_as_text_as_on_a_command_line() -> None:
    params = RunParams.parse({"sample": "0.5", "shard_images": "64"})
    assert (params.sample, params.shard_images) == (0.5, 64)


def test_two_files_of_one_name_are_one_dataset_and_one_error(tmp_path: Path) -> None:
    for suffix in ("yaml", "yml"):
        (tmp_path / f"fruit.{suffix}").write_text("name: fruit\nsource: s3://b/\n")
    datasets, errors = load_datasets(tmp_path)
    assert [dataset.name for dataset in datasets] == ["fruit"]
    assert [str(error) for error in errors] == ["fruit.yml: name: there is a fruit.yaml too; one of them must go"]
