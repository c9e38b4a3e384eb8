"""What a REST catalog takes of a server's answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.rest import TableResponse

from imagefeatures.catalog import rest_catalog, tables
from imagefeatures.catalog.file_io import LAKE, LakeFileIO
from imagefeatures.catalog.rest_catalog import LakeRestCatalog
from imagefeatures.errors import CatalogRefused
from imagefeatures.settings import Settings
from support.canary import RestAnswers
from support.canary import rest_catalog as server

CODE = "write.py-location-provider.impl"


@pytest.fixture
def table(settings: Settings) -> dict[str, Any]:
    """What a server answers about a table of the lake."""
    made = tables.open_table(tables.open_catalog(settings), settings, "photos")
    metadata = json.loads(Path(made.metadata_location.removeprefix("file://")).read_text())
    metadata["properties"][CODE] = "os.system"
    return {"metadata-location": made.metadata_location, "metadata": metadata, "config": {}}


@pytest.fixture
def answers(table: dict[str, Any]) -> RestAnswers:
    return RestAnswers(table=table)


@pytest.fixture
def catalog(settings: Settings, answers: RestAnswers) -> Iterator[LakeRestCatalog]:
    answers.config["overrides"] = {"token": "given", "s3.region": "theirs", "owner": "nobody", LAKE: "s3://other"}
    with server(answers) as address:
        opened = tables.open_catalog(dataclasses.replace(settings, catalog=address))
        assert isinstance(opened, LakeRestCatalog)
        yield opened


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("token", "t", True),
        ("warehouse", "w", True),
        ("header.X-Tenant", "7", True),
        ("s3.region", "r", True),
        ("s3.signer", "os.system", False),
        ("headers", "x", False),
        ("py-io-impl", "os.system", False),
        ("token", 7, False),
        ("header.X-Tenant", {"a": "b"}, False),
        ("auth", {"type": "basic"}, False),
    ],
)
def test_a_server_sets_texts_of_a_few_names(name: str, value: Any, taken: bool) -> None:
    assert rest_catalog._server_sets(name, value) is taken


def test_what_a_server_may_set_takes_the_place_of_ours_and_all_else_stays(
    catalog: LakeRestCatalog, settings: Settings
) -> None:
    assert (catalog.properties["token"], catalog.properties["s3.region"]) == ("given", "theirs")
    assert catalog.properties[LAKE] == settings.lake
    assert "owner" not in catalog.properties
    files = catalog._load_file_io()
    assert isinstance(files, LakeFileIO)
    assert files.properties[LAKE] == settings.lake


def test_a_table_that_is_loaded_has_the_lent_credentials_and_names_no_code(
    catalog: LakeRestCatalog, table: dict[str, Any]
) -> None:
    table["config"] = {"s3.access-key-id": "of the answer", "s3.region": "of the answer", "py-io-impl": "os.system"}
    table["storage-credentials"] = [{"prefix": "file", "config": {"s3.access-key-id": "lent"}}]
    loaded = catalog.load_table("features.photos")
    assert isinstance(loaded.io, LakeFileIO)
    assert (loaded.io.properties["s3.access-key-id"], loaded.io.properties["s3.region"]) == ("lent", "of the answer")
    assert "py-io-impl" not in loaded.io.properties
    assert CODE not in loaded.metadata.properties


def test_a_table_that_is_only_staged_is_checked_and_has_the_lent_credentials(
    catalog: LakeRestCatalog, table: dict[str, Any]
) -> None:
    table["config"] = {"s3.region": "of the answer"}
    staged = catalog._response_to_staged_table(("features", "photos"), TableResponse.model_validate(table))
    assert staged.name() == ("features", "photos")
    assert staged.io.properties["s3.region"] == "of the answer"
    assert CODE not in staged.metadata.properties
    table["metadata"]["location"] = "file:///other/lake"
    with pytest.raises(CatalogRefused, match="lies in file:///other/lake, which is not in this lake"):
        catalog._response_to_staged_table(("features", "photos"), TableResponse.model_validate(table))


def test_what_a_commit_answers_names_no_code(catalog: LakeRestCatalog) -> None:
    response = catalog.commit_table(catalog.load_table("features.photos"), (), ())
    assert response.metadata.location.endswith("/warehouse/features/photos")
    assert CODE not in response.metadata.properties
