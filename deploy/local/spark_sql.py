"""`make spark-sql`: Spark's SQL shell on the tables of this deployment.

The shell has Iceberg's runtime, and the catalog of the settings as its default catalog, so that
`SELECT label, count(*) FROM features.fruit GROUP BY label` works as written. It is meant for reading: rows that it
writes bypass the audit, and with it the promise that `registered + quarantined = listed`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from pyiceberg.catalog import Catalog
from sqlalchemy import URL

from deploy import private
from deploy.local.environment import environment
from imagefeatures import layout, names
from imagefeatures.catalog import connect
from imagefeatures.catalog.tables import open_catalog
from imagefeatures.errors import SettingsError
from imagefeatures.settings import Settings, iceberg_s3_properties

# Spark downloads these packages with Ivy, by default from Maven Central, into ~/.ivy2.5.2.
ICEBERG = "1.12.0"
RUNTIME = f"org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:{ICEBERG}"  # fits the pinned version of Spark
AWS_BUNDLE = f"org.apache.iceberg:iceberg-aws-bundle:{ICEBERG}"
DRIVERS = {"sqlite": "org.xerial:sqlite-jdbc:3.54.1.0", "postgresql": "org.postgresql:postgresql:42.7.14"}

PREFIX = f"spark.sql.catalog.{names.CATALOG}"
SHARED_BY_DRIVERS = ("sslmode", "sslrootcert")  # in libpq and in the JDBC driver
REST_PROPERTIES = ("warehouse", "token", "credential", "scope", "oauth2-server-uri")  # in pyiceberg and in Java


def spark_sql(settings: Settings, query: str | None, home: Path) -> int:
    """Open the shell, or run a query (or several, separated by `;`) and print its rows. Returns the exit status.

    home: Airflow's folder in the deployment. The first start downloads the jars: 60 MB, and 70 MB more for an S3 lake.
    Raises SettingsError, CatalogRefused or CatalogError before a JVM is started.
    """
    with open_catalog(settings) as catalog:
        for table in catalog.list_tables(names.NAMESPACE):
            catalog.load_table(table)  # refused in one line where it is another lake's, which Spark would not notice
        conf = configuration(settings, catalog)
    with tempfile.TemporaryDirectory(prefix="imagefeatures-") as name:
        folder = Path(name)
        env = environment(home, 0)
        if line := _password_line(settings.catalog):
            env["PGPASSFILE"] = str(private.write(folder / "pgpass", line))
        # In files: every user may read a command line.
        command = [
            "spark-sql",
            "--properties-file",
            str(private.write(folder / "spark.conf", _as_java_properties(conf))),
        ]
        if query is None:
            return _run_shell(command, env)
        return _run_query([*command, "-f", str(private.write(folder / "query.sql", query))], env)


def configuration(settings: Settings, catalog: Catalog, env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Spark's configuration for the lake and the catalog of the settings.

    It contains neither S3 credentials, which the AWS SDK finds in the environment as boto3 does, nor the database's
    password, which PostgreSQL's driver reads from a file (Spark would expand `${…}` in it and trim its spaces).
    """
    packages = [RUNTIME]
    if connect.is_rest(settings.catalog):
        shared = {key: str(catalog.properties[key]) for key in REST_PROPERTIES if key in catalog.properties}
        properties = {"type": "rest", "uri": settings.catalog, **shared}
    else:
        url = connect.sql_url(settings.catalog)
        packages.append(_driver(url))
        warehouse = layout.warehouse(settings.lake)
        properties = {"type": "jdbc", "jdbc.schema-version": "V1", "warehouse": warehouse, **_jdbc(url)}
    if settings.lake.startswith("s3://"):
        packages.append(AWS_BUNDLE)
        properties |= {"io-impl": "org.apache.iceberg.aws.s3.S3FileIO", **_s3(env)}
    else:
        properties["io-impl"] = "org.apache.iceberg.hadoop.HadoopFileIO"
    return {
        "spark.master": "local[*]",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.authenticate": "true",  # by a secret that Spark makes itself
        "spark.jars.packages": ",".join(packages),
        "spark.sql.catalogImplementation": "in-memory",  # `hive` would create a metastore in the current folder
        "spark.sql.cli.print.header": "true",
        "spark.sql.defaultCatalog": names.CATALOG,
        PREFIX: "org.apache.iceberg.spark.SparkCatalog",
        **{f"{PREFIX}.{key}": value for key, value in properties.items()},
    }


def _driver(url: URL) -> str:
    kind = url.get_backend_name()
    if kind not in DRIVERS:
        raise SettingsError(f"{connect.VARIABLE}: Spark SQL is not set up for {kind}, only for {' and '.join(DRIVERS)}")
    return DRIVERS[kind]


def _jdbc(url: URL) -> dict[str, str]:
    """The properties of Iceberg's JDBC catalog for a SQLAlchemy URL."""
    if url.get_backend_name() == "sqlite":
        path = (url.database or "").removeprefix("file:")
        return {"uri": f"jdbc:sqlite:file:{quote(path)}"}
    host = f"[{url.host}]" if ":" in (url.host or "") else url.host or "localhost"
    shared = "&".join(f"{key}={quote(str(url.query[key]))}" for key in SHARED_BY_DRIVERS if key in url.query)
    address = f"jdbc:postgresql://{host}:{url.port or 5432}/{quote(url.database or '')}"
    user = {"jdbc.user": url.username} if url.username else {}
    return {"uri": address + f"?{shared}" * bool(shared), **user}


def _s3(env: Mapping[str, str]) -> dict[str, str]:
    """The properties of Iceberg's S3FileIO in Java, from those of pyiceberg."""
    for_pyiceberg = iceberg_s3_properties(env)
    properties = {"client.region": for_pyiceberg["s3.region"]}
    if endpoint := for_pyiceberg.get("s3.endpoint"):
        # Stores other than Amazon's have no host name for each bucket.
        properties |= {"s3.endpoint": endpoint, "s3.path-style-access": "true"}
    return properties


def _password_line(catalog: str) -> str:
    """PostgreSQL's password file: one line for every host, port, database and user; "" without a password."""
    password = None if connect.is_rest(catalog) else connect.sql_url(catalog).password
    return "*:*:*:*:" + re.sub(r"([\\:])", r"\\\1", str(password)) + "\n" if password else ""


def _as_java_properties(values: dict[str, str]) -> str:
    # A properties file has JSON's escapes.
    return "".join(f"{key}={json.dumps(value)[1:-1]}\n" for key, value in values.items())


def _run_shell(command: list[str], env: dict[str, str]) -> int:
    # Ctrl-C is for the shell, which stops a statement. Not SIG_IGN, because the shell would inherit it.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        return subprocess.run(command, env=env).returncode  # noqa: S603
    finally:
        signal.signal(signal.SIGINT, before)


def _run_query(command: list[str], env: dict[str, str]) -> int:
    query = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603
    if query.returncode:
        print(_without_noise(query.stderr), file=sys.stderr)
    return query.returncode


def _without_noise(log: str) -> str:
    """Spark's own messages, without Ivy's messages before them and without Java's stack traces."""
    messages = log.rpartition("Application Id:")[2] if "Application Id:" in log else log
    return "\n".join(line for line in messages.splitlines()[1:] if line.strip() and not line.startswith("\t"))[:4000]
