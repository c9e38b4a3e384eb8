"""Who may import whom: by every import in the code, and by those that really happen, in a fresh interpreter."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import imagefeatures
from imagefeatures.settings import REPOSITORY
from imagefeatures.steps import STEPS
from support import import_graph
from support.import_graph import imported, reachable

MODULES = sorted(module.name for module in pkgutil.walk_packages(imagefeatures.__path__, "imagefeatures."))

WATCHED = {*import_graph.ROOTS, "airflow", "pyspark"}
MAY_IMPORT = {  # of what is watched; docs/architecture.md has the same table in words
    "imagefeatures": {"imagefeatures"},
    "jobs": {"imagefeatures", "imagefeatures_spark", "pyspark"},
    "plugins": {"imagefeatures", "imagefeatures_airflow", "airflow"},
    "dags": {"imagefeatures", "imagefeatures_airflow", "airflow"},
    "deploy/local": {"imagefeatures", "deploy"},
    "deploy/local/one_run.py": {"imagefeatures", "deploy", "airflow"},
    "deploy/local/cut_off_tasks.py": {"airflow"},
    "deploy/compose": {"deploy"},
    "demo": {"imagefeatures", "deploy", "demo"},
    "benchmarks": {
        "imagefeatures",
        "imagefeatures_airflow",
        "imagefeatures_spark",
        "pyspark",
        "deploy",
        "demo",
        "benchmarks",
    },
}
FOLDERS = ("imagefeatures", "jobs", "plugins", "dags", "deploy", "demo", "benchmarks")
HEAVY = {"numpy", "pandas", "pyarrow", "PIL", "tensorflow", "keras", "openvino", "boto3", "pyiceberg"}

MASKED_IMPORT = """
import importlib, json, sys

class Mask:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {masked!r}:
            raise ImportError(f"{{name}} may not be imported here")

sys.meta_path.insert(0, Mask())
for module in {modules!r}:
    importlib.import_module(module)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""


def imported_with(modules: list[str], masked: tuple[str, ...] = ()) -> set[str]:
    """The top-level packages that a new interpreter holds after importing these modules."""
    program = MASKED_IMPORT.format(modules=modules, masked=set(masked) or {""})
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def watched(path: Path) -> set[str]:
    """What a file imports of the packages that the rules are about."""
    return {name.partition(".")[0] for name in imported(path.read_text(encoding="utf-8"))} & WATCHED


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_what_it_may_and_no_more(folder: str) -> None:
    files = sorted((REPOSITORY / folder).rglob("*.py"))
    assert files
    for path in files:
        name = path.relative_to(REPOSITORY).as_posix()
        rule = max((rule for rule in MAY_IMPORT if name.startswith(rule)), key=len, default="")
        assert watched(path) <= MAY_IMPORT.get(rule, set()), name


def test_every_rule_is_of_a_file_or_a_folder_that_is_there() -> None:
    assert {rule.partition("/")[0] for rule in MAY_IMPORT} == set(FOLDERS)
    assert all((REPOSITORY / rule).exists() for rule in MAY_IMPORT)


def test_no_step_imports_a_step() -> None:
    graph = import_graph.import_graph()
    steps = {f"imagefeatures.steps.{step}" for step in STEPS}
    assert steps <= graph.keys()
    assert {step: reachable(step, graph) & steps for step in steps} == {step: set() for step in steps}


def test_no_chain_of_imports_comes_back_to_where_it_began() -> None:
    graph = import_graph.import_graph()
    assert len(graph) > 80
    assert [module for module in sorted(graph) if module in reachable(module, graph)] == []


def test_a_circle_would_be_seen() -> None:
    assert "a" in reachable("a", {"a": {"b"}, "b": {"c"}, "c": {"a"}})
    assert imported("def late():\n    from a import b", {"a", "a.b"}) == {"a.b"}


def test_the_dag_of_a_dataset_is_parsed_without_anything_heavy() -> None:
    loaded = imported_with(["imagefeatures_airflow.pipeline"], masked=("pyspark", *HEAVY))
    assert {"imagefeatures", "imagefeatures_airflow", "airflow"} <= loaded


def test_every_module_is_importable_without_airflow_and_spark() -> None:
    loaded = imported_with(MODULES, masked=("airflow", "pyspark"))
    assert not loaded & {"airflow", "pyspark", "py4j"}
    assert len(MODULES) > 15


def test_the_mask_would_have_caught_an_import() -> None:
    with pytest.raises(AssertionError, match=r"wave may not be imported here"):
        imported_with(["wave"], masked=("wave",))


def test_heavy_libraries_are_imported_at_the_point_of_use() -> None:
    assert not imported_with(MODULES) & {"tensorflow", "keras", "openvino", "h5py", "boto3", "botocore"}


@pytest.mark.parametrize("module", ["datasets", "run_params", "settings", "errors", "reasons", "layout"])
def test_what_a_dag_file_imports_is_light(module: str) -> None:
    loaded = imported_with([f"imagefeatures.{module}"])
    assert f"imagefeatures.{module}" in MODULES
    assert not loaded & HEAVY


def test_spark_workers_of_the_first_steps_load_no_catalog_and_no_engine() -> None:
    loaded = imported_with([f"imagefeatures.steps.{step}" for step in ("ingest", "validate", "resize")])
    assert not loaded & {"pyiceberg", "sqlalchemy", "tensorflow", "openvino"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_reader_of_imports_does_as_its_examples_say() -> None:
    done = doctest.testmod(import_graph)
    assert (done.failed, done.attempted) == (0, 2)


def test_there_are_examples_in_docstrings() -> None:
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES) >= 5
