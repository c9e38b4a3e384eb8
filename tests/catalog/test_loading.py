"""Which catalog the settings open: one of this package's two, with the lake's own FileIO."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from imagefeatures import layout, names
from imagefeatures.catalog import loading
from imagefeatures.catalog.file_io import LAKE
from imagefeatures.catalog.rest_catalog import LakeRestCatalog
from imagefeatures.catalog.sql_catalog import LakeSqlCatalog
from imagefeatures.errors import SettingsError
from imagefeatures.settings import Settings
from support.canary import RestAnswers, rest_catalog

FILE_IO = "imagefeatures.catalog.file_io.LakeFileIO"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose .pyiceberg.yaml is pyiceberg's."""
    monkeypatch.setenv("PYICEBERG_HOME", str(tmp_path))
    return tmp_path


def test_a_database_is_opened_as_our_own_catalog_of_the_lake(settings: Settings) -> None:
    with loading.load_catalog(settings) as catalog:
        assert type(catalog) is LakeSqlCatalog
        assert catalog.name == names.CATALOG
        assert catalog.properties["uri"] == settings.catalog
        assert catalog.properties["warehouse"] == layout.warehouse(settings.lake)
        assert (catalog.properties[LAKE], catalog.properties["py-io-impl"]) == (settings.lake, FILE_IO)


def test_a_server_is_opened_as_our_own_catalog_of_the_lake(settings: Settings) -> None:
    with rest_catalog(RestAnswers()) as address:
        catalog = loading.load_catalog(dataclasses.replace(settings, catalog=address))
    assert type(catalog) is LakeRestCatalog
    assert (catalog.name, catalog.properties["uri"]) == (names.CATALOG, address)
    assert (catalog.properties[LAKE], catalog.properties["py-io-impl"]) == (settings.lake, FILE_IO)


@pytest.mark.parametrize("kind", loading.AUTHENTICATION)
def test_a_kind_of_authentication_that_pyiceberg_has_by_name_is_taken(
    settings: Settings, home: Path, kind: str
) -> None:
    (home / ".pyiceberg.yaml").write_text(f"catalog:\n  imagefeatures:\n    auth:\n      type: {kind}\n")
    with loading.load_catalog(settings) as catalog:
        assert catalog.properties["auth"] == {"type": kind}


def test_an_authentication_without_a_kind_names_no_class(settings: Settings, home: Path) -> None:
    (home / ".pyiceberg.yaml").write_text("catalog:\n  imagefeatures:\n    auth:\n      basic: x\n    token: given\n")
    with loading.load_catalog(settings) as catalog:
        assert catalog.properties["token"] == "given"


def test_a_class_for_the_authentication_is_refused_by_its_field(settings: Settings, home: Path) -> None:
    (home / ".pyiceberg.yaml").write_text("catalog:\n  imagefeatures:\n    auth:\n      type: my.Class\n")
    said = r"^\.pyiceberg\.yaml: catalog\.imagefeatures\.auth\.type is 'my\.Class', none of noop, basic, "
    with pytest.raises(SettingsError, match=said):
        loading.load_catalog(settings)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PYICEBERG_CATALOG__IMAGEFEATURES", "x", "Configuration path catalogs.imagefeatures needs to be an object"),
        ("PYICEBERG_MAX_WORKERS", "abc", "max-workers should be an integer or left unset. Current value: abc"),
    ],
)
def test_a_setting_of_pyicebergs_own_that_is_not_right_is_told_as_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        loading.load_catalog(settings)
    assert str(refused.value) == f"{loading.OF_PYICEBERG}: {says}"


def test_a_setting_of_pyicebergs_own_is_told_without_a_token(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".pyiceberg.yaml").write_text("catalog:\n  imagefeatures: x\n")
    monkeypatch.setenv("PYICEBERG_CATALOG__IMAGEFEATURES__TOKEN", "secret")
    with pytest.raises(SettingsError, match=r": Incompatible configurations, merging dict with a value: [a-z]*$"):
        loading.load_catalog(settings)


def test_a_file_of_pyicebergs_own_that_is_no_yaml_is_told_without_what_stands_in_it(
    settings: Settings, home: Path
) -> None:
    (home / ".pyiceberg.yaml").write_text("catalog: [{token: secret\n")
    with pytest.raises(SettingsError, match=r": not YAML as pyiceberg reads it \([A-Za-z]+\)$") as refused:
        loading.load_catalog(settings)
    assert "secret" not in str(refused.value)
