"""A real Chromium opens the feature map: points at photos, presses them, and goes from one to the other by keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagefeatures.background import Waits
from imagefeatures.maps import choice, stored
from imagefeatures.settings import Settings
from support.attacks import PAYLOADS, LoggedIn, served
from support.auditing import direction, jpeg_of, scene
from support.browser import CHROMIUM, NO_CHROMIUM, Tab, browser
from support.shown_objects import lay_out
from support.web import PAGE, Site, known_to_airflow, user

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason=NO_CHROMIUM)]

COLOUR = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(255, 255, 255)", "rgb(22, 29, 45)"
HOLD = """(() => {
  const ask = window.fetch;
  window.fetch = async (...given) => {
    const answer = await ask(...given);
    if (window.hold) {
      window.hold = false;
      await new Promise((go) => { window.go = go; });
    }
    return answer;
  };
})()"""
"""Of what is asked for after `hold` was set, the first answer comes when `go` is called."""

PIXELS = """(() => {
  const canvas = document.querySelector("#chart canvas");
  return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data].some((value) => value > 0);
})()"""


@pytest.fixture
def opened(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Tab, LoggedIn]]:
    """The map of 64 photos, of which each second has an attack as its label and as its name."""
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    photos = [
        (f"{at}.jpg", jpeg_of(scene(at)), label, direction(90 * (at % 2) + at / 10))
        for at, label in enumerate(one for payload in PAYLOADS for one in ("fig", payload))
    ]
    lay_out(settings, tmp_path, photos)
    settings = Settings.from_env()
    stored.make(settings, choice.published(settings, "photos"))
    app = LoggedIn(site.app, user(site, "admin").login)
    with known_to_airflow(settings), served(app) as address, browser(tmp_path / "profile") as tab:
        tab.size(1400, 900)
        tab.prefers("light")
        tab.open(f"{address}{PAGE}/datasets/photos/map")
        tab.until("document.getElementById('map').dataset.ready !== undefined")
        yield tab, app


def test_a_photo_is_pointed_at_pressed_and_gone_from_by_keys_and_nothing_of_a_bucket_runs(
    opened: tuple[Tab, LoggedIn],
) -> None:
    tab, app = opened
    tab.until(PIXELS)
    tab.evaluate("document.getElementById('chart').focus()")
    tab.key("ArrowRight")
    tab.until("!document.getElementById('card').hidden")
    tab.until("document.querySelector('#card img').naturalWidth > 0")
    label = tab.evaluate("document.querySelector('#card figcaption').textContent")
    assert label in ("fig", *PAYLOADS)
    assert tab.evaluate("document.getElementById('state').textContent").startswith(f"{label}, ")
    x, y = tab.centre("#rings .chosen")
    corner = tab.evaluate("(({x, y}) => [x + 5, y + 5])(document.getElementById('chart').getBoundingClientRect())")
    tab.mouse("Moved", *corner)  # where no photo is
    tab.until("document.getElementById('card').hidden")
    tab.mouse("Moved", x, y)
    tab.until("!document.getElementById('card').hidden")
    assert tab.evaluate("document.querySelector('#card figcaption').textContent") == label
    tab.click_at(x, y)
    tab.until("document.querySelectorAll('#side li').length === 8")
    assert tab.evaluate("document.querySelector('#side h2').textContent") == label
    cosines = tab.evaluate(
        "[...document.querySelectorAll('#side li span:nth-of-type(2)')].map((one) => one.textContent)"
    )
    assert cosines == sorted(cosines, reverse=True)
    tab.until("[...document.querySelectorAll('#side img')].every((image) => image.complete && image.naturalWidth > 0)")
    assert tab.evaluate("document.querySelectorAll('#rings span').length") >= 9
    second = tab.evaluate("document.querySelector('#side li button').title")
    tab.click("#side li button")
    tab.until(f"document.querySelector('#side .name').textContent === {json.dumps(second)}")
    for at in range(len(PAYLOADS) * 2):  # every photo as it is shown when it is pressed
        tab.evaluate(
            f"(({{ photos, made }}) => fetch(`${{photos}}{at}?${{made}}`))(document.getElementById('map').dataset)"
            ".then((one) => one.json()).then((one) => { window.asked = one; })"
        )
    for key in ("ArrowUp", "ArrowDown", "ArrowLeft", "+", "-", "0"):
        tab.evaluate("document.getElementById('chart').focus()")
        tab.key(key)
    before = tab.evaluate("[...document.querySelectorAll('#rings span')].map((ring) => ring.style.left)")
    tab.mouse("Wheel", *tab.centre("#chart"), deltaX=0, deltaY=-300)
    tab.until(
        f"JSON.stringify([...document.querySelectorAll('#rings span')].map((ring) => ring.style.left)) !== "
        f"JSON.stringify({json.dumps(before)})"
    )
    tab.mouse("Moved", *corner)
    before = tab.evaluate("parseFloat(document.querySelector('#rings .chosen').style.left)")
    shown = tab.evaluate("document.querySelector('#side .name').textContent")
    tab.mouse("Pressed", *corner, button="left", clickCount=1)
    tab.mouse("Moved", corner[0] + 20, corner[1], button="left", buttons=1)
    tab.mouse("Released", corner[0] + 20, corner[1], button="left", clickCount=1)
    after = tab.evaluate("parseFloat(document.querySelector('#rings .chosen').style.left)")
    assert after - before == pytest.approx(20, abs=0.5)
    tab.until("document.querySelector('#chart .canvas').style.transform === ''")  # it has been drawn anew
    assert tab.evaluate(PIXELS)
    assert tab.evaluate("document.querySelector('#side .name').textContent") == shown
    tab.evaluate("document.getElementById('chart').focus()")
    tab.key("Escape")
    assert tab.evaluate("document.querySelectorAll('#rings span').length") == 0
    assert app.executed == 0
    assert tab.said == []


def test_the_photo_that_was_pressed_last_is_shown_whichever_answer_comes_last(opened: tuple[Tab, LoggedIn]) -> None:
    tab, app = opened
    tab.evaluate("document.getElementById('chart').focus()")
    tab.key("ArrowRight")
    tab.key("Enter")
    tab.until("document.querySelectorAll('#side li').length === 8")
    tab.evaluate(HOLD)
    shown = "document.querySelector('#side .name')?.textContent"
    rings = "[...document.querySelectorAll('#rings span')].map((ring) => ring.style.left + ring.style.top)"
    answered = "new Promise((done) => { window.go(); delete window.go; setTimeout(done, 200); })"
    seen = [tab.evaluate(shown)]

    def press() -> str:
        """Press a photo that was not asked for yet."""
        new = f"(one) => !{json.dumps(seen)}.includes(one.title)"
        unseen = f"[...document.querySelectorAll('#side li button')].find({new})"
        seen.append(tab.evaluate(f"(() => {{ const one = {unseen}; one.click(); return one.title; }})()"))
        return seen[-1]

    tab.evaluate("window.hold = true")
    press()
    tab.until("window.go")
    last = press()
    tab.until(f"{shown} === {json.dumps(last)}")
    before = tab.evaluate(rings)
    tab.evaluate(answered)
    assert (tab.evaluate(shown), tab.evaluate(rings)) == (last, before)
    tab.evaluate("window.hold = true")
    press()
    tab.until("window.go")
    tab.evaluate("document.getElementById('chart').focus()")
    tab.key("Escape")
    tab.evaluate(answered)
    assert tab.evaluate("document.getElementById('side').textContent") == "No photo is chosen yet."
    assert tab.evaluate(rings) == []
    assert app.executed == 0
    assert tab.said == []


def test_each_label_can_be_picked_out_and_is_text_everywhere(opened: tuple[Tab, LoggedIn]) -> None:
    tab, app = opened
    shown = tab.evaluate("[...document.querySelectorAll('#labels tbody th')].map((one) => one.textContent)")
    assert sorted(shown) == sorted(["fig", *PAYLOADS])
    fill = "document.querySelector('#labels tbody tr:nth-child(2) path').getAttribute('fill')"
    coloured = (
        "[...document.querySelectorAll('#labels path')].filter((one) => one.getAttribute('opacity') === '1').length"
    )
    assert tab.evaluate(coloured) == 24
    tab.click("#labels tbody tr:nth-child(30) button")
    assert tab.evaluate(coloured) == 1
    assert tab.evaluate(fill) == "currentColor"
    pressed = "document.querySelectorAll('#labels [aria-pressed=true]').length"
    assert tab.evaluate(pressed) == 1
    tab.click("#find button")
    assert (tab.evaluate(pressed), tab.evaluate(coloured)) == (0, 24)
    tab.click("#find input")
    tab.call("Input.insertText", text="<script>")
    found = "[...document.querySelectorAll('#labels tbody tr')].filter((row) => !row.hidden).length"
    assert tab.evaluate(found) == sum("<script>" in payload for payload in PAYLOADS)
    assert app.executed == 0
    assert tab.said == []


def test_it_is_light_or_dark_as_airflow_is_and_fits_a_phone(opened: tuple[Tab, LoggedIn], tmp_path: Path) -> None:
    tab, _ = opened
    assert tab.evaluate(COLOUR) == LIGHT
    tab.prefers("dark")
    assert tab.evaluate(COLOUR) == DARK
    tab.evaluate("localStorage.setItem('theme', 'light')")
    for chosen, colour in (("light", LIGHT), ("dark", DARK), ("system", DARK)):
        tab.evaluate(f"localStorage.setItem('theme', '{chosen}')")
        tab.call("Page.reload")
        tab.until(f"document.getElementById('map')?.dataset.ready !== undefined && {COLOUR} === '{colour}'")
    for width in (390, 1400):
        for scheme in ("light", "dark"):
            tab.size(width, 900)
            tab.prefers(scheme)
            tab.evaluate("document.getElementById('chart').focus()")
            tab.key("ArrowRight")
            tab.key("Enter")
            tab.until("document.querySelectorAll('#side img').length >= 9")
            tab.until("[...document.querySelectorAll('#side img')].every((one) => one.complete)")
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
            tab.screenshot(tmp_path / f"map-{scheme}-{width}.png")  # for whoever wants to see it
            places = tab.evaluate("[...document.querySelectorAll('#rings span')].map((ring) => ring.style.left)")
            assert all(place.endswith("px") for place in places)  # the picture was taken by a window without a size
    assert tab.said == []


def test_a_page_that_waits_is_loaded_again_but_not_while_somebody_chooses(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagefeatures_airflow.web import feature_map

    monkeypatch.setattr(feature_map, "SECONDS_BETWEEN_VIEWS", 1)
    monkeypatch.setattr("imagefeatures.maps.on_look.MapsOnLook.begin", lambda *_: Waits("Another map is under way."))
    lay_out(settings, tmp_path, [("fig.jpg", jpeg_of(scene(1)), "fig", direction(1))])
    app, form = LoggedIn(site.app, user(site, "admin").login), "document.querySelector('details')"
    with known_to_airflow(settings), served(app) as address, browser(tmp_path / "profile") as tab:
        tab.open(f"{address}{PAGE}/datasets/photos/map")
        tab.evaluate("window.before = true")
        tab.until("window.before === undefined && document.readyState === 'complete'")
        tab.evaluate(f"{form}.open = window.before = true")
        time.sleep(3)
        assert tab.evaluate("window.before") is True
        tab.evaluate(f"{form}.open = false")
        tab.until("window.before === undefined")
        assert tab.said == []
