"""The pages in a headless Chromium, against the session's Airflow: filter, copy, re-drive, run again, watch it move.

Screenshots are kept in the folder that the variable SCREENSHOTS names: `make screenshots`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from demo import photos
from deploy.local.api import Api
from imagefeatures import local, read
from imagefeatures.dataset_files import find_dataset
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.airflow_session import Deployment
from support.browser import CHROMIUM, NO_CHROMIUM, Tab, browser
from support.photos import fill
from support.shared import until

pytestmark = [
    pytest.mark.long,  # a run from its plan to its publication
    pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM),
]

DATASET = "shown"
SHOWN = [f"2026-11-{day:02}" for day in range(1, 7)]
LABELS, EACH = 6, 4
"""So many labels have photos, and each of them so many on a day."""
EMPTY = 3
FAILING = "2026-11-07"
"""A day of empty files alone, which the dataset does not have before the last test."""
PAGE = "/image-features"
FOLDER = os.environ.get("SCREENSHOTS")
LAPTOP, PHONE = 1400, 390
HIDDEN_PIXELS = "Math.max(0, ...[...document.querySelectorAll('.wide')].map(one => one.scrollWidth - one.clientWidth))"
"""How far the widest table reaches beyond its frame."""
FOLLOWED = "document.querySelector('[data-follow]')"


@pytest.fixture(scope="module")
def days(api: Api, deployment: Deployment, layout: tuple[Path, list[photos.Day]]) -> None:
    """Published days of the demo's photos; on three of them with empty files, and one of text."""
    dataset = find_dataset(deployment.settings.datasets, DATASET)
    by_label = photos.by_label(photos.fetch_photos(Settings.from_env().cache))
    several = [(label, found) for label, found in sorted(by_label.items()) if len(found) >= len(SHOWN) * EACH][:LABELS]
    for number, day in enumerate(SHOWN):
        files = {
            f"{day}/{label}/{at:02}.jpg": data
            for label, found in several
            for at, data in enumerate(found[number * EACH : (number + 1) * EACH])
        }
        if day in SHOWN[::2]:
            files |= {f"{day}/pear/empty{at}.jpg": b"" for at in range(EMPTY)} | {f"{day}/plum/text.jpg": b"no picture"}
        fill(layout[0] / DATASET, files)
        local.run_partition(dataset, RunParams.parse({"shard_images": 7, "max_rejected": 1}), deployment.settings, day)


