"""Spark SQL's configuration for a deployment, and the private files that hold its secrets while it runs."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url

from deploy.local import spark_sql
from imagefeatures.errors import CatalogError, SettingsError
from imagefeatures.settings import Settings

SQL_CATALOG: Any = SimpleNamespace(properties={})


def catalog_conf(settings: Settings, catalog: Any = SQL_CATALOG, **env: str) -> dict[str, str]:
    """Spark's configuration, with the catalog's properties by their own names, and all of it as text in `all`."""
    conf = spark_sql.configuration(settings, catalog, env)
    assert conf["spark.sql.defaultCatalog"] == "imagefeatures"
    prefix = "spark.sql.catalog.imagefeatures."
    return {name.removeprefix(prefix): value for name, value in conf.items()} | {"all": str(conf)}


def test_a_local_lake_needs_no_bundle_for_s3(settings: Settings) -> None:
    conf = catalog_conf(dataclasses.replace(settings, catalog="sqlite:////a b%2525/é?timeout=60"))
    assert conf["uri"] == "jdbc:sqlite:file:/a%20b%2525/%C3%A9"
    assert (conf["type"], conf["jdbc.schema-version"]) == ("jdbc", "V1")
    assert conf["io-impl"].endswith("HadoopFileIO")
    assert conf["spark.jars.packages"].count(":") == 4
    assert "sqlite-jdbc" in conf["spark.jars.packages"]


def test_an_s3_lake_in_a_store_that_is_not_amazons(settings: Settings) -> None:
    lake = dataclasses.replace(settings, lake="s3://bucket/lake", catalog="postgresql+psycopg://u:canary@[::1]/d b")
    secrets = {"AWS_ACCESS_KEY_ID": "canary-id", "AWS_SECRET_ACCESS_KEY": "canary-key"}
    conf = catalog_conf(lake, AWS_ENDPOINT_URL="http://store:9000", AWS_REGION="eu-west-1", **secrets)
    assert conf["uri"] == "jdbc:postgresql://[::1]:5432/d%20b"
    assert conf["warehouse"] == "s3://bucket/lake/warehouse"
    assert (conf["s3.endpoint"], conf["s3.path-style-access"]) == ("http://store:9000", "true")
    assert conf["client.region"] == "eu-west-1"
    assert "iceberg-aws-bundle" in conf["spark.jars.packages"]
    assert "canary" not in conf["all"]
    assert "s3.endpoint" not in catalog_conf(lake)


def test_ssl_parameters_go_to_both_drivers(settings: Settings) -> None:
    url = "postgresql+psycopg://u@db:5433/c?sslmode=verify-full&sslrootcert=/etc/ca%20x.pem&connect_timeout=3"
    conf = catalog_conf(dataclasses.replace(settings, catalog=url))
    assert conf["uri"] == "jdbc:postgresql://db:5433/c?sslmode=verify-full&sslrootcert=/etc/ca%20x.pem"


def test_a_rest_catalog_has_pyicebergs_properties(settings: Settings) -> None:
    catalog: Any = SimpleNamespace(properties={"token": "t", "warehouse": "w", "uri": "x", "s3.endpoint": "y"})
    conf = catalog_conf(dataclasses.replace(settings, catalog="https://rest:8181"), catalog)
    assert (conf["type"], conf["uri"], conf["token"], conf["warehouse"]) == ("rest", "https://rest:8181", "t", "w")
    assert "jdbc" not in conf["all"]


def test_a_database_that_spark_has_no_driver_for_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^IMAGEFEATURES_CATALOG: Spark SQL is not set up for oracle, only for"):
        spark_sql._driver(make_url("oracle+oracledb://u:canary@h/x"))


def test_query_and_password_are_in_private_files_that_are_removed(
    settings: Settings, make_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, str] = {}

    def run(command: list[str], env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        for path in (command[2], command[4], env["PGPASSFILE"]):
            assert Path(path).stat().st_mode & 0o777 == 0o600
            assert Path(path).parent.stat().st_mode & 0o777 == 0o700
            seen[path] = Path(path).read_text()
        assert "canary" not in " ".join(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(spark_sql.subprocess, "run", run)
    deployed = dataclasses.replace(settings, catalog=make_database(r"canary:\ 1"))
    assert spark_sql.spark_sql(deployed, "SELECT '$(x)'", tmp_path) == 0
    conf, query, password = seen.values()
    assert "canary" not in conf
    assert query == "SELECT '$(x)'"
    assert password == "*:*:*:*:canary\\:\\\\ 1\n"
    assert not any(Path(path).exists() for path in seen)


def test_without_a_catalog_no_jvm_is_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(spark_sql.subprocess, "run", None)
    with pytest.raises(CatalogError):
        spark_sql.spark_sql(dataclasses.replace(settings, catalog="http://127.0.0.1:9/"), None, tmp_path)
