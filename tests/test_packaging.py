"""The installed packages work together; ours is whole, and registers its plugin once.

The wheel itself, in an environment of its own: tests/suites/wheel.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyspark
import pytest

from imagefeatures.settings import REPOSITORY

PACKAGES = {
    "imagefeatures": "",
    "imagefeatures_airflow": "plugins",
    "imagefeatures_spark": "jobs",
    "pyspark_imagefeatures_features": "jobs",
    "pyspark_imagefeatures_images": "jobs",
}
"""What the wheel holds, and the folder of the repository that each package lies in."""

LOCKS = sorted(
    path.with_suffix(".txt") if path.stem != "runtime" else REPOSITORY / "requirements.txt"
    for path in [*REPOSITORY.glob("requirements/*.in"), *REPOSITORY.glob("benchmarks/peers/*.in")]
)
"""The locks, each compiled from a file of what is required."""

PLUGINS_FOLDER = REPOSITORY / "plugins"
ENTRY_POINT = "[airflow.plugins]\nimage_features = imagefeatures_airflow.plugin:ImageFeaturesPlugin\n"
LOAD_PLUGINS = """
import json
from airflow import plugins_manager
ours = [str(plugin.source) for plugin in plugins_manager._get_plugins()[0] if plugin.name == "image_features"]
print(json.dumps([ours, plugins_manager.get_import_errors()]))
"""


def test_pyspark_is_whole_and_no_other_package_overwrites_it() -> None:
    assert importlib.metadata.version("pyspark") == pyspark.__version__
    names = {distribution.metadata["Name"].lower() for distribution in importlib.metadata.distributions()}
    assert "pyspark-client" not in names
    assert (Path(pyspark.__file__).parent / "jars").is_dir()


def test_a_real_udf_runs() -> None:
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import udf

    os.environ["PYSPARK_PYTHON"] = sys.executable
    logging.getLogger("py4j").setLevel(logging.ERROR)  # it logs at exit, when pytest has closed the streams
    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        twice = udf(lambda n: n * 2, "long")
        assert [row[0] for row in session.range(3).select(twice("id")).collect()] == [0, 2, 4]
    finally:
        session.stop()


def test_no_process_of_the_service_can_import_pandas() -> None:
    # If pandas is installed, PyArrow imports it at its first array and PySpark at its first setting: a second each.
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pandas') is not None)"
    assert subprocess.run([sys.executable, "-I", "-c", program]).returncode == 0


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.relative_to(REPOSITORY).as_posix())
def test_every_package_of_a_lock_has_a_version_and_digests_and_no_index_is_named(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    entries = [entry for entry in re.split(r"\n(?=[a-zA-Z])", text) if not entry.startswith("#")]
    assert entries
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.+!]+( ;[^\\\n]*)? \\\n    --hash=sha256:[0-9a-f]{64}\b", entry), (
            entry
        )
    assert "://" not in re.sub(r"^#.*$", "", text, flags=re.MULTILINE)


def test_nothing_is_installed_from_a_lock_without_its_digests() -> None:
    for script in ("scripts/setup", "scripts/peer", "deploy/compose/Dockerfile"):
        text = re.sub(r"\\\n", " ", (REPOSITORY / script).read_text(encoding="utf-8"))
        lines = [line for line in text.splitlines() if re.search(r"\b(pip )?install\b.* -r ", line)]
        assert lines, script
        for line in lines:
            assert line.count("--require-hashes") == line.count("install "), line


def test_every_file_of_the_packages_is_packed(tmp_path: Path) -> None:
    build = ["-q", "egg_info", "--egg-base", str(tmp_path), "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run([sys.executable, "setup.py", *build], cwd=REPOSITORY, check=True, capture_output=True)
    packed = {path.relative_to(tmp_path / "lib").as_posix() for path in (tmp_path / "lib").rglob("*") if path.is_file()}
    assert packed == {
        path.relative_to(REPOSITORY / folder).as_posix()
        for package, folder in PACKAGES.items()
        for path in files_of(REPOSITORY / folder / package)
        if path.name != "ruff.toml" and path.suffix not in (".c", ".h")  # the rules of lint; what is compiled
    }


def files_of(folder: Path) -> list[Path]:
    """Its files that Git knows or would add: no bytecode, nothing compiled."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.split("\0")
    return [path for name in listed if name and (path := folder / name).is_file()]


def loaded_plugins(home: Path, *path: Path) -> tuple[list[str], dict[str, str]]:
    """Where Airflow has our plugin from, once for each time that it took it, and its import errors."""
    env = os.environ | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PLUGINS_FOLDER),
        "PYTHONPATH": os.pathsep.join(map(str, (*path, REPOSITORY, PLUGINS_FOLDER))),
    }
    done = subprocess.run([sys.executable, "-c", LOAD_PLUGINS], env=env, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sources, errors = json.loads(done.stdout.splitlines()[-1])
    return sources, errors


def test_airflow_takes_the_plugin_once(tmp_path: Path) -> None:
    sources, errors = loaded_plugins(tmp_path)
    assert (len(sources), errors) == (1, {})


def test_an_installed_package_and_the_plugins_folder_register_it_once(tmp_path: Path) -> None:
    path = [] if registered_by_entry_point() else [pretend_to_be_installed(tmp_path / "site-packages")]
    sources, errors = loaded_plugins(tmp_path, *path)
    assert [source.partition("==")[0] for source in sources] == ["imagefeatures"]
    assert errors == {}


def registered_by_entry_point() -> bool:
    """Whether the package is installed in the tests' own environment, as `make setup` does it."""
    found = importlib.metadata.distributions(name="imagefeatures")
    return any(point.group == "airflow.plugins" for one in found for point in one.entry_points)


def pretend_to_be_installed(folder: Path) -> Path:
    metadata = folder / "imagefeatures-9.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: imagefeatures\nVersion: 9\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINT)
    return folder


def test_where_it_is_not_installed_the_plugins_folder_registers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_installed(**_: Any) -> list[importlib.metadata.Distribution]:
        return []

    monkeypatch.setattr(importlib.metadata, "distributions", nothing_installed)
    assert (
        runpy.run_path(str(PLUGINS_FOLDER / "imagefeatures_plugin.py"))["ImageFeaturesPlugin"].name == "image_features"
    )
