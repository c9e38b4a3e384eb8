"""Whose a table is: of which dataset, or somebody's own."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from imagefeatures import names, schemas
from imagefeatures.catalog import owners, tables
from imagefeatures.errors import DatasetError
from imagefeatures.settings import Settings
from support.growing import run_file, runs_row
from support.publishing import DAY

OTHER = "photos__resnet50"
"""A dataset whose name is that of a further model of photos."""


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return tables.open_catalog(settings)


def published(catalog: Catalog, settings: Settings, dataset: str, **columns: Any) -> None:
    """Put a row of a run of the dataset into features.runs, and make the tables that the run has filled."""
    run_id = f"{dataset} {columns}"
    (row,) = runs_row(dataset, run_id).to_pylist()
    row |= {"models": [], "pixels": None} | columns
    rows = pa.Table.from_pylist([row], schema=schemas.RUNS)
    tables.replace_rows(tables.open_table(catalog, settings, names.RUNS), DAY, dataset, rows, run_id)
    for name in names.tables_of_run(row):
        if not names.is_pixels_table(name):
            tables.open_table(catalog, settings, name)


def somebodys_own(catalog: Catalog, namespace: str, name: str) -> Table:
    catalog.create_namespace_if_not_exists(namespace)
    return catalog.create_table((namespace, name), schema=pa.schema([("uri", pa.string())]))


def test_the_tables_of_both_namespaces_are_listed_in_order(catalog: Catalog, settings: Settings) -> None:
    assert owners.listed(catalog) == []
    for name in ("photos", "birds"):
        tables.open_table(catalog, settings, name)
    for namespace, name in (("learning", "b"), ("learning", "a"), ("features", "mine"), ("elsewhere", "c")):
        somebodys_own(catalog, namespace, name)
    assert owners.listed(catalog) == [
        ("features", "birds"), ("features", "mine"), ("features", "photos"), ("learning", "a"), ("learning", "b"),
    ]  # fmt: skip


def test_a_table_that_this_package_has_opened_or_committed_to_is_ours(catalog: Catalog, settings: Settings) -> None:
    table = tables.open_table(catalog, settings, "photos")
    assert owners.is_ours(table)
    tables.replace_files(table, DAY, [run_file(settings, "one")], "one")
    with table.transaction() as change:
        change.remove_properties(*(name for name in table.properties if name.startswith(owners.OWN_PROPERTIES)))
    assert owners.is_ours(table)


def test_a_table_that_others_have_made_and_filled_is_theirs(catalog: Catalog) -> None:
    table = somebodys_own(catalog, "features", "mine")
    assert not owners.is_ours(table)
    table.append(pa.table({"uri": ["a"]}))
    assert not owners.is_ours(table)
    bare = [snapshot.model_copy(update={"summary": None}) for snapshot in table.metadata.snapshots]
    table.metadata = table.metadata.model_copy(update={"snapshots": bare})
    assert not owners.is_ours(table), "a snapshot need not have a summary"


def test_a_table_that_another_dataset_publishes_is_taken(catalog: Catalog, settings: Settings) -> None:
    owners.refuse_taken(catalog, OTHER, [OTHER])
    published(catalog, settings, "photos", models=[("resnet50", "0f")])
    owners.refuse_taken(catalog, "photos", ["photos", OTHER, "photos_pixels"])
    owners.refuse_taken(catalog, "photos__other", ["photos__other"])
    said = rf"^features\.{OTHER} is published by the dataset photos; give the dataset {OTHER} another name$"
    with pytest.raises(DatasetError, match=said):
        owners.refuse_taken(catalog, OTHER, [OTHER])


def test_a_further_model_whose_table_a_dataset_has_is_refused(catalog: Catalog, settings: Settings) -> None:
    published(catalog, settings, OTHER)
    owners.refuse_taken(catalog, "photos", ["photos", "photos__other"])
    owners.refuse_taken(catalog, OTHER, [OTHER])
    said = rf"^features\.{OTHER} is published by the dataset {OTHER}; give the model or the dataset another name$"
    with pytest.raises(DatasetError, match=said):
        owners.refuse_taken(catalog, "photos", ["photos", OTHER])


def test_the_tables_of_a_dataset_are_those_of_its_name_that_no_other_has_filled(
    catalog: Catalog, settings: Settings
) -> None:
    published(catalog, settings, "photos", models=[("resnet50", "0f"), ("other", "0f")])
    published(catalog, settings, "birds")
    assert owners.tables_of(catalog, "photos") == ["photos", "photos__other", OTHER]
    assert owners.tables_of(catalog, OTHER) == []
    assert owners.tables_of(catalog, names.RUNS) == [], "it is of all datasets"
    published(catalog, settings, "photos", models=[("other", "0f")])
    published(catalog, settings, OTHER)
    assert owners.tables_of(catalog, "photos") == ["photos", "photos__other"]
    assert owners.tables_of(catalog, OTHER) == [OTHER]


def test_a_dataset_of_pixels_alone_has_no_table_of_vectors(catalog: Catalog, settings: Settings) -> None:
    published(catalog, settings, "photos", models=[("resnet50", "0f")])
    published(catalog, settings, OTHER, model=names.NO_MODEL, pixels="0f")
    assert owners.tables_of(catalog, "photos") == ["photos", OTHER]
    owners.refuse_taken(catalog, "photos", [OTHER])


def test_runs_of_a_version_that_knew_neither_further_models_nor_pixels_have_one_table(
    catalog: Catalog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = pa.schema([field for field in schemas.RUNS if field.name not in ("models", "pixels", "models_reused")])
    monkeypatch.setitem(schemas.TABLES, names.RUNS, older)
    rows = runs_row(OTHER, "one").select(older.names)
    tables.replace_rows(tables.open_table(catalog, settings, names.RUNS), DAY, OTHER, rows, "one")
    tables.open_table(catalog, settings, OTHER)
    assert owners.tables_of(catalog, "photos") == []
    assert owners.tables_of(catalog, OTHER) == [OTHER]
