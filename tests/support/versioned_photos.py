"""A host whose photos have versions, and runs over them: what has not changed costs no bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from imagefeatures import local, read
from imagefeatures.plan import Run
from imagefeatures.settings import Settings
from imagefeatures.step_runner import StepRunner
from imagefeatures.steps import register
from imagefeatures.workers import ThisProcess, Workers
from support.disturbed_work import Forbidden
from support.doors import parquet
from support.hostile_http import Request, Site, response
from support.photos import jpeg
from support.shared import THIS_PROCESS, MakeRun

COUNT = 12
NOTHING = ThisProcess(StepRunner(Forbidden()))
"""Work that may compute no vector."""

MARKS = ('"strong %d"', 'W/"weak %d"', "Sun, 01 Nov 2026 08:00:%02d GMT")


class Photos:
    """A host that has versions of photos, and answers conditions. sent: the bytes of bodies, of all requests."""

    def __init__(self) -> None:
        self.photos = {f"/{n}.jpg": (jpeg(n, 64, 40 + n), MARKS[n % 3] % n) for n in range(COUNT)}
        self.sent = 0
        self.conditions: dict[str, str | None] = {}

    def __call__(self, request: Request) -> bytes:
        body, mark = self.photos[request.target]
        header, condition = ("ETag", "if-none-match") if '"' in mark else ("Last-Modified", "if-modified-since")
        self.conditions[request.target] = request.headers.get(condition)
        if self.conditions[request.target] == mark:
            return response(304, headers={header: mark, "Content-Length": ""})
        self.sent += len(body)
        return response(body=body, headers={header: mark})

    def again(self) -> None:
        self.sent, self.conditions = 0, {}


def planner(make_run: MakeRun, tmp_path: Path, host: Site) -> Callable[..., Run]:
    """planned(names, **fields): a planned run over a table of these photos, by default all. Each has its own keys."""

    def plan(names: list[str] | None = None, **fields: object) -> Run:
        targets = names or [f"/{n}.jpg" for n in range(COUNT)]
        keys = [f"key {run_number[0]} {target}" for target in targets]
        run_number[0] += 1
        (tmp_path / "t.parquet").write_bytes(parquet({"id": keys, "photo": list(map(host.url, targets))}))
        source = {"kind": "url_table", "table": f"file://{tmp_path}/t.parquet", "url": "photo", "key": "id"}
        source |= {"http": {"requests_per_second": None}}
        given = {"label": "none", "limits": {"max_rejected": 1}} | fields
        return make_run(source, {"shard_images": 4} | given.pop("params", {}), **given)

    run_number = [1]
    return plan


def published(run: Run, settings: Settings, work: Workers = THIS_PROCESS) -> dict[str, object]:
    local.run_steps(run, work)
    return register.register(run.layout.run_file, settings).summary


def rows_of(settings: Settings, table: str = "photos") -> dict[str, dict[str, object]]:
    return {"/" + row["uri"].rsplit("/", 1)[1]: row for row in read.table(settings, table).to_pylist()}
