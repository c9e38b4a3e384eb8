"""The names of tables and DAGs, and whose they are."""

from __future__ import annotations

from typing import Any

import pytest

from imagefeatures import names


def test_each_dag_of_a_dataset_has_a_name_from_which_the_dataset_is_found() -> None:
    made = [names.dag_id, names.redrive_dag_id, names.classify_dag_id, names.unpublish_dag_id]
    ids = ["features_fruit", "redrive_fruit", "classify_fruit", "unpublish_fruit"]
    assert [make("fruit") for make in made] == ids
    for find, own in ((names.dataset_of, 0), (names.dataset_redriven_by, 1), (names.dataset_classified_by, 2)):
        assert [find(dag_id) for dag_id in ids] == ["fruit" if at == own else None for at in range(4)]


@pytest.mark.parametrize(
    ("row", "tables", "vectors"),
    [
        ({}, ["fruit"], True),
        ({"model": "resnet50", "models": None, "pixels": None}, ["fruit"], True),
        ({"model": "resnet50", "models": [("vgg16", "0f")]}, ["fruit", "fruit__vgg16"], True),
        ({"model": "vgg16", "models": [], "pixels": "0f"}, ["fruit", "fruit_pixels"], True),
        ({"model": "none", "models": None, "pixels": "0f"}, ["fruit_pixels"], False),
        ({"model": "none"}, ["fruit"], True),  # a dataset of an earlier version whose model has that name
    ],
)
def test_the_tables_of_a_run_are_told_by_its_row(row: dict[str, Any], tables: list[str], vectors: bool) -> None:
    assert names.tables_of_run({"dataset": "fruit", **row}) == tables
    assert names.has_vectors({"dataset": "fruit", **row}) is vectors


def test_a_table_may_be_of_several_datasets() -> None:
    tables = ["fruit", "fruit__resnet50", "fruit_pixels", "fruits", "fruit_resnet50", "fruit__a_pixels"]
    assert [names.may_be_table_of(table, "fruit") for table in tables] == [True, True, True, False, False, True]
    assert names.datasets_of("fruit") == names.datasets_of("fruit_pixels") == ["fruit"]
    assert names.datasets_of("a__b__c") == ["a__b__c", "a__b", "a"]


def test_tables_are_named_after_their_dataset() -> None:
    assert names.table_name("fruit") == "features.fruit"
    assert names.model_table("fruit", "vgg16") == "fruit__vgg16"
    assert names.predictions("fruit") == "fruit_predictions"
    assert names.pixels_table("fruit") == "fruit_pixels"
    assert [names.is_pixels_table(table) for table in ("fruit", "fruit_pixels")] == [False, True]
