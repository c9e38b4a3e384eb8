"""How Airflow finds the page: the plugin, the menu entry, the button."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from imagefeatures.settings import REPOSITORY
from support.web import PAGE, PLUGINS, Site


def test_importing_the_plugin_imports_no_web_framework(tmp_path: Path) -> None:
    heavy = {"fastapi", "pyarrow", "pyiceberg", "numpy", "airflow.providers.apache.spark.operators"}
    code = f"import sys, imagefeatures_airflow.plugin; print(*{heavy!r} & set(sys.modules))"
    env = {"PATH": "", "PYTHONPATH": f"{PLUGINS}:{REPOSITORY}", "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_the_button_and_the_menu_entry_lead_to_routes_that_exist(site: Site, plugin_app: Any) -> None:
    from imagefeatures_airflow.plugin import ImageFeaturesPlugin

    views = {
        view["destination"]: "/" + view["href"].lower().partition("#")[0] for view in ImageFeaturesPlugin.external_views
    }
    assert views.keys() == {"nav", "dag_run", "task_instance"}
    (label,) = (view["name"] for view in ImageFeaturesPlugin.external_views if view["destination"] == "nav")
    assert len(label) <= len("Security")  # the longest of Airflow's own: a longer one is cut
    assert len({view["url_route"] for view in ImageFeaturesPlugin.external_views}) == len(views)
    assert set(views.values()) <= {PAGE + route.path for route in plugin_app.routes}
