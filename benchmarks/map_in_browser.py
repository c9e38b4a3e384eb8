"""The feature map in a headless Chromium: seconds to its first picture, and frames a second while it is dragged.

    python -m benchmarks.map_in_browser [points …]     20,000 and 100,000 by default

The points are made up. Airflow's own application serves the page. Chromium has no screen and no GPU: it draws with the
processor, beside the server.
"""

from __future__ import annotations

import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.pages import enter, put_map
from imagefeatures.maps import choice
from imagefeatures.settings import REPOSITORY, Settings

if TYPE_CHECKING:
    from support.browser import Tab

POINTS = (20_000, 100_000)
TIMES, DRAGGED_SECONDS = 5, 4.0
READY = "document.getElementById('map')?.dataset.ready !== undefined"
COUNT_FRAMES = """(() => {
  window.frames_ = 0;
  const next = () => { window.frames_ += 1; requestAnimationFrame(next); };
  next();
})()"""


def main(counts: list[int]) -> None:
    sys.path.append(str(REPOSITORY / "tests"))
    with tempfile.TemporaryDirectory(prefix="imagefeatures-bench-") as name:
        folder = Path(name)
        enter(folder)
        from support.attacks import LoggedIn, served
        from support.browser import CHROMIUM, NO_CHROMIUM, browser
        from support.photos import jpeg
        from support.shown_objects import lay_out
        from support.web import PAGE, airflow_with_pages, known_to_airflow, user

        if CHROMIUM is None:
            sys.exit(NO_CHROMIUM)
        settings = Settings.from_env()
        lay_out(settings, folder, [("a.jpg", jpeg(1), "fig", [1.0] * 8)])
        print("| Points | First picture, s | Frames a second | Main thread, ms a frame | Load |")
        print("| --- | --- | --- | --- | --- |")
        with airflow_with_pages(folder / "airflow") as site, known_to_airflow(settings):
            from imagefeatures_airflow.web import feature_map

            app = LoggedIn(site.app, user(site, "admin").login)
            with served(app) as address, browser(folder / "profile") as tab:
                tab.size(1400, 900)
                tab.call("Performance.enable")
                for count in counts:
                    put_map(settings, choice.published(settings, "photos"), count)
                    feature_map._maps.cache_clear()  # it knows the map before by the same name
                    page = f"{address}{PAGE}/datasets/photos/map"
                    columns = zip(*(once(tab, page) for _ in range(TIMES)), strict=True)
                    cells = [f"{statistics.median(of):.1f} ({min(of):.1f} to {max(of):.1f})" for of in columns]
                    print(f"| {count:,} | {' | '.join(cells)} | {os.getloadavg()[0]:.1f} |", flush=True)


def once(tab: Tab, address: str) -> tuple[float, float, float]:
    """Seconds to the first picture; frames a second, and milliseconds of the main thread for each, while dragged."""
    tab.open("about:blank")
    began = time.perf_counter()
    tab.open(address)
    tab.until(READY)
    first = time.perf_counter() - began
    x, y = tab.centre("#chart")
    tab.mouse("Pressed", x, y, button="left", clickCount=1)
    tab.evaluate(COUNT_FRAMES)
    before, began = _task_seconds(tab), time.perf_counter()
    while (passed := time.perf_counter() - began) < DRAGGED_SECONDS:
        angle = 2 * math.pi * passed
        tab.mouse("Moved", x + 150 * math.sin(angle), y + 100 * math.cos(angle), button="left", buttons=1)
    frames, worked = tab.evaluate("window.frames_"), _task_seconds(tab) - before
    tab.mouse("Released", x, y, button="left", clickCount=1)
    return first, frames / passed, 1000 * worked / frames


def _task_seconds(tab: Tab) -> float:
    """What the page's main thread has worked."""
    metrics = {one["name"]: one["value"] for one in tab.call("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]] or [*POINTS])
