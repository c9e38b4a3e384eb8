"""Registers the project with Airflow where the package is not installed; the plugin is imagefeatures_airflow/plugin.py.

An installed package registers it by its entry point. Airflow reads this folder first, and would then skip the entry
point's as a second plugin of the same name, and show that as an error.
"""

from __future__ import annotations

from importlib.metadata import distributions

if not any(
    point.group == "airflow.plugins" for found in distributions(name="imagefeatures") for point in found.entry_points
):
    from imagefeatures_airflow.plugin import ImageFeaturesPlugin  # noqa: F401 - Airflow finds it by its class
