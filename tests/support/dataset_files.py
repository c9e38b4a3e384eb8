"""Dataset files for the tests to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

GOOD: dict[str, Any] = {"name": "fruit", "source": "s3://photos/fruit/{partition}/"}


def dag_ids(*datasets: str) -> list[str]:
    """The DAGs that dags/ makes of these datasets, sorted."""
    of_datasets = (f"{kind}_{dataset}" for kind in ("features", "redrive", "unpublish") for dataset in datasets)
    return sorted(["forget", "upkeep", *of_datasets])


def written(folder: Path, content: dict[str, Any] | str, name: str = "fruit.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path
