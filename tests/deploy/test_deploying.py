"""docs/deploying.md on somebody's own Spark: its options, properties and connections exist.

No such cluster is here: the document says itself what was run.
"""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pyspark
import pytest
from airflow.models import Connection

from deploy.local.environment import environment
from support.own_airflow import DOCUMENT

OWN = DOCUMENT.read_text(encoding="utf-8").partition("\n## Your own Airflow and Spark\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", OWN, re.DOTALL)
DEFINED_IN = re.compile(r"[Cc]onfig|Constants|SparkConf|PythonRunner|SparkSubmit|SparkLauncher")


def shell_commands() -> list[str]:
    """The commands of the document, each on one line."""
    text = "\n".join(code for language, code in BLOCKS if language == "sh").replace("\\\n", " ")
    return text.splitlines()


@pytest.fixture(scope="module")
def names_in_spark() -> bytes:
    """The text of those classes of the pinned Spark that define its properties."""
    found = []
    for jar in (Path(pyspark.__file__).parent / "jars").glob("spark-*.jar"):
        with zipfile.ZipFile(jar) as classes:
            found += [classes.read(name) for name in classes.namelist() if DEFINED_IN.search(name)]
    return b"".join(found)


def test_every_option_of_spark_submit_exists(tmp_path: Path) -> None:
    said = subprocess.run(["spark-submit", "--help"], env=environment(tmp_path, 0), capture_output=True, text=True)
    existing = set(re.findall(r"(?<!\S)--[a-z-]+", said.stdout + said.stderr))
    used = [command.partition('.py"')[0] for command in shell_commands() if command.startswith("spark-submit")]
    options = {option for words in used for option in re.findall(r"--[a-z-]+", words)}
    assert options
    assert options <= existing


def test_every_property_of_spark_exists(names_in_spark: bytes) -> None:
    lines = [line for language, code in BLOCKS if language == "properties" for line in code.splitlines()]
    names = {line.split()[0] for line in lines if line and not line.startswith("#")}
    names |= set(re.findall(r"`(spark(?:\.\w+)+)`", OWN))
    assert len(names) > 10
    for name in names:
        prefix, _, last = name.rpartition(".")
        whole = name.encode() in names_in_spark
        # Some are joined from a prefix that several properties share.
        assert whole or (prefix.encode() in names_in_spark and last.encode() in names_in_spark), name
    assert b"spark.executor.nonsense" not in names_in_spark


def test_every_connection_names_a_master_as_spark_wants_it() -> None:
    text = "\n".join(code for language, code in BLOCKS if language == "sh")
    masters = []
    for value in re.findall(r"AIRFLOW_CONN_SPARK_DEFAULT='([^']*)'", text):
        connection = Connection.from_json(value)
        assert connection.conn_type == "spark"
        assert set(json.loads(connection.extra or "{}")) <= {"queue", "namespace", "deploy-mode"}
        masters.append(connection.host + (f":{connection.port}" if connection.port else ""))
    assert masters == ["spark://spark-master:7077", "yarn", "k8s://https://kubernetes.default.svc:443"]
