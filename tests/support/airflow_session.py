"""The words in which the tests speak to the session's deployment (conftest.py makes it)."""

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
"""The day whose photos are laid out and never published."""

DATASETS = {
    "fruit": "source: file://{photos}/fruit/{{partition}}/",
    # The demo's bad files are a few in hundreds: no share at all is allowed here, so that they are too many.
    "strict": "source: file://{photos}/fruit/{{partition}}/\nlimits: {{max_rejected: 0}}",
    # Every bad input that needs no disturbance; all of them may be rejected.
    "hostile": "source: file://{photos}/hostile/\nlimits: {{max_rejected: 1, max_bytes: 1000000}}",
    "broken": "source: file:///data/\nlimits: {{max_bytes: -1}}",
}


@dataclass(frozen=True)
class Deployment:
    """Where the session's deployment is. env: for processes that shall see the same one."""

    home: Path
    settings: Settings
    env: dict[str, str]


def trigger(api: Api, dataset: str, **conf: Any) -> dict[str, Any]:
    """What the UI's Trigger button sends."""
    return api.post(f"/api/v2/dags/features_{dataset}/dagRuns", {"logical_date": None, "conf": conf})


def ended(api: Api, run: dict[str, Any]) -> dict[str, Any]:
    """The run, once it has succeeded or failed."""
    path = f"/api/v2/dags/{run['dag_id']}/dagRuns/{quote(run['dag_run_id'], safe='')}"
    until(lambda: api.get(path)["state"] in ("success", "failed"))
    return api.get(path)