@pytest.fixture(scope="module")
def tab(api: Api, days: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A browser of the admin, on a laptop whose system is set to light."""
    token = api.post("/auth/token", {"username": "admin", "password": api.password})["access_token"]
    with browser(tmp_path_factory.mktemp("chromium"), {"_token": token}, api.address) as opened:
        opened.size(LAPTOP)
        opened.prefers("light")
        yield opened
        assert opened.violations == []


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(FOLDER) if FOLDER else tmp_path_factory.mktemp("screenshots")


def text(tab: Tab, selector: str = "main") -> str:
    return " ".join(tab.evaluate(f"document.querySelector({selector!r})?.textContent ?? ''").split())


def show_all_images(tab: Tab) -> None:
    """Load the images that are out of sight too."""
    tab.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    tab.until("[...document.querySelectorAll('img')].every((image) => image.complete)")


def quarantined(deployment: Deployment, reason: str = "") -> list[str]:
    rows = read.table(deployment.settings, "quarantine").to_pylist()
    of_day = [row for row in rows if (row["dataset"], row["partition_key"]) == (DATASET, SHOWN[0])]
    return sorted(row["uri"] for row in of_day if reason in ("", row["reason"]))


def test_a_filtered_list_is_copied_and_taken_again(tab: Tab, api: Api, deployment: Deployment) -> None:
    tab.open(f"{api.address}{PAGE}/")
    assert "3 whole 3 with quarantined objects" in text(tab)
    tab.press(f"a[href$='/datasets/{DATASET}']")
    tab.press(f"th a[href$='/partitions/{SHOWN[0]}']")
    tab.press("a[href*='/quarantine?']")
    assert len(tab.evaluate("[...document.querySelectorAll('.objects li')].map(e => 1)")) == len(
        quarantined(deployment)
    )
    tab.evaluate("document.querySelector('select[name=reason]').value = 'EMPTY_OBJECT'")
    tab.press(".filter button")
    wanted = quarantined(deployment, "EMPTY_OBJECT")
    assert (len(wanted), len(quarantined(deployment))) == (EMPTY, EMPTY + 1)
    tab.click("summary")
    tab.click("[data-copies]")
    until(lambda: text(tab, "[data-copies]") == "Copied", 30)
    assert tab.evaluate("getSelection().toString() || document.querySelector('#names').value").split() == wanted
    tab.press("form[action*='redrive_shown'] button")
    assert "This DAG run is a re-drive" in text(tab)
    (run,) = api.get("/api/v2/dags/redrive_shown/dagRuns")["dag_runs"]
    assert run["conf"]["partition"] == SHOWN[0]
    assert run["conf"]["reason"] == "EMPTY_OBJECT"


def test_a_partition_is_run_again_and_its_progress_moves_without_a_reload(
    tab: Tab, api: Api, deployment: Deployment, shots: Path
) -> None:
    before = quarantined(deployment)
    of_day = urlencode({"dataset": DATASET, "partition": SHOWN[0]})
    tab.open(f"{api.address}{PAGE}/quarantine?{of_day}")
    tab.press("form[action*='features_shown'] button")
    address = tab.evaluate("location.href")
    run_id = address.rpartition("/runs/")[2]
    assert api.get(f"/api/v2/dags/features_shown/dagRuns/{run_id}")["conf"]["partition"] == SHOWN[0]
    until(lambda: SHOWN[0] in text(tab, "h1"))  # it is planned
    tab.evaluate("window.__same = true")
    seen: list[list[str]] = []
    told = 0
    deadline = time.monotonic() + 800
    while time.monotonic() < deadline and tab.evaluate(f"Boolean(window.__same && {FOLLOWED})"):
        rows = "[...document.querySelectorAll('[data-follow] table:first-of-type tbody tr')]"
        steps = tab.evaluate(f"{rows}.slice(0, 7).map(row => row.innerText.replace(/\\s+/g, ' '))")
        if steps and (not seen or steps != seen[-1]):
            seen.append(steps)
        # Once a step of which photos are done; and better one whose rate is known, and with it the time that is left.
        rows_now = steps or []
        tells = 2 * any(" left" in row for row in rows_now) or any(row.startswith("ingest done") for row in rows_now)
        if tells > told:
            tab.screenshot(shots / "page-run.png")
            told = tells
        time.sleep(0.5)
    assert len(seen) > 5, "the page did not move"
    assert told
    done = [next(row for row in steps if row.startswith("validate")) for steps in seen if steps]
    assert done[0].startswith("validate waits")
    assert any(row.startswith("validate done") for row in done)
    tab.loaded()
    assert "This DAG run published this partition." in text(tab)  # it was loaded once more, at the end
    assert tab.evaluate(f"{FOLLOWED} === null")
    assert tab.evaluate("location.href") == address
    assert quarantined(deployment) == before


def test_the_map_leads_from_a_photo_to_its_nearest_ones_and_the_audit_to_doubtful_labels(
    tab: Tab, api: Api, shots: Path
) -> None:
    tab.open(f"{api.address}{PAGE}/datasets/{DATASET}/map?every=true")  # which computes it
    until(lambda: tab.evaluate("document.getElementById('map')?.dataset.ready !== undefined"), 120)
    tab.evaluate("document.getElementById('chart').focus()")
    tab.key("ArrowRight")
    tab.until("document.querySelector('#card img')?.naturalWidth > 0")
    label = tab.evaluate("document.querySelector('#card figcaption').textContent")
    tab.click_at(*tab.centre("#rings .chosen"))
    tab.until("document.querySelectorAll('#side li').length === 8")
    tab.until("[...document.querySelectorAll('#side img')].every((image) => image.complete && image.naturalWidth > 0)")
    near = tab.evaluate("[...document.querySelectorAll('#side li span:first-of-type')].map((one) => one.textContent)")
    assert near[0] == label, "a photo's nearest one is of its own label"
    for mode in ("dark", "light"):
        tab.evaluate(f"localStorage.setItem('theme', '{mode}')")
        tab.call("Page.reload")
        until(lambda: tab.evaluate("document.getElementById('map')?.dataset.ready !== undefined"), 60)
        tab.evaluate("document.getElementById('chart').focus()")
        tab.key("ArrowRight")
        tab.key("Enter")
        tab.until("document.querySelectorAll('#side img').length >= 9")
        tab.until("[...document.querySelectorAll('#side img')].every((image) => image.complete)")
        # It lies in a temporary folder of this test, which says nothing to whoever looks at the picture.
        tab.evaluate("document.querySelector('#side .name').hidden = true")
        tab.screenshot(shots / f"map-{mode}-{LAPTOP}.png", 826)  # the labels below it are a long table
    tab.open(f"{api.address}{PAGE}/datasets/{DATASET}/partitions/{SHOWN[1]}/audit")
    until(lambda: "Labels in doubt (" in text(tab), 120)
    show_all_images(tab)
    tab.screenshot(shots / f"audit-light-{LAPTOP}.png")
    assert tab.violations == []


def test_inside_airflow_the_page_has_its_colours_and_opens_logs_in_its_window(tab: Tab, api: Api, shots: Path) -> None:
    (run,) = api.get("/api/v2/dags/features_shown/dagRuns")["dag_runs"]
    run_id = quote(run["dag_run_id"], safe="")
    inside = "document.querySelector('iframe').contentDocument"
    tab.open(f"{api.address}/")
    for mode in ("dark", "light"):
        tab.evaluate(f"localStorage.setItem('theme', '{mode}')")
        tab.open(f"{api.address}/plugin/image-features")
        until(lambda: tab.evaluate(f"Boolean(document.querySelector('iframe') && {inside}.querySelector('h1'))"), 60)
        assert tab.evaluate(f"{inside}.documentElement.dataset.theme") == mode
        ground = tab.evaluate(f"getComputedStyle({inside}.body).backgroundColor")
        assert ground == {"dark": "rgb(22, 29, 45)", "light": "rgb(255, 255, 255)"}[mode]
        time.sleep(2)  # Airflow's own parts are drawn
        tab.screenshot(shots / f"airflow-{mode}.png")
    tab.open(f"{api.address}/dags/features_shown/runs/{run_id}/tasks/validate/plugin/image-features-task")
    until(lambda: tab.evaluate(f"Boolean(document.querySelector('iframe') && {inside}.querySelector('h1'))"), 60)
    assert SHOWN[0] in tab.evaluate(f"{inside}.querySelector('h1').textContent")
    tab.evaluate(f"{inside}.querySelector('a.airflow[href$=\"/tasks/ingest\"]').click()")
    until(lambda: tab.evaluate("location.pathname").endswith("/tasks/ingest"), 60)  # the window's, not the frame's


def test_no_page_is_wider_than_a_phone_and_none_is_refused_by_its_policy(tab: Tab, api: Api, shots: Path) -> None:
    (run,) = api.get("/api/v2/dags/features_shown/dagRuns")["dag_runs"]
    (redrive,) = api.get("/api/v2/dags/redrive_shown/dagRuns")["dag_runs"]
    paths = {
        "datasets": "/",
        "dataset": f"/datasets/{DATASET}",
        "partition": f"/datasets/{DATASET}/partitions/{SHOWN[0]}",
        "dag-run": run_page("features_shown", run["dag_run_id"]),
        "redrive": run_page("redrive_shown", redrive["dag_run_id"]),
        "quarantine": "/quarantine",
        "gallery": f"/datasets/{DATASET}/partitions/{SHOWN[0]}/gallery",
        "audit": f"/datasets/{DATASET}/partitions/{SHOWN[1]}/audit",
        "duplicates": f"/datasets/{DATASET}/partitions/{SHOWN[1]}/audit?table=duplicates",
    }
    for name, path in paths.items():
        look(tab, f"{api.address}{PAGE}{path}", name, shots)
    assert len(list(shots.glob("*-*.png"))) >= 4 * len(paths)
    assert tab.violations == []
    inline = "Object.assign(document.createElement('script'), {textContent: 'window.__ran = true'})"
    tab.evaluate(f"document.body.append({inline})")
    assert not tab.evaluate("window.__ran")
    until(lambda: tab.evaluate("1") and tab.violations, 30)  # what is refused is seen
    tab.violations.clear()


def test_a_run_under_way_and_a_failed_one_fit_a_phone_too(
    tab: Tab, api: Api, layout: tuple[Path, list[photos.Day]], shots: Path
) -> None:
    fill(layout[0] / DATASET, {f"{FAILING}/pear/empty{at}.jpg": b"" for at in range(EMPTY)})
    conf = {"partition": FAILING, "max_rejected": 0}
    run = api.post("/api/v2/dags/features_shown/dagRuns", {"logical_date": None, "conf": conf})
    address = f"{api.address}{PAGE}{run_page('features_shown', run['dag_run_id'])}"
    tab.open(address)
    until(lambda: FAILING in text(tab, "h1"), 120)  # it is planned
    look(tab, address, "run-under-way", shots)
    assert tab.evaluate(f"{FOLLOWED} !== null"), "the run has ended while it was looked at"
    until(lambda: tab.evaluate(f"{FOLLOWED} === null"), 120)
    look(tab, address, "run-failed", shots)
    assert "Failed: validate" in text(tab)
    assert text(tab).count("EMPTY_OBJECT") >= 1
    assert tab.violations == []


def run_page(dag: str, run_id: str) -> str:
    return f"/dags/{dag}/runs/{quote(run_id, safe='')}"


def look(tab: Tab, address: str, name: str, shots: Path) -> None:
    """Open a page in the light and dark, on a laptop and a phone: nothing is out of sight, and a picture is kept."""
    for mode in ("light", "dark"):
        tab.evaluate(f"localStorage.setItem('theme', '{mode}')")
        for width in (LAPTOP, PHONE):
            tab.size(width)
            tab.open(address)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            assert tab.evaluate(HIDDEN_PIXELS) <= 1, f"{name}, {width}: a part of a table is out of sight"
            show_all_images(tab)
            tab.screenshot(shots / f"{name}-{mode}-{width}.png")
    tab.size(LAPTOP)
