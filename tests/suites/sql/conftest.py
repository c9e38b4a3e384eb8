"""Tables published on each kind of lake and catalog that Spark SQL is set up for, and a real REST catalog server."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import layout, storage
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support import servers
from support.publishing import DAY, features_file

# Iceberg's own REST catalog server, as it is run against Iceberg's clients: the newest release of it that is one jar.
REST_SERVER = "org.apache.iceberg:iceberg-open-api:1.9.2"
ODD_PASSWORD = " canary @:/?#%25 \\ \"'é${env:HOME}=!x "


@pytest.fixture(scope="session")
def jvm() -> Iterator[Any]:
    """A JVM with the REST catalog server's classes, resolved by Spark's Ivy."""
    from pyspark.java_gateway import launch_gateway

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", f"--packages {REST_SERVER} pyspark-shell")
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        gateway = launch_gateway()
    yield gateway.jvm
    gateway.shutdown()
    gateway.proc.stdin.close()  # the JVM ends with its input
    gateway.proc.wait()


@pytest.fixture
def rest_catalog(jvm: Any, tmp_path: Path) -> Iterator[str]:
    """The address of a REST catalog server with an empty catalog."""
    options = jvm.java.util.HashMap()
    options["catalog-impl"] = "org.apache.iceberg.jdbc.JdbcCatalog"
    options["uri"] = f"jdbc:sqlite:{tmp_path}/rest.db"
    options["warehouse"] = str(tmp_path)
    options["jdbc.schema-version"] = "V1"
    kept = jvm.org.apache.iceberg.CatalogUtil.buildIcebergCatalog("rest", options, None)
    servlet = jvm.org.apache.iceberg.rest.RESTCatalogServlet(jvm.org.apache.iceberg.rest.RESTCatalogAdapter(kept))
    jetty = jvm.org.eclipse.jetty
    context = jetty.servlet.ServletContextHandler()
    context.addServlet(jetty.servlet.ServletHolder(servlet), "/*")
    server = jetty.server.Server(jvm.java.net.InetSocketAddress("127.0.0.1", 0))
    server.setHandler(context)
    server.start()
    yield f"http://127.0.0.1:{server.getURI().getPort()}"
    server.stop()


@pytest.fixture
def on_sqlite(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A local lake, with a name that URLs and properties files are fond of, and SQLite inside it."""
    lake = tmp_path / "lake é 50%25 a+b & c=d"
    lake.mkdir()
    monkeypatch.setenv("IMAGEFEATURES_LAKE", f"file://{lake}")
    monkeypatch.delenv("IMAGEFEATURES_CATALOG")
    return Settings.from_env()


@pytest.fixture
def on_postgresql_and_s3(
    settings: Settings, make_database: Callable[..., str], aws_env: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Settings]:
    """A lake in MinIO, and PostgreSQL with a password that wants every kind of escape."""
    import boto3

    (tmp_path / "minio").mkdir()
    with servers.minio(tmp_path / "minio") as server:
        aws_env.setenv("AWS_ENDPOINT_URL", server.address)
        boto3.client("s3").create_bucket(Bucket="lake")
        aws_env.setenv("IMAGEFEATURES_LAKE", "s3://lake/here")
        aws_env.setenv("IMAGEFEATURES_CATALOG", make_database(ODD_PASSWORD))
        yield Settings.from_env()


@pytest.fixture
def on_rest(settings: Settings, rest_catalog: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A local lake, and the REST catalog server."""
    monkeypatch.setenv("IMAGEFEATURES_CATALOG", rest_catalog)
    return dataclasses.replace(settings, catalog=os.environ["IMAGEFEATURES_CATALOG"])


@pytest.fixture(params=["on_sqlite", "on_postgresql_and_s3", "on_rest"])
def published(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """features.fruit on each: of one day 2 red and 3 green rows, which took the place of 3 red ones; of another 1."""
    settings: Settings = request.getfixturevalue(request.param)
    table = tables.open_table(tables.open_catalog(settings), settings, "fruit")

    def in_lake(*how: Any) -> str:
        file = Path(features_file(tmp_path, *how).removeprefix("file://"))
        uri = f"{layout.table_folder(settings.lake, 'fruit')}/data/{file.name}"
        storage.write(uri, file.read_bytes())
        return uri

    tables.replace_files(table, DAY, [in_lake("first")], "first")
    tables.replace_files(table, "2026-11-03", [in_lake("next", "2026-11-03", 1, "blue")], "next")
    later = [in_lake("later", DAY, 2, "red"), in_lake("later", DAY, 3, "green")]
    tables.replace_files(table, DAY, later, "later")
    return settings
