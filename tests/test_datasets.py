"""Dataset files: reading them, finding them, and what they say about URIs: patterns and labels."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from imagefeatures.dataset_files import find_dataset, load_dataset, load_datasets
from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError
from imagefeatures.limits import Limits
from support.dataset_files import GOOD, written


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
    assert (dataset.start_date, dataset.model) == (dt.date(2020, 1, 1), "mobilenet_v2")
    assert (dataset.keep_rejected, dataset.reuse) == (False, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "f" * 63),
        ("start_date", dt.date(1970, 1, 1)),
        ("start_date", dt.date(2199, 12, 31)),
        ("sample", 1.0),
        ("sample", 1e-9),
        ("schedule", None),
    ],
)
def test_a_value_at_its_bound_is_taken(field: str, value: object) -> None:
    assert getattr(Dataset.model_validate(GOOD | {field: value}), field) == value


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@pytest.mark.parametrize(
    "schedule",
    [
        *(f"0 0 * * {day}" for day in WEEKDAYS),
        *(f"0 0 * {month} *" for month in MONTHS),
        "0 0 L * *",  # the last day of a month
        "0 0 1,15 */2 MON-FRI",
    ],
)
def test_a_schedule_may_name_months_and_weekdays_and_the_last_day_of_a_month(schedule: str) -> None:
    assert Dataset.model_validate(GOOD | {"schedule": schedule}).schedule == schedule


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
def test_the_error_for_an_unknown_dataset_lists_the_known_ones(name: str, tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    (tmp_path / "sub").mkdir()
    with pytest.raises(DatasetError, match=r"^no dataset file for .* \(known: fruit\)$"):
        find_dataset(tmp_path / "sub" / "..", name)


@pytest.mark.parametrize("name", ["../fruit", "sub/../fruit", "./fruit", "other/fruit"])
def test_a_name_that_is_a_path_finds_no_file_though_one_is_there(name: str, tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    for folder in ("sub", "sub/sub", "sub/other"):
        (tmp_path / folder).mkdir()
    for folder in ("sub", "sub/other"):
        written(tmp_path / folder, GOOD)
    assert (tmp_path / "sub" / f"{name}.yaml").is_file()
    with pytest.raises(DatasetError, match=rf"^no dataset file for '{name}' in .*\(known: fruit\)$"):
        find_dataset(tmp_path / "sub", name)


@pytest.mark.parametrize(
    ("pattern", "uri", "matches"),
    [
        ("*", "s3://b/k", True),
        ("*.jpg", "s3://b/pear/1.jpg", True),
        ("*.jpg", "s3://b/pear/1.JPG", False),
        ("*.jpg", "s3://b/pear.jpg/1.png", False),
        ("*.[jp][pn]g", "s3://b/pear/1.png", True),
        ("pear/*", "s3://b/pear/1.png", True),
        ("*/pear/*", "s3://b/pear/1.png", False),
        ("s*.jpg", "s3://b/pear/1.jpg", False),
        ("[!.]*.jpg", "s3://b/pear/.1.jpg", False),
        ("*.jpg", "s3://b/new\nline.jpg", True),
        (["*.jpg", "*.png"], "s3://b/1.png", True),
    ],
)
def test_patterns_match_names_or_paths_below_the_source(pattern: str | list[str], uri: str, matches: bool) -> None:
    assert Dataset(name="fruit", source="s3://b/", pattern=pattern).source.matches(uri) is matches


def test_a_pattern_and_an_exclude_are_written_down_as_the_sources_own() -> None:
    dataset = Dataset(name="fruit", source="s3://b/", pattern="*.jpg", exclude=["drafts/*"])
    assert (dataset.source.pattern, dataset.source.exclude) == (("*.jpg",), ("drafts/*",))
    mapping = {"uri": "s3://b/", "pattern": ["*.jpg"], "exclude": ["drafts/*"]}
    assert dataset == Dataset.model_validate({"name": "fruit", "source": mapping})
    del mapping["exclude"]
    assert dataset == Dataset.model_validate({"name": "fruit", "source": mapping, "exclude": "drafts/*"})
    assert not {"pattern", "exclude"} & set(dataset.model_dump())
    assert Dataset.model_validate(dataset.model_dump()) == dataset


@pytest.mark.parametrize(
    ("rule", "uri", "label"),
    [
        ("parent", "file:///data/2026-11-02/pear/1.jpg", "pear"),
        ("parent", "s3://b/1.jpg", None),
        ("parent", "file:///1.jpg", None),
        ("parent", "s3://b/pear/1.jpg", "pear"),
        ("none", "s3://b/pear/1.jpg", None),
        ("none", "s3://b/none/1.jpg", None),
        (r"/(pear|fig)-\d+", "s3://b/fig-7.jpg", "fig"),
        (r"/(pear|fig)-\d+", "s3://b/nut-7.jpg", None),
        (r"nut(-\d+)?", "s3://b/nut.jpg", None),
    ],
)
def test_labels_come_from_the_uri(rule: str, uri: str, label: str | None) -> None:
    assert Dataset.model_validate(GOOD | {"label": rule}).label_of(uri) == label


def test_two_files_with_one_name_are_one_dataset_and_one_error(tmp_path: Path) -> None:
    for suffix in ("yaml", "yml"):
        (tmp_path / f"fruit.{suffix}").write_text("name: fruit\nsource: s3://b/\n")
    datasets, errors = load_datasets(tmp_path)
    assert [dataset.name for dataset in datasets] == ["fruit"]
    assert [str(error) for error in errors] == ["fruit.yml: name: there is a fruit.yaml too; remove one of them"]
