"""The DAGs folder, parsed by Airflow in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures.settings import REPOSITORY, Settings

ParseDags = Callable[..., Any]


@pytest.fixture
def parse_dags(settings: Settings) -> ParseDags:
    """parse_dags(fruit="source: …"): the DagBag of dags/ with these dataset files."""
    from airflow.dag_processing.dagbag import DagBag

    def parse(**files: str) -> DagBag:
        for name, fields in files.items():
            (settings.datasets / f"{name}.yaml").write_text(f"name: {name}\n{fields}\n")
        return DagBag(Path(REPOSITORY) / "dags", load_op_links=False)

    return parse
