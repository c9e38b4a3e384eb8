"""The deployment of the integration tests' session, which conftest.py starts: its datasets, and how to trigger runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from demo import photos
from deploy.local.api import Api
from imagefeatures.settings import Settings
from support.shared import until

DAYS = photos.PARTITIONS[:2]
KEPT_BACK = photos.PARTITIONS[2]
"""The day whose photos are laid out but never published."""

DATASETS = {
    "fruit": "source: file://{photos}/fruit/{{partition}}/",
    # A few of the demo's hundreds of files are bad. With a budget of 0 they are too many.
    "strict": "source: file://{photos}/fruit/{{partition}}/\nlimits: {{max_rejected: 0}}",
    # Every bad input that is only a file; all of them may be rejected.
    "hostile": "source: file://{photos}/hostile/\nlimits: {{max_rejected: 1, max_bytes: 1000000}}",
    # Objects that are no images, until a test mends them.
    "mended": "source: file://{photos}/mended/{{partition}}/\nlimits: {{max_rejected: 1}}",
    # Drawn photos of two days, with objects that are none: for the pages in a browser.
    "shown": "source: file://{photos}/shown/{{partition}}/\nlimits: {{max_rejected: 1}}",
    # Published, taken back and forgotten, by the DAGs of all that.
    "taken": "source: file://{photos}/taken/{{partition}}/\nlimits: {{max_rejected: 1}}",
    "broken": "source: file:///data/\nlimits: {{max_bytes: -1}}",
}


@dataclass(frozen=True)
class Deployment:
    """The session's deployment. env: the variables of processes that use it too."""

    home: Path
    settings: Settings
    env: dict[str, str]


@dataclass(frozen=True)
class HostileRun:
    """A run over bad inputs. expected: key below the source: what the tables must say of it. run: Airflow's."""

    source: Path
    expected: dict[str, str]
    run: dict[str, Any]


def trigger(api: Api, dataset: str, **conf: Any) -> dict[str, Any]:
    """Trigger a run with the request that the UI's Trigger button sends. Returns the run."""
    return api.post(f"/api/v2/dags/features_{dataset}/dagRuns", {"logical_date": None, "conf": conf})


def ended(api: Api, run: dict[str, Any], timeout_seconds: float = 800) -> dict[str, Any]:
    """Wait until the run has succeeded or failed. Returns it."""
    path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}"
    until(lambda: api.get(path)["state"] in ("success", "failed"), timeout_seconds)
    return api.get(path)
