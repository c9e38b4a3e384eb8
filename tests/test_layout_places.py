"""Where each file of a lake lies: another version must find it there. And which run.json is one of the lake's runs."""

from __future__ import annotations

import re

import pytest

from imagefeatures import layout
from imagefeatures.errors import ParamsError
from imagefeatures.layout import Layout

LAKE = "s3://b/lake"
RUN_ID = "20261103T000000-0a1b2c3d"
RUN = Layout(LAKE, "fruit", "2026-11-02", RUN_ID)
FOLDER = f"{LAKE}/staging/fruit/2026-11-02/{RUN_ID}"

OF_A_RUN = {
    "run.json": RUN.run_file,
    "known.json": RUN.known_files,
    "redrive.json": RUN.redrive,
    "stopped.json": RUN.stop,
    "usage": RUN.driver_usages,
    "ingest/listing.json": RUN.listing_summary,
    "ingest/listing/shard-00007-ab.parquet": RUN.listing(7, "ab"),
    "ingest/versions.json": RUN.versions_summary,
    "ingest/versions-00007-ab.parquet": RUN.versions(7, "ab"),
    "validate/duplicates.json": RUN.duplicates_summary,
    "validate/duplicates-00007-ab.parquet": RUN.duplicates(7, "ab"),
    "resize/known.json": RUN.known_summary,
    "resize/known-00007-ab.parquet": RUN.known_images(7, "ab"),
    "resize/moves.json": RUN.moves_summary,
    "resize/moves-00007-ab.parquet": RUN.moves(7, "ab"),
    "featurize/shard-00007.json": RUN.receipt("featurize", 7),
}
OF_A_LAKE = {
    f"publishing/{RUN_ID}/publication.json": RUN.publication,
    "quarantine/fruit/2026-11-02/CORRUPT/ab": RUN.rejected_bytes("CORRUPT", "ab"),
    "warehouse/features/fruit": layout.table_folder(LAKE, "fruit"),
    "warehouse/learning/fruit": layout.table_folder(LAKE, "fruit", "learning"),
    "known/fruit.json": layout.known_files_of(LAKE, "fruit"),
    "known": layout.known(LAKE),
    "known/fruit/parts": layout.known(LAKE, "fruit", "parts"),
    "upkeep/reports.json": layout.upkeep_reports(LAKE),
    "forgotten": layout.forgotten_folder(LAKE),
    "models/ab/model.json": layout.model_facts(LAKE, "ab"),
    "models/described/ab.json": layout.described_model(LAKE, "ab"),
    "models/served/ab-3.npy": layout.served_golden(LAKE, "ab", 3),
    "models/vit/weights.json": layout.weights_record(LAKE, "vit"),
    f"models/vit-{'0123456789abcdef'}/weights.json": layout.weights_record(LAKE, "vit", "0123456789abcdef" * 4),
    "folders/photos": layout.folder_reservation(LAKE, "photos"),
}


def test_each_file_lies_where_another_version_looks_for_it() -> None:
    assert {name: f"{FOLDER}/{name}" for name in OF_A_RUN} == OF_A_RUN
    assert {name: f"{LAKE}/{name}" for name in OF_A_LAKE} == OF_A_LAKE


def test_what_several_attempts_write_has_a_fresh_name_each_time() -> None:
    data = f"{LAKE}/warehouse/features/{{}}/data/partition_key=2026-11-02/{RUN_ID}-shard-00007"
    for make, begins in (
        (lambda: RUN.new_driver_usage("plan"), f"{FOLDER}/usage/plan"),
        (lambda: RUN.new_output("resize", 7), f"{FOLDER}/resize/shard-00007"),
        (lambda: RUN.new_output("featurize", 7), data.format("fruit")),
        (lambda: RUN.new_output("featurize", 7, "fruit__vit"), data.format("fruit__vit")),
        (lambda: RUN.new_output("resize", 7, "fruit_pixels"), data.format("fruit_pixels")),
    ):
        one, other = make(), make()
        assert one != other
        assert re.fullmatch(re.escape(begins) + r"-[0-9a-f]{8}\.(json|parquet)", one)


@pytest.mark.parametrize("dataset", [None, "fruit"])
def test_the_run_json_of_a_run_says_which_run_it_is(dataset: str | None) -> None:
    assert Layout.of_run_file(RUN.run_file, LAKE, dataset) == RUN


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        (f"{FOLDER}/other.json", "is not the run.json of a run in s3://b/lake"),
        (RUN.run_file.replace("lake", "lake2"), "is not the run.json of a run in"),
        (RUN.run_file.replace("s3", "file", 1), "is not the run.json of a run in"),
        (f"{LAKE}/staging/fruit/{RUN_ID}/run.json", "is not the run.json of a run in"),
        (RUN.run_file.replace("fruit", "Fruit!"), "dataset: 'Fruit!' is none; start a new run"),
        (RUN.run_file.replace("2026-11-02", "a b"), "partition: 'a b' is none; start a new run"),
        (RUN.run_file.replace(RUN_ID, ".."), "run_id: '..' is none; start a new run"),
        (RUN.run_file.replace("fruit", "figs"), "is a run of figs, not of fruit; start a new run"),
    ],
)
def test_another_uri_is_no_run_of_the_dataset(uri: str, says: str) -> None:
    with pytest.raises(ParamsError, match=re.escape(says)):
        Layout.of_run_file(uri, LAKE, "fruit")


def test_a_data_file_leads_to_the_run_that_wrote_it() -> None:
    assert layout.run_files_of(RUN.new_output("featurize", 7), LAKE) == [RUN.run_file]
    assert RUN.run_file in layout.run_files_of(RUN.new_output("featurize", 7, "fruit__vit"), LAKE)
    for other in (RUN.run_file, RUN.new_output("resize", 7), f"{LAKE}/warehouse/features/fruit/metadata/v1.json"):
        assert layout.run_files_of(other, LAKE) == []


@pytest.mark.parametrize(
    ("uri", "old", "new", "found"),
    [
        ("file:///a/x", "file:///a", "s3://b/l", "s3://b/l/x"),
        ("file:///a2/x", "file:///a", "s3://b/l", "file:///a2/x"),
        ("file:///a", "file:///a", "s3://b/l", "file:///a"),
        ("file:///a/x", "file:///a", "file:///a/n", "file:///a/n/x"),
        ("file:///a/n/x", "file:///a", "file:///a/n", "file:///a/n/x"),  # it lies there already
        ("file:///a/n/x", "file:///a/n", "file:///a", "file:///a/x"),
        ("file:///a/y/a/x", "file:///a", "file:///b", "file:///b/y/a/x"),
        ("file:///b/x", "file:///a", "file:///b", "file:///b/x"),
    ],
)
def test_what_lies_in_the_old_place_of_a_lake_lies_in_the_new_one(uri: str, old: str, new: str, found: str) -> None:
    assert layout.moved(uri, old, new) == found
