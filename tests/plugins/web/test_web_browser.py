"""A real Chromium opens the pages of objects, of a partition whose every text is an attack: nothing of it runs."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import pytest
from airflow.utils.state import DagRunState
from PIL import ExifTags, Image

from imagefeatures import manifest, stops
from imagefeatures.audits.kept import Audit, KeptAudits
from imagefeatures.datasets import Dataset
from imagefeatures.layout import Layout
from imagefeatures.maps import choice, stored
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.steps import ingest
from imagefeatures.stops import Stop
from support.attacks import PAYLOADS, LoggedIn, served
from support.auditing import direction
from support.browser import CHROMIUM, NO_CHROMIUM
from support.photos import jpeg
from support.publishing import DAY
from support.shared import until
from support.shown_objects import PARTITION, RUN_ID, Refused, lay_out
from support.web import PAGE, Site, dag_run_is, known_to_airflow, return_from_plan, user

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM),
]

PATHS = (
    f"{PARTITION}/gallery",
    f"{PARTITION}/gallery?sort=farthest",
    f"/quarantine?dataset=photos&partition={DAY}",
    "/quarantine",
    f"{PARTITION}/audit",
    f"{PARTITION}/audit?table=duplicates",
    "/datasets/photos/audit",
    "/datasets/photos/audit?table=duplicates",
    "/datasets/photos/map",
    PARTITION,
    "/",
    "/datasets/photos",
    "/dags/features_photos/runs/manual__1",
    "/dags/redrive_photos/runs/manual__2",
    "/dags/features_attacked/runs/manual__3",
    "/dags/features_attacked/runs/manual__4",
)


def with_exif(seed: int, text: str) -> bytes:
    """A photo whose EXIF says this of description, artist and camera."""
    exif, sink = Image.Exif(), io.BytesIO()
    for tag in (ExifTags.Base.ImageDescription, ExifTags.Base.Artist, ExifTags.Base.Model):
        exif[tag] = text
    Image.open(io.BytesIO(jpeg(seed))).save(sink, "JPEG", exif=exif)
    return sink.getvalue()


def unpublished(settings: Settings, folder: Path) -> Layout:
    """A run whose list of URIs holds nothing but attacks, stopped by one."""
    (folder / "uris.txt").write_text("\n".join(f"ftp://host/{payload}" for payload in PAYLOADS))
    fields = {"name": "attacked", "label": "none", "source": {"kind": "uri_list", "uri": f"file://{folder}/uris.txt"}}
    (settings.datasets / "attacked.yaml").write_text(json.dumps(fields))
    run = load_run(plan_run(Dataset.model_validate(fields), RunParams.parse({}), "2026-11-30", settings))
    manifest.list_source(run, workers=1)
    ingest.run_shard(run, 0)
    stops.keep(run.layout, Stop("ingest", PAYLOADS[1], PAYLOADS[0]))
    return run.layout


def opened(address: str, profile: Path) -> str:
    """The page as Chromium has it after two seconds of its own time."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
    command += ["--disable-background-networking", "--virtual-time-budget=2000", "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr[-2000:]
    return done.stdout


def test_nothing_that_a_bucket_holds_runs(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    photos = [(f"{at}.jpg", with_exif(at % 20, one), one, direction(at)) for at, one in enumerate(PAYLOADS)]
    refused = [
        Refused(f"{at}", None, payload, payload, uri=f"file:///nowhere/{payload}")
        for at, payload in enumerate(PAYLOADS)
    ]
    uris = [f"file:///nowhere/{payload}" for payload in PAYLOADS]
    lay_out(settings, tmp_path, photos, refused, uri=uris)
    for at, payload in enumerate(PAYLOADS):  # malformed: the first page says so, with the value
        (settings.datasets / f"bad{at}.yaml").write_text(json.dumps({"name": f"bad{at}", "source": payload}))
    run_file, conf = f"{settings.lake}/staging/photos/{DAY}/{RUN_ID}/run.json", {one: one for one in PAYLOADS[:20]}
    return_from_plan("features_photos", "manual__1", run_file, conf)
    return_from_plan("redrive_photos", "manual__2", [run_file], conf)
    failed = unpublished(settings, tmp_path)
    for run, state in (("manual__3", DagRunState.FAILED), ("manual__4", DagRunState.RUNNING)):
        return_from_plan("features_attacked", run, failed.run_file, conf)
        dag_run_is("features_attacked", run, state, plan="success", ingest="failed")
    settings = Settings.from_env()
    audits, chosen = KeptAudits(settings), choice.published(settings, "photos")
    until(lambda: isinstance(audits.of(chosen), Audit))
    stored.make(settings, chosen)
    app = LoggedIn(site.app, user(site, "admin").login)
    profile = tmp_path / "profile"
    with known_to_airflow(settings), served(app) as address:
        opened(f"{address}/control", profile)
        assert app.executed > 5, "the attacks do nothing here where nothing stops them"
        app.executed = 0
        for app.policy in (True, False):
            for path in PATHS:
                page = opened(f"{address}{PAGE}{path}", profile)
                assert "Image features" in page
                assert "fetch(" in page or path == "/quarantine", path  # as text
        assert app.executed == 0
