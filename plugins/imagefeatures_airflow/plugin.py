"""Registers the project with Airflow: the timetables, the web page, its links in the UI, and what a scheduler imports.

The entry point `airflow.plugins` of an installed package names the class. Every Airflow process imports this module,
tasks included, so it imports nothing heavy at module level.
"""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from imagefeatures_airflow import preload
from imagefeatures_airflow.timetables import DailyPartitionTimetable, OnDemandPartitionTimetable

PREFIX = "image-features"


class ImageFeaturesPlugin(AirflowPlugin):
    name = "image_features"
    # Airflow's own way to declare them.
    timetables = [DailyPartitionTimetable, OnDemandPartitionTimetable]  # noqa: RUF012
    listeners = [preload]  # noqa: RUF012
    # No leading slash: the UI resolves these addresses against its own base path, which may not be the host's root.
    external_views = [  # noqa: RUF012
        {
            "name": "Images",  # Airflow's navigation cuts a longer one
            "destination": "nav",
            "href": f"{PREFIX}/",
            "url_route": PREFIX,
        },
        {
            "name": "Image features",
            "destination": "dag_run",
            "href": f"{PREFIX}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "url_route": f"{PREFIX}-run",
        },
        {
            "name": "Image features",
            "destination": "task_instance",
            "href": f"{PREFIX}/dags/{{DAG_ID}}/runs/{{RUN_ID}}#{{TASK_ID}}",
            "url_route": f"{PREFIX}-task",
        },
    ]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The web page. It is imported only in the API server: no other process needs a web framework."""
        from imagefeatures_airflow.web.app import app

        return [{"name": "Image features", "app": app, "url_prefix": f"/{PREFIX}"}]
