"""The links between the pages of a list, also of one that is empty."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imagefeatures.audits import kept
from imagefeatures.forget import deny
from imagefeatures.settings import Settings
from support.photos import jpeg
from support.publishing import DAY
from support.shown_objects import PARTITION, RUN_ID, Refused, lay_out
from support.web import PAGE, Site


def audited_in_vain(settings: Settings) -> None:
    """Keep an audit that has found nothing."""
    folder = settings.cache / "audits" / "photos" / DAY / RUN_ID
    folder.mkdir(parents=True)
    for table in kept.TABLES:
        (folder / f"{table}.csv").write_text("uri,label,neighbours\n")
    facts = {"format": kept.FORMAT, "rows": dict.fromkeys(kept.TABLES, 0), "forgotten": deny.state(settings.lake)}
    (folder / kept.FACTS).write_text(json.dumps(facts))


def test_a_page_behind_the_last_one_leads_back_to_it(
    site: Site, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEFEATURES_CACHE", str(tmp_path / "cache"))
    lay_out(settings, tmp_path, [("a.jpg", jpeg(1), "fig", [1.0] * 8)], [Refused("b.jpg", b"", "EMPTY_OBJECT")])
    audited_in_vain(Settings.from_env())
    for path, said in (
        (f"{PARTITION}/gallery?label=%3Dnothing", "No photo fits."),
        (f"{PARTITION}/gallery?sort=largest", "There are no more."),
        (f"{PARTITION}/audit?table=labels", "There are no more."),
        (f"{PARTITION}/audit?table=duplicates", "There are no more."),
        ("/datasets/photos/audit?table=labels", "There are no more."),
        (f"/quarantine?dataset=photos&partition={DAY}&text=nowhere", "0 objects fit"),
        ("/datasets/photos?", "Partitions, newest first"),
    ):
        for number in (2, 30):
            page = site.page(f"{path}&page={number}")
            assert said in page.text, path
            assert "The last page is 1" in page.text, path
            links = {value for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
            (back,) = {link for link in links if link and "page=" in link}
            answer = site.get(back, Cookie=f"_token={site.login}")
            assert (answer.status_code, back.startswith(f"{PAGE}/"), "page=1" in back) == (200, True, True), path
            assert 'class="pager"' not in answer.text, path
