"""Says what is out of bounds, and calls whoever is to be told: a function, or a notifier of Airflow.

Both are called with one mapping, the context. Airflow's own keys are there where Airflow runs the task; ours is KEY.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imagefeatures import names, settings
from imagefeatures.errors import AlertRaised, SettingsError
from imagefeatures.quality.declared import Alerts
from imagefeatures.reasons import printable

KEY = "image_features"
"""What the context has of the run: dataset, partition_key, run_id, alerts (each with why) and text, all in one line."""

Notifier = Callable[[dict[str, Any]], object]

log = logging.getLogger(__name__)


def alerts_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The alerts of a run, each with the sentence that says why. rows: of features.statistics.

    Those of the first table are named as the dataset file names them, those of others with their table.
    """
    found: dict[str, str] = {}
    for row in rows:
        suffix = "" if row["table"] == rows[0]["table"] else f" of {names.table_name(row['table'])}"
        found |= {f"{alert}{suffix}": why for alert, why in dict(row["alerts"]).items()}
    return found


def context_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What is handed to a notifier under KEY. rows: of one run, at least one."""
    said = alerts_of(rows)
    place = {name: rows[0][name] for name in ("dataset", "partition_key", "run_id")}
    text = f"{names.table_name(place['dataset'])} {place['partition_key']}: "
    return {**place, "alerts": said, "text": text + "; ".join(f"{alert}: {why}" for alert, why in said.items())}


def named(path: str, env: Mapping[str, str] = os.environ) -> Notifier:
    """What an import path of a dataset file names. A class is called first, without arguments.

    Raises SettingsError where IMAGEFEATURES_NOTIFIERS does not list it, or it cannot be imported or called.
    """
    if path not in settings.notifiers(env):
        raise SettingsError(f"alerts.notify: IMAGEFEATURES_NOTIFIERS does not list {path}; add it where tasks run")
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
        found = found() if isinstance(found, type) else found
    except Exception as error:  # whatever the module does when it is imported, or the class when it is called
        missing = f": {printable(error)}" if isinstance(error, ImportError | AttributeError) else ""
        raise SettingsError(f"alerts.notify: {path} cannot be imported ({type(error).__name__}{missing})") from None
    if not callable(found):
        raise SettingsError(f"alerts.notify: {path} cannot be called; name a function or a notifier")
    notifier: Notifier = found
    return notifier


def tell(
    rows: Sequence[Mapping[str, Any]], alerts: Alerts | None, context: dict[str, Any], more: Sequence[Notifier]
) -> None:
    """Call the notifiers where the run has an alert: the dataset file's, then `more`. What fails in one is a warning.

    Raises AlertRaised afterwards, where there is an alert and the dataset file says `fail: true`.
    """
    if not alerts_of(rows):
        return
    ours = context_of(rows)
    path = alerts.notify if alerts else None
    for number, notifier in enumerate([*([_by_path(path)] if path else []), *more], 1):
        try:
            notifier({**context, KEY: ours})
        except Exception as error:  # the run is published, and others are to be told
            # Not its words, but for ours: those of HTTP libraries have the URL, and a webhook's is a secret.
            said = f": {printable(error)}" if isinstance(error, SettingsError) else ""
            log.warning("notifier %d has failed: %s%s", number, type(error).__name__, said)
    if alerts and alerts.fail:
        raise AlertRaised(f"{ours['text']}. The run is published; it fails because alerts.fail is true")


def _by_path(path: str) -> Notifier:
    def imported(context: dict[str, Any]) -> None:
        named(path)(context)

    return imported
