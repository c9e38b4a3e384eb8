"""A run without an object: plan says within a second which of the mistakes it was, and what would be right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import preview, storage
from imagefeatures.datasets import Dataset
from imagefeatures.errors import NoInput
from imagefeatures.plan import plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from support.photos import fill
from support.shared import BUCKET, PARTITION

Refused = Callable[..., str]


@pytest.fixture
def refused(settings: Settings) -> Refused:
    """refused(source, **fields of the dataset): the line with which plan refuses, and leaves no run in the lake."""

    def line(
        source: str | dict[str, Any], params: dict[str, Any] | None = None, own: str = PARTITION, **fields: Any
    ) -> str:
        dataset = Dataset.model_validate({"name": "photos", "source": source, **fields})
        with pytest.raises(NoInput) as error:
            plan_run(dataset, RunParams.parse(params or {}), own, settings)
        assert not list(storage.list_objects(f"{settings.lake}/staging"))
        text = str(error.value)
        assert "\n" not in text
        return text

    return line


def test_no_such_folder(refused: Refused, tmp_path: Path) -> None:
    assert refused(f"file://{tmp_path}/nowhere/") == f"NO_INPUT: there is no folder file://{tmp_path}/nowhere/"


def test_an_empty_folder(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    assert refused(f"file://{tmp_path}/photos/") == f"NO_INPUT: file://{tmp_path}/photos/ is empty"


def test_a_pattern_that_none_fits(refused: Refused, tmp_path: Path) -> None:
    source = fill(
        tmp_path / "photos", {f"{number:02d}.jpg": b"x" for number in range(60)} | {"z/a.txt": b"", "b.png": b""}
    )
    assert refused(f"file://{source}/", pattern=["*.JPG", "*.jpeg"]) == (
        f"NO_INPUT: 62 objects at file://{source}/, and none fits the pattern ['*.JPG', '*.jpeg']: 00.jpg, 01.jpg, "
        "02.jpg, …; 60 would fit without regard to case (ignore_case: true in source)"
    )
    text = refused(f"file://{source}/", pattern="*.tiff")
    assert text.endswith("and none fits the pattern ['*.tiff']: 00.jpg, 01.jpg, 02.jpg, …")


@pytest.mark.parametrize("place", ["file", "s3"])
def test_a_misspelt_partition_names_those_that_are_there(
    refused: Refused, tmp_path: Path, place: str, request: pytest.FixtureRequest
) -> None:
    days = [f"2026-10-{day:02d}" for day in range(1, 32)] + ["2026-11-01"]
    if place == "file":
        root = f"file://{fill(tmp_path / 'photos', {f'{day}/a.jpg': b'x' for day in days})}"
    else:
        root = f"s3://{BUCKET}"
        client = request.getfixturevalue("s3")
        for day in days:
            client.put_object(Bucket=BUCKET, Key=f"{day}/a.jpg", Body=b"x")
    missing = "there is no folder" if place == "file" else "there is no object at"
    text = refused(root + "/{partition}/")
    start = f"NO_INPUT: {missing} {root}/{PARTITION}/; of the 32 partitions that are there, these are the nearest: "
    assert text.startswith(start)
    assert "2026-11-01" in text.removeprefix(start).split(", ")
    assert refused(root + "/sub-{partition}/").startswith(f"NO_INPUT: {missing} {root}/sub-{PARTITION}/; of the 32 ")
    assert "none of a similar name: 2026-10-01, 2026-10-02, 2026-10-03" in refused(root + "/{partition}/", own="zzz")
    assert refused(root + "/other/{partition}/").endswith(f"; there is no partition in {root}/other/")


def test_what_is_excluded_is_told_with_an_example_of_each(refused: Refused, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"1.png": b"x", "a/2.jpg": b"x", ".DS_Store": b"x"})
    text = refused({"kind": "folder", "uri": f"file://{source}/", "exclude": "a/"}, pattern="*.jpg")
    told = {f"{cause} 1 (such as file://{source}/{name})" for cause, name in (
        ("pattern", "1.png"), ("exclude", "a/2.jpg"), ("default_excludes", ".DS_Store"),
    )}  # fmt: skip
    start = f"NO_INPUT: 3 objects at file://{source}/, and none fits the pattern ['*.jpg']; 3 objects passed over: "
    assert text.startswith(start)
    assert set(text.removeprefix(start).split(", ")) == told


def test_an_empty_sample_is_the_samples_fault(refused: Refused, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {f"{number}.jpg": b"x" for number in range(5)} | {"a.txt": b""})
    text = refused(f"file://{source}/", {"sample": 1e-9}, pattern="*.jpg")
    assert text == (
        f"NO_INPUT: 6 objects at file://{source}/, of which 5 fit the pattern, and none is in the sample of 1e-09: "
        "choose a larger sample"
    )


def test_an_empty_day_that_is_normal_is_planned(settings: Settings, tmp_path: Path) -> None:
    dataset = Dataset(name="photos", source=f"file://{tmp_path}/none/", on_empty="skip")
    assert storage.exists(plan_run(dataset, RunParams(), PARTITION, settings))


def test_the_look_is_bounded_and_ends_at_the_first_object_that_fits(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = fill(tmp_path / "photos", {f"{number:02d}.txt": b"x" for number in range(8)} | {"10.jpg": b"x"})
    monkeypatch.setattr(preview, "LOOKED_AT", 5)
    dataset = Dataset(name="photos", source=f"file://{source}/", pattern=["*.jpg"])
    seen = preview.look(dataset, dataset.source)
    assert (seen.objects, seen.passed.counts["pattern"], seen.sampled, seen.whole) == (5, 5, False, False)
    plan_run(dataset, RunParams(), PARTITION, settings)  # nobody knows yet: ingest will see the whole listing
    assert preview.explain(dataset, dataset.source, PARTITION).startswith("NO_INPUT: more than 5 objects at ")
    early = dataset.model_copy(update={"source": dataset.source.model_copy(update={"pattern": ("00.*",)})})
    seen = preview.look(early, early.source)
    assert (seen.objects, seen.sampled, seen.whole) == (1, True, True)
    plan_run(early, RunParams(), PARTITION, settings)
    assert preview.explain(early, early.source, PARTITION) == (
        f"NO_INPUT: file://{source}/ had no object when it was listed, and has some now; start a new run"
    )


def test_a_sample_is_a_share_of_the_names_and_the_same_ones_each_time() -> None:
    uris = [f"s3://b/{number}\udc80.jpg" for number in range(1000)]
    quarter, half = ({uri for uri in uris if preview.in_sample(share, uri)} for share in (0.25, 0.5))
    assert 200 < len(quarter) < 300
    assert 450 < len(half) < 550
    assert quarter < half
    assert all(preview.in_sample(1, uri) for uri in uris)


def test_a_folder_without_permission_is_an_object_of_the_run(settings: Settings, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"a.txt": b"x"})
    (source / "circle").symlink_to(source)
    dataset = Dataset(name="photos", source=f"file://{source}/", pattern=["*.jpg"])
    assert preview.look(dataset, dataset.source).sampled  # a row LINK_TO_FOLDER, whatever the pattern says
