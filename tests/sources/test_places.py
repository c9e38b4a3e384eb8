"""Where a source's folder is: what may be written, parts of a day, and lakes in the way."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from imagefeatures.datasets import Dataset
from imagefeatures.errors import DatasetError, ParamsError
from imagefeatures.plan import load_run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.sources import Folder
from imagefeatures.sources.places import check_uri, holds
from support import disks
from support.photos import fill
from support.shared import MakeRun


@pytest.mark.parametrize(
    ("uri", "filled"),
    [
        ("s3://b/{partition}/", "s3://b/2026-11-02/"),
        ("s3://b/year={partition:%Y}/month={partition:%m}/day={partition:%d}/", "s3://b/year=2026/month=11/day=02/"),
        ("s3://b/{partition:%Y/%m/%d}/", "s3://b/2026/11/02/"),
        ("s3://b/{partition:%Y}/{partition}/", "s3://b/2026/2026-11-02/"),
        ("s3://b/{partition:%-d.%-m.%y}/", "s3://b/2.11.26/"),
        ("s3://b/{partition:%Y年%j}/", "s3://b/2026年306/"),
        ("s3://b/{partition:%G-W%V-%u}/", "s3://b/2026-W45-1/"),
        ("s3://b/all/", "s3://b/all/"),
    ],
)
def test_parts_of_the_day_fill_the_source(uri: str, filled: str) -> None:
    source = Folder(uri=uri)
    assert str(source.for_partition("2026-11-02")) == filled
    assert source.by_partition is ("{" in uri)


@pytest.mark.parametrize("partition", ["batch-7", "2026-11-31", "20261102", "2026-W45-1", "2026-11-02.2"])
def test_a_partition_that_is_no_day_is_refused_where_the_source_needs_one(partition: str, settings: Settings) -> None:
    dataset = Dataset(name="photos", source="file:///data/{partition:%Y}/{partition}/")
    says = f"partition: {partition} is no day such as 2026-11-02, and the source has {{partition:%Y}}"
    with pytest.raises(ParamsError, match=f"^{re.escape(says)}$"):
        plan_run(dataset, RunParams(), partition, settings)
    assert str(Folder(uri="s3://b/{partition}/").for_partition(partition)) == f"s3://b/{partition}/"


def test_a_run_of_one_day_lists_the_folder_of_that_day(make_run: MakeRun, tmp_path: Path) -> None:
    fill(tmp_path / "photos", {"year=2026/month=11/day=02/a.jpg": b"x", "year=2026/month=11/day=03/b.jpg": b"x"})
    run = make_run(f"file://{tmp_path}/photos/year={{partition:%Y}}/month={{partition:%m}}/day={{partition:%d}}/")
    assert [item.uri for item in run.source.items()] == [f"file://{tmp_path}/photos/year=2026/month=11/day=02/a.jpg"]
    assert load_run(run.layout.run_file).source == run.source


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (
            "~/photos/",
            "~ is not expanded here, whose home it is depends on the process: write the whole path, such as ",
        ),
        ("$HOME/photos/", "$HOME: variables are not expanded here: write the whole path, such as file:///data/photos/"),
        ("file:///data/${USER}/photos", "${USER}: variables are not expanded here: "),
        ("s3://b/{partition:%H}/", "{partition:%H}: needs strftime's codes of a day, such as {partition:%Y} or "),
        ("s3://b/{partition:%Y-%}/", "{partition:%Y-%}: needs strftime's codes of a day"),
        ("ftp://b/x/", "must be s3://bucket/… or file:///…, or a path relative to this file"),
        ("file://", "must be s3://bucket/… or file:///…"),
        ("s3:///", "must be s3://bucket/… or file:///…"),
        ("file://data/x/", "file:// needs three slashes: file:///absolute/path/"),
        ("s3:///b/x/", "s3:// needs two slashes and a bucket: s3://bucket/folder/"),
        ("s3://b/{day}/{partition}/", "only {partition} may be in braces, found ['day']"),
        ("s3://b/{partition}}/", "only {partition} may be in braces, found '}' alone"),
        ("s3://b/{partition:year}/", "{partition:year}: needs strftime's codes of a day"),
    ],
)
def test_what_would_never_be_found_is_refused_with_what_to_write(uri: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        check_uri(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://b/$RECYCLE.BIN/x/",
        "file:///data/a$b/",
        "s3://b/day_$folder$/",
        "./~/x/",
        "file:///data/~x/",
        "a~/",
        "file",
        "s3",
    ],
)
def test_names_that_only_look_like_it_are_taken(uri: str) -> None:
    assert check_uri(uri) == uri


@pytest.mark.parametrize(
    ("source", "lake", "says"),
    [
        ("photos", "photos/lake", "holds the lake"),
        ("photos", "photos", "holds the lake"),
        ("photos", "photos/a/b/lake", "holds the lake"),
        ("link", "photos/lake", "holds the lake"),
        ("photos", "link/lake", "holds the lake"),
        ("lake/photos", "lake", "lies in the lake"),
        ("link/x", "photos", "lies in the lake"),
        ("photos/../lake/x", "lake", "lies in the lake"),
        ("lake-photos", "lake", None),
        ("photos", "photos-lake", None),
        ("photos/day", "photos/lake", None),
    ],
)
def test_a_source_and_a_lake_inside_each_other_are_refused_by_the_plan(
    tmp_path: Path, source: str, lake: str, says: str | None
) -> None:
    fill(tmp_path / "photos", {"1.jpg": b"x", "day/2.jpg": b"x"})
    fill(tmp_path / "lake-photos", {"1.jpg": b"x"})
    (tmp_path / "link").symlink_to("photos")
    settings = Settings.from_env(
        {"IMAGEFEATURES_LAKE": f"file://{tmp_path}/{lake}", "IMAGEFEATURES_CATALOG": f"sqlite:///{tmp_path}/catalog.db"}
    )
    dataset = Dataset(name="photos", source=f"file://{tmp_path}/{source}/")
    if says is None:
        assert plan_run(dataset, RunParams(), "2026-11-02", settings)
        return
    with pytest.raises(DatasetError, match=rf"^source: file://{tmp_path}/{source}/ {says}, file://{tmp_path}/{lake}; "):
        plan_run(dataset, RunParams(), "2026-11-02", settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake-photos", "link", "photos"]  # nothing was written


@disks.needs_mounts
def test_a_folder_that_is_mounted_under_another_name_is_the_same(tmp_path: Path) -> None:
    fill(tmp_path / "photos", {"1.jpg": b"x"})
    (tmp_path / "elsewhere").mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "photos", tmp_path / "elsewhere"], check=True)
    try:
        assert holds(f"file://{tmp_path}/photos", f"file://{tmp_path}/elsewhere")
        assert holds(f"file://{tmp_path}/photos", f"file://{tmp_path}/elsewhere/lake")
        assert holds(f"file://{tmp_path}/elsewhere/", f"file://{tmp_path}/photos/a/lake")
        assert not holds(f"file://{tmp_path}/elsewhere/a", f"file://{tmp_path}/photos/lake")
    finally:
        subprocess.run(["umount", tmp_path / "elsewhere"], check=True)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [
        ("s3://b/", "s3://b/lake", True),
        ("s3://b/photos", "s3://b/photos/lake", True),
        ("s3://b/photos/", "s3://b/photos", True),
        ("s3://b/photo", "s3://b/photos", False),
        ("s3://b/", "s3://bb/lake", False),
        ("file:///b/", "s3://b/lake", False),
    ],
)
def test_a_prefix_holds_what_is_below_it(outer: str, inner: str, expected: bool) -> None:
    assert holds(outer, inner) is expected
