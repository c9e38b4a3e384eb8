from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from imagefeatures import settings as module
from imagefeatures.cost import Prices
from imagefeatures.errors import SettingsError
from imagefeatures.settings import REPOSITORY, Settings, file_mode, iceberg_s3_properties, serving_token


def test_without_variables_everything_lies_in_the_repository_and_the_home_folder() -> None:
    settings = Settings.from_env({})
    assert settings.lake == f"file://{REPOSITORY}/lake"
    assert settings.datasets == REPOSITORY / "datasets"
    assert settings.cache == Path.home() / ".cache" / "imagefeatures"
    assert settings.catalog.startswith("sqlite:///")
    assert (REPOSITORY / "imagefeatures" / "settings.py").is_file()


def test_prices_are_read_and_a_wrong_one_is_named() -> None:
    lake = {"IMAGEFEATURES_LAKE": "file:///data/lake"}
    assert Settings.from_env(lake).prices is None
    priced = Settings.from_env(lake | {"IMAGEFEATURES_PRICES": " core_hour = 0.5,currency=EUR,"})
    assert priced.prices == Prices(core_hour=0.5, currency="EUR")
    assert hash(priced)  # a key of the page's cache
    for written, message in (
        ("core=1", "'core=1' is none of core_hour, thousand_get_requests, "),
        ("core_hour", "'core_hour' is none of core_hour, "),
        ("core_hour=1,core_hour=2", "'core_hour=2' stands twice"),
        ("gb_read=cheap", "gb_read: 'cheap' is not a price, such as 0.045"),
        ("gb_read=-1", "gb_read: '-1' is not a price, such as 0.045"),
        ("gb_read=inf", "gb_read: 'inf' is not a price, such as 0.045"),
    ):
        with pytest.raises(SettingsError, match=f"^IMAGEFEATURES_PRICES: {message}"):
            Settings.from_env(lake | {"IMAGEFEATURES_PRICES": written})


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package as if it lay in site-packages. tests/suites/wheel has it there for real."""
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    return tmp_path


def test_an_installed_package_has_no_lake_of_its_own(installed: Path) -> None:
    with pytest.raises(SettingsError, match=rf"^IMAGEFEATURES_LAKE: must be set\..* installed in {installed}; "):
        Settings.from_env({})


def test_an_installed_package_wants_a_datasets_folder_only_from_who_reads_dataset_files(installed: Path) -> None:
    lake = {"IMAGEFEATURES_LAKE": "file:///data/lake"}
    reader = Settings.from_env(lake)
    assert reader.catalog.startswith("sqlite:////data/lake/")
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_DATASETS: must be set\."):
        _ = reader.datasets
    assert Settings.from_env(lake | {"IMAGEFEATURES_DATASETS": "/data/sets"}).datasets == Path("/data/sets")


@pytest.mark.parametrize("stray", ['[project]\nname = "another"\n', "[tool.black]\n", "no TOML"])
def test_another_projects_file_in_site_packages_makes_no_checkout_of_it(installed: Path, stray: str) -> None:
    (installed / "pyproject.toml").write_text(stray)
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_LAKE: must be set\."):
        Settings.from_env({})
    (installed / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    assert Settings.from_env({}).lake == f"file://{installed}/lake"


def test_an_empty_variable_counts_as_unset() -> None:
    names = ("LAKE", "CATALOG", "DATASETS", "CACHE", "KEEP_SNAPSHOTS", "KEEP_DAYS", "KEEP_TAGS", "KEEP_STRAYS_DAYS")
    assert Settings.from_env({f"IMAGEFEATURES_{name}": "" for name in names}) == Settings.from_env({})


def test_each_variable_is_read() -> None:
    settings = Settings.from_env(
        {
            "IMAGEFEATURES_LAKE": "s3://bucket/lake/",
            "IMAGEFEATURES_CATALOG": "postgresql+psycopg://catalog",
            "IMAGEFEATURES_DATASETS": "file:///data/sets",
            "IMAGEFEATURES_CACHE": "~/weights",
        }
    )
    assert settings.lake == "s3://bucket/lake"  # the slash at the end is removed: layout adds one
    assert settings.catalog == "postgresql+psycopg://catalog"
    assert settings.datasets == Path("/data/sets")
    assert settings.cache == Path.home() / "weights"


@pytest.mark.parametrize(
    "lake", ["lake", "/data/lake", "file://lake", "file:///", "http://h/x", "s3://", "s3:///x", "S3://b"]
)
def test_a_malformed_lake_is_refused_with_the_variables_name(lake: str) -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_LAKE: .*neither file:///… nor s3://bucket/prefix"):
        Settings.from_env({"IMAGEFEATURES_LAKE": lake, "IMAGEFEATURES_CATALOG": "sqlite://"})


@pytest.mark.parametrize("lake", ["file:///a?b", "file:///a#b/lake", "s3://bucket/a?b", "file:///a\udcff"])
def test_a_lake_whose_tables_would_be_written_elsewhere_is_refused(lake: str) -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_LAKE: .* holds a \? or #"):
        Settings.from_env({"IMAGEFEATURES_LAKE": lake, "IMAGEFEATURES_CATALOG": "sqlite://"})


def test_a_lake_in_a_bucket_needs_a_catalog_elsewhere() -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_CATALOG: must be set when the lake is s3://bucket/lake"):
        Settings.from_env({"IMAGEFEATURES_LAKE": "s3://bucket/lake"})


@pytest.mark.parametrize("name", ["IMAGEFEATURES_DATASETS", "IMAGEFEATURES_CACHE"])
def test_a_relative_folder_is_refused_with_the_variables_name(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: 'here/below' is not an absolute path"):
        Settings.from_env({name: "here/below"})


@pytest.mark.parametrize("name", ["IMAGEFEATURES_DATASETS", "IMAGEFEATURES_CACHE", "IMAGEFEATURES_SERVING_TOKEN_FILE"])
def test_a_home_folder_that_there_is_not_is_refused_with_the_variables_name(name: str) -> None:
    read = serving_token if "TOKEN" in name else Settings.from_env
    with pytest.raises(
        SettingsError, match=f"^{name}: there is no home folder for '~nobody_at_all/x'; set an absolute"
    ):
        read({name: "~nobody_at_all/x"})


def test_a_user_of_no_name_is_told_to_set_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may run as a number that no list of users has."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_CACHE: there is no home folder for '~/\.cache/"):
        Settings.from_env({})
    assert Settings.from_env({"IMAGEFEATURES_CACHE": "/cache"}).cache == Path("/cache")


@pytest.mark.parametrize("name", ["plain", "é 1", "50%25", "a+b&c=d"])
def test_the_default_catalog_is_a_database_inside_the_lake_whatever_the_lakes_name(name: str, tmp_path: Path) -> None:
    lake = tmp_path / name
    lake.mkdir()
    engine = create_engine(Settings.from_env({"IMAGEFEATURES_LAKE": f"file://{lake}"}).catalog)
    with engine.begin() as connection:
        connection.execute(text("create table t (a int)"))
    engine.dispose()
    assert [path.name for path in lake.iterdir()] == ["catalog.db"]


def test_pyiceberg_gets_the_same_store_as_boto3() -> None:
    env = {
        "AWS_ENDPOINT_URL": "http://store:9000",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    assert iceberg_s3_properties(env) == {
        "s3.endpoint": "http://store:9000",
        "s3.access-key-id": "key",
        "s3.secret-access-key": "secret",
        "s3.session-token": "token",
        "s3.region": "eu-west-1",
    }


def test_the_more_specific_aws_variable_wins_as_in_boto3() -> None:
    env = {
        "AWS_ENDPOINT_URL": "http://any",
        "AWS_ENDPOINT_URL_S3": "http://s3",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_REGION": "eu-central-1",
    }
    found = iceberg_s3_properties(env)
    assert (found["s3.endpoint"], found["s3.region"]) == ("http://s3", "eu-central-1")


def test_without_aws_variables_pyiceberg_gets_a_region_and_nothing_else() -> None:
    assert iceberg_s3_properties({}) == {"s3.region": "us-east-1"}


@pytest.mark.parametrize("mode", ["640", "0777", "0645", "rw-r-----", "-1"])
def test_a_file_mode_that_is_none_is_refused_with_those_that_are(mode: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"^IMAGEFEATURES_FILE_MODE: '{mode}' is none of 0600, 0640, 0644, 0660, 0664"
    ):
        file_mode({"IMAGEFEATURES_FILE_MODE": mode})


def test_new_files_are_for_owner_and_group_by_default() -> None:
    assert file_mode({}) == file_mode({"IMAGEFEATURES_FILE_MODE": ""}) == 0o640


KEPT = {
    "SNAPSHOTS": ("retention", "snapshots", 100, 10),
    "DAYS": ("retention", "days", 30, 1),
    "TAGS": ("retention", "tags", 30, 0),
    "STRAYS_DAYS": ("ages", "strays", 7, 1),
    "STAGING_DAYS": ("ages", "staging", 30, 1),
    "REJECTS_DAYS": ("ages", "rejects", 365, 1),
    "MODELS_DAYS": ("ages", "models", 90, 1),
    "CACHES_DAYS": ("ages", "caches", 30, 1),
}
"""By the end of the variable: where it is found, what it is by default, and the least that it may be."""


@pytest.mark.parametrize("end", KEPT)
def test_how_much_is_kept_is_a_whole_number_with_a_default_and_a_least_value(end: str) -> None:
    part, field, default, least = KEPT[end]

    def kept(**env: str) -> int:
        return getattr(getattr(Settings.from_env(env), part), field)

    name = f"IMAGEFEATURES_KEEP_{end}"
    assert kept() == default
    assert [kept(**{name: str(value)}) for value in (least, 1234, 999999)] == [least, 1234, 999999]
    for wrong in (str(least - 1), "1000000", "1.5", "many", "١"):
        with pytest.raises(SettingsError, match=rf"^{name}: '{wrong}' is not a whole number from {least} to 999999$"):
            Settings.from_env({name: wrong})


@pytest.mark.parametrize(
    ("snapshots", "tags", "most_tags", "group"), [(100, 30, 30, 20), (10, 30, 3, 2), (14, 2, 2, 2), (4, 30, 1, 1)]
)
def test_tags_are_a_third_of_the_snapshots_at_most_and_those_leave_by_fifths(
    snapshots: int, tags: int, most_tags: int, group: int
) -> None:
    kept = module.Retention(snapshots=snapshots, tags=tags)
    assert (kept.most_tags, kept.group) == (most_tags, group)
