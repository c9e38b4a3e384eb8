"""A real deployment for the whole session: Airflow's own processes, Spark, a lake in a temporary folder.

The scheduler backfills two days of the demo's photos; the tests look at the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import photos
from deploy.local.api import Api
from deploy.local.environment import environment
from deploy.local.services import airflow
from imagefeatures.settings import Settings
from support.airflow_session import DATASETS, DAYS, Deployment, HostileRun, trigger
from support.hostile import FILES, ODD_KEYS, SMALL
from support.photos import fill, jpeg
from support.shared import until


@pytest.fixture(scope="session")
def layout(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[photos.Day]]:
    """The folder of the demo's photos, and what a run over each day must give."""
    folder = tmp_path_factory.mktemp("photos")
    return folder, photos.lay_out(photos.fetch_photos(Settings.from_env().cache), folder)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory, layout: tuple[Path, list[photos.Day]]) -> Iterator[Deployment]:
    """Settings and dataset files of the session's deployment, set in the environment while it is up."""
    root = tmp_path_factory.mktemp("deployment with a space")
    (root / "datasets").mkdir()
    for name, fields in DATASETS.items():
        text = f"name: {name}\n{fields.format(photos=layout[0])}\n"
        (root / "datasets" / f"{name}.yaml").write_text(text)
    ours = {
        "IMAGEFEATURES_LAKE": f"file://{root}/lake",
        "IMAGEFEATURES_DATASETS": str(root / "datasets"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ours.items():
            patch.setenv(name, value)
        patch.delenv("IMAGEFEATURES_CATALOG", raising=False)
        yield Deployment(root / "airflow", Settings.from_env(), environment(root / "airflow", 0))


@pytest.fixture(scope="session")
def api(deployment: Deployment) -> Iterator[Api]:
    """The running Airflow, with the DAG of every valid dataset present and unpaused."""
    with airflow(deployment.home) as running:
        wanted = {f"features_{name}" for name in DATASETS if name != "broken"}
        until(lambda: wanted <= {d["dag_id"] for d in running.get("/api/v2/dags")["dags"]})
        for dag_id in wanted:
            running.patch(f"/api/v2/dags/{dag_id}", {"is_paused": False})
        yield running


@pytest.fixture(scope="session")
def hostile_run(api: Api, layout: tuple[Path, list[photos.Day]]) -> HostileRun:
    """A run over the bad inputs that need no disturbance. It has begun, and goes on beside the backfill."""
    bad = {f"bad/{at:02d}{hostile.ending}": hostile for at, hostile in enumerate(FILES.values())}
    bad = {key: hostile for key, hostile in bad.items() if hostile.fields in ({}, SMALL)}
    odd = {f"odd/{key}": jpeg(at) for at, key in enumerate(ODD_KEYS)}
    source = fill(layout[0] / "hostile", {key: hostile.make() for key, hostile in bad.items()} | odd)
    expected = {key: " ".join(hostile.answer) for key, hostile in bad.items()}
    expected |= dict.fromkeys(odd, "resize ok RGB")
    return HostileRun(source, expected, trigger(api, "hostile", partition=DAYS[0]))


@pytest.fixture(scope="session")
def published(api: Api, hostile_run: HostileRun) -> dict[str, dict[str, Any]]:
    """Partition to Airflow's DAG run: the two days of `fruit`, backfilled to the end."""
    api.post(
        "/api/v2/backfills",
        {
            "dag_id": "features_fruit",
            "from_date": f"{DAYS[0]}T00:00:00Z",
            "to_date": f"{DAYS[-1]}T00:00:00Z",
            "dag_run_conf": {},
            "max_active_runs": 2,
        },
    )

    def runs() -> list[dict[str, Any]]:
        return api.get("/api/v2/dags/features_fruit/dagRuns?run_type=backfill")["dag_runs"]

    until(lambda: len(runs()) == len(DAYS) and all(run["state"] in ("success", "failed") for run in runs()))
    return {run["partition_key"]: run for run in runs()}
