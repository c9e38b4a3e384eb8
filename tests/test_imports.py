"""Who may import whom: each test looks at what a new interpreter has really imported."""

from __future__ import annotations

import doctest
import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import imagefeatures

MODULES = sorted(module.name for module in pkgutil.walk_packages(imagefeatures.__path__, "imagefeatures."))

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


def test_every_module_is_importable_without_airflow_and_spark() -> None:
    loaded = imported_with(MODULES, masked=("airflow", "pyspark"))
    assert not loaded & {"airflow", "pyspark", "py4j"}
    assert len(MODULES) > 15


def test_the_mask_would_have_caught_an_import() -> None:
    with pytest.raises(AssertionError, match=r"wave may not be imported here"):
        imported_with(["wave"], masked=("wave",))


def test_heavy_libraries_are_imported_at_the_point_of_use() -> None:
    assert not imported_with(MODULES) & {"tensorflow", "keras", "openvino", "h5py", "boto3", "botocore"}


@pytest.mark.parametrize("module", ["datasets", "settings", "errors", "reasons", "layout"])
def test_what_a_dag_file_imports_is_light(module: str) -> None:
    loaded = imported_with([f"imagefeatures.{module}"])
    assert f"imagefeatures.{module}" in MODULES
    assert not loaded & {"numpy", "pandas", "pyarrow", "PIL", "tensorflow", "keras", "openvino", "boto3", "pyiceberg"}


def test_spark_workers_of_the_first_steps_load_no_catalog_and_no_engine() -> None:
    loaded = imported_with([f"imagefeatures.steps.{step}" for step in ("ingest", "validate", "resize")])
    assert not loaded & {"pyiceberg", "sqlalchemy", "tensorflow", "openvino"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples_in_docstrings() -> None:
    assert sum(doctest.testmod(importlib.import_module(name)).attempted for name in MODULES) >= 5
