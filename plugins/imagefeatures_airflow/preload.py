"""Imports in a scheduler what its tasks import: one that forks them hands the modules on.

A task of Airflow's LocalExecutor is a fork of the scheduler. Each parses the DAG's file, which imports this package and
Airflow's operators, and plan and register import the catalog: 0.3 to 0.6 s of each task, one after the other.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from airflow.configuration import conf
from airflow.listeners import hookimpl

MODULES = (
    "imagefeatures_airflow.pipeline",
    "imagefeatures.catalog.known_files",
    "imagefeatures.catalog.readiness",
    "imagefeatures.catalog.repair",
    "imagefeatures.steps.register",
    "imagefeatures.storage.local",
)
"""None of them starts a thread or opens anything: a fork would inherit it."""


@hookimpl
def on_starting(component: Any) -> None:
    """Airflow calls it in each process that starts, in a scheduler before it forks anything.

    component: its Job, which has no kind yet, so the command line tells a scheduler.
    """
    if sys.argv[1:2] == ["scheduler"] and "LocalExecutor" in conf.get("core", "executor"):
        for module in MODULES:
            importlib.import_module(module)
