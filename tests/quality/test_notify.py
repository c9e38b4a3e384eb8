"""What a dataset file names is called where the deployment lists it, and nothing else is."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from imagefeatures.errors import AlertRaised, SettingsError
from imagefeatures.quality import notify
from imagefeatures.quality.declared import Alerts

ROW = {"dataset": "fruit", "partition_key": "2026-11-02", "run_id": "r"}
ROWS = [
    ROW | {"table": "fruit", "alerts": [("count", "too few"), ("drift", "far")]},
    ROW | {"table": "fruit__resnet50", "alerts": [("drift", "far too")]},
]
TEXT = "features.fruit 2026-11-02: count: too few; drift: far; drift of features.fruit__resnet50: far too"
MODULE = """
import pathlib
def tell(context):
    pathlib.Path(__file__).with_name("told").write_text(context["image_features"]["text"])
class Notifier:
    __call__ = staticmethod(tell)
number = 3
def fails(context):
    raise RuntimeError("404 for https://hooks.example.com/s3cret")
class Refused:
    def __init__(self):
        raise ValueError("no such hook: https://hooks.example.com/s3cret")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tells_of_alerts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tells_of_alerts", raising=False)  # that of the test before
    listed = ("tell", "Notifier", "number", "missing", "fails", "Refused")
    monkeypatch.setenv("IMAGEFEATURES_NOTIFIERS", ", ".join(f"tells_of_alerts.{name}" for name in listed))
    return tmp_path


@pytest.mark.parametrize("name", ["tell", "Notifier"])
def test_a_function_or_a_class_that_the_dataset_file_names_is_called(name: str, module: Path) -> None:
    notify.tell(ROWS, Alerts(notify=f"tells_of_alerts.{name}"), {}, ())
    assert (module / "told").read_text() == TEXT


def test_nobody_is_called_without_an_alert(module: Path) -> None:
    notify.tell([ROW | {"table": "fruit", "alerts": []}], Alerts(notify="tells_of_alerts.tell", fail=True), {}, ())
    notify.tell([], None, {}, ())
    assert not (module / "told").exists()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("shutil.rmtree", "alerts.notify: IMAGEFEATURES_NOTIFIERS does not list shutil.rmtree; add it where tasks run"),
        ("tells_of_alerts.number", "alerts.notify: tells_of_alerts.number cannot be called; name a function"),
        ("tells_of_alerts.missing", "alerts.notify: tells_of_alerts.missing cannot be imported (AttributeError: "),
    ],
)
def test_what_cannot_be_called_is_said_and_fails_nothing(
    path: str, said: str, module: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SettingsError) as refused:
        notify.named(path)
    assert str(refused.value).startswith(said)
    told: list[Any] = []
    with caplog.at_level(logging.WARNING):
        notify.tell(ROWS, Alerts(notify=path), {}, [told.append])
    assert f"notifier 1 has failed: SettingsError: {said}" in caplog.text
    assert [context["image_features"]["text"] for context in told] == [TEXT]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "RuntimeError"),
        ("Refused", "SettingsError: alerts.notify: tells_of_alerts.Refused cannot be imported (ValueError)"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_a_notifier_says_of_its_error_is_not_logged(
    name: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have the URL of a webhook, which is a secret."""
    notify.tell(ROWS, Alerts(notify=f"tells_of_alerts.{name}"), {}, ())
    assert [record.getMessage() for record in caplog.records] == [f"notifier 1 has failed: {said}"]


def test_the_run_fails_only_where_the_dataset_file_says_so_and_after_everybody_was_told(module: Path) -> None:
    told: list[Any] = []
    with pytest.raises(AlertRaised, match=r"far too\. The run is published; it fails because"):
        notify.tell(ROWS, Alerts(notify="tells_of_alerts.fails", fail=True), {}, [told.append])
    assert len(told) == 1
    notify.tell(ROWS, None, {}, [told.append])
    assert len(told) == 2


def test_a_notifier_gets_what_airflow_says_and_of_the_run_its_place_and_its_alerts() -> None:
    told: list[Any] = []
    notify.tell(ROWS[:1], None, {"dag": "x"}, [told.append])
    text = "features.fruit 2026-11-02: count: too few; drift: far"
    assert told == [
        {"dag": "x", "image_features": ROW | {"alerts": {"count": "too few", "drift": "far"}, "text": text}},
    ]  # fmt: skip
    assert notify.alerts_of([]) == {}
