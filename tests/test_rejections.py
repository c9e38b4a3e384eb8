"""Which run's rejected objects are found, and how they are written for people."""

from __future__ import annotations

import datetime as dt

import pytest

from imagefeatures import rejections, storage
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout
from imagefeatures.rejections import COLUMNS
from imagefeatures.settings import Settings
from support.measured import clouds, publish

DAY, OTHER = "2026-11-02", "2026-11-01"
LATER, LAST = "29991231T000000-0a1b2c3d", "29991231T000001-0a1b2c3d"


def staged(settings: Settings, run_id: str, name: str = "run.json") -> Layout:
    layout = Layout(settings.lake, "photos", DAY, run_id)
    storage.write(f"{layout.run}/{name}", b"{}")
    return layout


def test_the_newest_run_of_the_partition_is_found_and_any_by_its_name(settings: Settings) -> None:
    with pytest.raises(ParamsError, match=f"^no run of photos {DAY}: none is published or unfinished$"):
        rejections.find(settings, "photos", DAY)
    staged(settings, LATER)
    assert rejections.find(settings, "photos", DAY).run_id == LATER
    storage.delete_folder(Layout(settings.lake, "photos", DAY, LATER).run)
    other, published = (publish(settings, day, clouds(0, count)) for day, count in ((OTHER, 5), (DAY, 3)))
    found = rejections.find(settings, "photos", DAY)
    assert (found.run_id, found.published, found.listed) == (published, True, 3)
    for run_id in (LAST, LATER):
        staged(settings, run_id)
    staged(settings, "30001231T000000-0a1b2c3d", "resize/run.json")  # the folder of a run that was only begun
    assert rejections.staged_runs(settings, "photos", DAY) == [LATER, LAST]
    assert rejections.find(settings, "photos", DAY).run_id == LAST
    unlisted = rejections.find(settings, "photos", DAY, LATER)
    assert (unlisted.run_id, unlisted.published, unlisted.listed, dict(unlisted.reasons)) == (LATER, False, None, {})
    assert list(unlisted.rows()) == []
    assert rejections.find(settings, "photos", DAY, published).published
    with pytest.raises(ParamsError) as refused:
        rejections.find(settings, "photos", DAY, other)
    assert str(refused.value) == f"no run {other} of photos {DAY}: there are {published}, {LATER}, {LAST}"


def test_a_line_has_its_own_columns_first_and_no_formula(settings: Settings) -> None:
    row = dict.fromkeys(COLUMNS) | {"uri": "=1+1", "detail": 'a,"b"\nc', "size": 7, "day": dt.date(2026, 11, 2)}
    assert list(rejections.as_csv(iter([row]), ("day",))) == [
        "day,uri,reason,detail,step,size,image_id\n",
        '2026-11-02,\'=1+1,,"a,""b""\nc",,7,\n',
    ]
