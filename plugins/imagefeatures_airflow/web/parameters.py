"""With which parameters a DAG run was started: what its conf says, as texts that a page may show."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow.models.dagrun import DagRun
from sqlalchemy import select
from sqlalchemy.orm import Session

from imagefeatures.reasons import without_secrets

MOST = 20
"""So many parameters are shown."""

LONGEST = 200
"""So many characters of a name or a value are shown."""


DEEPEST = 5
"""So many mappings and lists in each other are shown: a conf may have a thousand, which no recursion survives."""


@dataclass(frozen=True)
class Given:
    """shown: names and values, the first MOST. more: how many there are besides."""

    shown: tuple[tuple[str, str], ...]
    more: int


def parameters(session: Session, dag_id: str, run_id: str) -> Given | None:
    """What the conf of a DAG run says; None when Airflow does not know the run."""
    found = session.execute(select(DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).first()
    return given(found.conf) if found else None


def given(conf: object) -> Given:
    """The parameters in a conf, which anybody who may start the DAG has written: any JSON.

    >>> given({"limit": 5, "uris": ["s3://b/a.jpg", "https://me:word@host/1.jpg?key=x"], "partition": None})
    Given(shown=(('limit', '5'), ('uris', 's3://b/a.jpg, https://host/1.jpg?…'), ('partition', 'none')), more=0)
    >>> given({}), given(None), given({"": {"max_rejected": 0.5}, "replace_newer": True}).shown
    (Given(shown=(), more=0), Given(shown=(), more=0), (('', '{"max_rejected": 0.5}'), ('replace_newer', 'true')))
    """
    items = [*conf.items()] if isinstance(conf, Mapping) else [("conf", conf)] if conf else []
    shown = ((_cut(_safe(str(name))), _cut(_text(value))) for name, value in items[:MOST])
    return Given(tuple(shown), max(0, len(items) - MOST))


def _text(value: Any) -> str:
    if not isinstance(value, list):
        return _one(value)
    return ", ".join(_one(one) for one in value[:LONGEST])  # of a million names only as many as may be seen


def _one(value: Any) -> str:
    if value is None:
        return "none"
    return _safe(value.strip()) if isinstance(value, str) else json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any, depth: int = 0) -> Any:
    """The same value without the secrets of URIs. What lies deeper in it than DEEPEST is left out."""
    if isinstance(value, str):
        return _safe(value)
    if not isinstance(value, Mapping | list):
        return value
    if depth == DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {_safe(str(name)): _plain(one, depth + 1) for name, one in value.items()}
    return [_plain(one, depth + 1) for one in value]


def _safe(text: str) -> str:
    """A text without the secrets of URIs: a field may have many, each on a line or amid other words."""
    lines = re.sub(r"(?im)^[a-z][a-z0-9+.-]*://.*$", lambda line: without_secrets(line[0]), text)
    return re.sub(r"\S*/\S*", lambda uri: without_secrets(uri[0]), lines)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
