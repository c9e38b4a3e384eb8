"""How the pages look: the Jinja environment, its filters and functions, and the headers of every response."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from imagefeatures import names
from imagefeatures.progress import duration
from imagefeatures.reasons import without_secrets
from imagefeatures.settings import REPOSITORY
from imagefeatures.steps import SPARK_STEPS
from imagefeatures_airflow.web import static, statistics

TEMPLATES = Path(__file__).parent / "templates"
STYLE = (TEMPLATES / "style.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

LONGEST_LABEL = 200
"""So many characters of a label are shown."""

STRIKING = 0.01
"""From this share on, rejected objects are shown in red; fewer are told quietly."""

HEADERS = {
    # A browser loads nothing but style sheets, thumbnails and scripts of ours, and asks nobody else. Only Airflow's UI
    # may show the page in a frame, and forms lead nowhere else.
    "Content-Security-Policy": (
        f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{STYLE_HASH}'; img-src 'self'; "
        "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(request: Request, template: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """A page, with every value escaped. Raises jinja2.UndefinedError when the template uses a value not in `facts`."""
    return HTMLResponse(part(request, template, **facts), status)


def part(request: Request, template: str, **facts: Any) -> str:
    """A page, or a part of one, as `page`.

    The template knows as `root` where Airflow has mounted the application, below whatever path of the host that is, and
    as `home` where Airflow's own pages are.
    """
    root = request.scope["root_path"].rstrip("/")
    return _ENVIRONMENT.get_template(template).render(root=root, home=root.rpartition("/")[0], **facts)


def message(request: Request, title: str, text: str, status: int = 404) -> HTMLResponse:
    """A page of one line: why there is nothing else to show."""
    return page(request, "message.html", status, title=title, text=text)


def path(*parts: str) -> str:
    """Path segments, each percent-encoded as a whole.

    >>> path("datasets", "a/b?")
    'datasets/a%2Fb%3F'
    """
    return "/".join(quote(part, safe="") for part in parts)


def query(chosen: Any, **other: Any) -> str:
    """The query of an address: the fields of a dataclass, some with another value or more; empty ones are left out.

    chosen: None for no field.

    >>> from types import SimpleNamespace
    >>> query(SimpleNamespace(label="a&b", sort=""), page=2)
    'label=a%26b&page=2'
    """
    fields = (vars(chosen) if chosen else {}) | other
    return urlencode({name: value for name, value in fields.items() if value != ""})


def share(part: float, whole: float) -> str:
    """A percentage. It says 0 % and 100 % only where that is exact.

    >>> share(1, 8), share(1, 90_000), share(89_999, 90_000), share(0, 5), share(5, 5), share(0, 0)
    ('12.5 %', '<0.1 %', '>99.9 %', '0 %', '100 %', '–')
    >>> share(1, 1000), share(999, 1000)
    ('0.1 %', '99.9 %')
    """
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f}".removesuffix(".0") + " %"


def rate(row: dict[str, Any], step: str) -> str:
    """Images per second of a step, over the time that its workers were busy.

    >>> rate({"resize_images": 60, "resize_seconds": 1.2}, "resize"), rate({"x_images": 0, "x_seconds": 0.0}, "x")
    ('50.0', '–')
    >>> rate({"x_images": 100, "x_seconds": 1.0}, "x"), rate({"x_images": 1500, "x_seconds": 0.5}, "x")
    ('100', '3,000')
    """
    seconds = row[f"{step}_seconds"]
    return per_second(row[f"{step}_images"] / seconds if seconds > 0 else 0.0)


def per_second(value: float) -> str:
    """A rate; 0 stands for one that is not known.

    >>> per_second(0), per_second(7.25), per_second(1500.2)
    ('–', '7.2', '1,500')
    """
    if not value:
        return "–"
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def severity(part: float, whole: float) -> str:
    """How much a share of rejected objects should strike the eye: the class of the style sheet.

    >>> severity(0, 1000), severity(2, 1000), severity(10, 1000), severity(1, 3)
    ('', 'few', 'bad', 'bad')
    """
    return "" if not part else "bad" if part >= STRIKING * whole else "few"


def elapsed(row: dict[str, Any]) -> float:
    """Seconds from the plan of a run to its publication."""
    return (row["finished_at"] - row["started_at"]).total_seconds()


def seconds(value: float) -> str:
    """
    >>> seconds(4.25), seconds(10), seconds(41.4), seconds(3725)
    ('4.2 s', '10 s', '41 s', '3,725 s')
    """
    return f"{value:.1f} s" if value < 10 else f"{value:,.0f} s"


def label_text(label: str | None) -> str:
    """A label as pages write it: a column named by mistake may hold whole documents.

    >>> label_text("fig"), label_text(None), len(label_text("x" * 9000))
    ('fig', 'without a label', 201)
    """
    if label is None:
        return "without a label"
    return label if len(label) <= LONGEST_LABEL else f"{label[:LONGEST_LABEL]}…"


def size(count: float) -> str:
    """
    >>> size(512), size(1000), size(1_256_692), size(3 * 10**12)
    ('512 B', '1.0 kB', '1.3 MB', '3.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def from_timestamp(seconds: float) -> dt.datetime:
    """
    >>> from_timestamp(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def moment(when: dt.datetime) -> str:
    """
    >>> moment(dt.datetime(2026, 11, 2, 14, 3, 59, tzinfo=dt.UTC))
    '2026-11-02 14:03 UTC'
    """
    return f"{when.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def airflow_command() -> str:
    """Airflow's command line, as a person at this deployment calls it: that of `make up` is on nobody's path."""
    of_make_up = os.environ.get("AIRFLOW_HOME") == str(REPOSITORY / ".airflow")
    return ".venv/bin/python -m deploy.local airflow" if of_make_up else "airflow"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"from_timestamp": from_timestamp, "label_text": label_text}
    environment.filters.update({"count": "{:,}".format, "moment": moment, "seconds": seconds, "size": size})
    environment.filters.update({"per_second": per_second, "without_secrets": without_secrets, "duration": duration})
    environment.globals.update(
        {
            "STYLE": STYLE,
            "STEPS": SPARK_STEPS,
            "path": path,
            "query": query,
            "share": share,
            "rate": rate,
            "elapsed": elapsed,
            "severity": severity,
            "static": static.address,
        }
    )
    environment.globals |= {"statistics_of": statistics.statistics_of, "newest_alerts": statistics.newest_alerts}
    environment.globals["airflow"] = airflow_command()
    environment.globals["has_vectors"] = names.has_vectors
    return environment


_ENVIRONMENT = _environment()
