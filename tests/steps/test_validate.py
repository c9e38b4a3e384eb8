from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from imagefeatures import budget, images, isolation, manifest, schemas, storage
from imagefeatures.errors import AuditFailed, DecoderUnavailable, TooManyRejected
from imagefeatures.local import find_duplicates
from imagefeatures.plan import Run
from imagefeatures.settings import Settings, program
from imagefeatures.shards import pending, read_output, read_staged
from imagefeatures.steps import ingest, validate
from support.photos import encoded, fill, jpeg, picture, png_of, turned
from support.shared import MakeRun
from support.stepping import passed, turned_away, validated

GOOD = {f"good/{at}.jpg": jpeg(at) for at in range(4)}
BAD = {
    "bad/cut.jpg": jpeg()[:-100],
    "bad/page.jpg": b"<!doctype html><h1>Not Found</h1>",
    "bad/huge.png": png_of(20_000, 20_000),
    "bad/crc.png": encoded(picture(), "PNG")[:-5] + b"?" + encoded(picture(), "PNG")[-4:],
    "bad/float.tif": encoded(picture()[..., 0].astype("f4"), "TIFF"),
}
REASONS = {
    "bad/cut.jpg": "TRUNCATED",
    "bad/page.jpg": "UNSUPPORTED_FORMAT",
    "bad/huge.png": "TOO_MANY_PIXELS",
    "bad/crc.png": "CORRUPT",
    "bad/float.tif": "UNSUPPORTED_MODE",
}


def test_good_images_pass_with_the_facts_of_their_headers(make_run: MakeRun, tmp_path: Path) -> None:
    turned_png = encoded(picture(90, 60), "PNG", exif=turned(6))
    source = fill(tmp_path / "photos", GOOD | {"good/turned.png": turned_png})
    run = make_run(source)
    receipts = validated(run)
    rows = passed(receipts)
    assert turned_away(receipts) == {}
    assert set(rows) == {f"file://{source}/{name}" for name in [*GOOD, "good/turned.png"]}
    jpeg_row, png_row = rows[f"file://{source}/good/1.jpg"], rows[f"file://{source}/good/turned.png"]
    assert [jpeg_row[name] for name in ("format", "width", "height", "mode", "label")] == [
        "JPEG",
        64,
        48,
        "RGB",
        "good",
    ]
    assert [png_row[name] for name in ("format", "width", "height", "mode")] == ["PNG", 60, 90, "RGB"]
    raw = read_output(run.layout, "ingest", 0).to_pylist()[0]
    assert {name: rows[raw["uri"]][name] for name in ("image_id", "size", "etag")} == {
        name: raw[name] for name in ("image_id", "size", "etag")
    }
    assert read_staged(receipts[0].output).schema.remove_metadata() == schemas.VERDICT.remove_metadata()


def test_each_bad_image_gets_its_reason_and_keeps_its_identity(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", GOOD | BAD)
    receipts = validated(make_run(source))
    rows = turned_away(receipts)
    assert {uri: row["reason"] for uri, row in rows.items()} == {f"file://{source}/{n}": r for n, r in REASONS.items()}
    assert set(passed(receipts)) == {f"file://{source}/{name}" for name in GOOD}
    for name, data in BAD.items():
        row = rows[f"file://{source}/{name}"]
        assert (row["step"], row["size"], row["label"], len(row["image_id"])) == ("validate", len(data), "bad", 64)
        assert row["detail"]
        assert row["etag"]


def test_every_object_that_came_in_passes_or_is_counted_by_reason(make_run: MakeRun, tmp_path: Path) -> None:
    receipts = validated(make_run(fill(tmp_path / "photos", GOOD | BAD)))
    assert sum(r.rows_in for r in receipts) == len(GOOD | BAD)
    assert all(r.rows_in == r.output.rows + sum(r.reasons.values()) for r in receipts)


def test_a_retry_does_only_the_shard_whose_receipt_is_gone(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", GOOD | BAD))
    receipts = validated(run)
    Path(run.layout.receipt("validate", 2).removeprefix("file://")).unlink()
    assert pending(run.layout, "validate", len(receipts)) == [2]
    again = validate.run_shard(run, 2)
    assert (again.reasons, again.output.sha256) == (receipts[2].reasons, receipts[2].output.sha256)


def test_the_inspector_that_is_given_is_the_one_that_reads_headers(make_run: MakeRun, tmp_path: Path) -> None:
    class Given(isolation.Isolated):
        def run(self, *_: object) -> isolation.Batch:
            raise DecoderUnavailable("the given one")

    run = make_run(fill(tmp_path / "photos", {"1.jpg": jpeg(1)}))
    manifest.list_source(run, workers=1)
    ingest.run_shard(run, 0)
    with pytest.raises(DecoderUnavailable, match="the given one"):
        validate.run_shard(run, 0, Given(images.inspect))


# Duplicates


def test_the_first_by_uri_of_equal_objects_is_kept() -> None:
    same = [("s3://b/c", 0), ("s3://b/a", 7), ("s3://b/b", 0)]
    assert list(validate.duplicates_of(same)) == [(0, ("s3://b/b", "s3://b/a")), (0, ("s3://b/c", "s3://b/a"))]
    assert list(validate.duplicates_of([("s3://b/a", 7)])) == []


TWICE = {"a.jpg": jpeg(1), "b.jpg": jpeg(2), "c.jpg": jpeg(1), "d.jpg": jpeg(3), "e.jpg": jpeg(1)}


def test_duplicates_are_rejected_across_shards_if_the_dataset_says_so(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", TWICE)
    receipts = validated(make_run(source, {"shard_images": 2}, duplicates="reject"))
    assert len(receipts) > 1
    base = f"file://{source}"
    assert {uri: (row["reason"], row["detail"]) for uri, row in turned_away(receipts).items()} == {
        f"{base}/c.jpg": ("DUPLICATE", f"same bytes as {base}/a.jpg"),
        f"{base}/e.jpg": ("DUPLICATE", f"same bytes as {base}/a.jpg"),
    }
    assert set(passed(receipts)) == {f"{base}/{name}" for name in ("a.jpg", "b.jpg", "d.jpg")}


def test_without_the_search_for_duplicates_nothing_is_validated(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", TWICE), duplicates="reject")
    manifest.list_source(run, workers=1)
    ingest.run_shard(run, 0)
    assert not validate.search(run).has_ended()
    with pytest.raises(AuditFailed, match=r"/validate/duplicates\.json: not written yet, or gone; start a new run$"):
        validate.run_shard(run, 0)


def test_the_first_search_for_duplicates_counts(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", TWICE), {"shard_images": 2}, duplicates="reject")
    first = validated(run)
    assert validate.search(run).has_ended()
    files = set(storage.names(run.layout.step("validate")))
    search = validate.search(run)
    search.end([search.write(0, [("file:///other", "file:///kept")])])
    find_duplicates(run)
    for shard in range(len(first)):
        Path(run.layout.receipt("validate", shard).removeprefix("file://")).unlink()
    again = [validate.run_shard(run, shard) for shard in range(len(first))]
    assert turned_away(again) == turned_away(first)
    assert files <= set(storage.names(run.layout.step("validate")))


def test_duplicates_are_kept_by_default(make_run: MakeRun, tmp_path: Path) -> None:
    receipts = validated(make_run(fill(tmp_path / "photos", TWICE)))
    assert len(passed(receipts)) == 5


def test_a_bad_image_that_is_also_a_duplicate_keeps_its_own_reason(make_run: MakeRun, tmp_path: Path) -> None:
    source = fill(tmp_path / "photos", {"a.jpg": b"text", "b.jpg": b"text"})
    receipts = validated(make_run(source, duplicates="reject"))
    assert {row["reason"] for row in turned_away(receipts).values()} == {"UNSUPPORTED_FORMAT"}


# The failure budget


def spent(run: Run) -> str:
    with pytest.raises(TooManyRejected) as refused:
        budget.check_budget(run)
    return str(refused.value)


def test_a_spent_budget_says_counts_by_reason_and_the_first_keys(make_run: MakeRun, tmp_path: Path) -> None:
    files = {f"{at:02d}.jpg": b"" for at in range(3)} | {f"{at:02d}.jpg": b"text" for at in range(3, 15)}
    source = fill(tmp_path / "photos", files | GOOD | {"cut.jpg": jpeg()[:-9]})
    run = make_run(source)
    validated(run)
    said = spent(run)
    assert said.startswith(
        "16 of 20 objects rejected, limits.max_rejected allows 5.0%: "
        "UNSUPPORTED_FORMAT 12, EMPTY_OBJECT 3, TRUNCATED 1; first: "
    )
    examples, why, remedy, command = said.partition("; first: ")[2].split("; ")
    assert why == "why the first: it has 0 bytes"
    assert command == f"all of them: {program()} rejected photos 2026-11-02"
    assert remedy == "to publish the others without them: the run parameter max_rejected, up to 1"
    first = examples.split(", ")
    assert len(first) == 10
    assert first[:3] == [f"file://{source}/{at:02d}.jpg" for at in range(3)]  # rejected by ingest
    assert first[3:] == [f"file://{source}/{at:02d}.jpg" for at in range(3, 10)]


@pytest.mark.parametrize(("share", "is_spent"), [(0.0, True), (0.19, True), (0.2, False), (1.0, False)])
def test_the_budget_is_a_share_of_the_listed_objects(
    make_run: MakeRun, tmp_path: Path, share: float, is_spent: bool
) -> None:
    source = fill(tmp_path / "photos", GOOD | {"empty.jpg": b""})  # one of five
    run = make_run(source, limits={"max_rejected": share})
    validated(run)
    if is_spent:
        assert spent(run).startswith(f"1 of 5 objects rejected, limits.max_rejected allows {share:.1%}: EMPTY_OBJECT 1")
    else:
        budget.check_budget(run)


def test_a_budget_of_zero_passes_when_nothing_is_rejected(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", GOOD), limits={"max_rejected": 0})
    validated(run)
    budget.check_budget(run)


def test_duplicates_count_against_the_budget(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", TWICE), duplicates="reject", limits={"max_rejected": 0.39})
    validated(run)
    assert spent(run).startswith("2 of 5 objects rejected, limits.max_rejected allows 39.0%: DUPLICATE 2")


def test_a_spent_budget_stays_one_line_whatever_the_keys(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(fill(tmp_path / "photos", {"two\nlines\x1b[31m.jpg": b""}))
    validated(run)
    said = spent(run)
    assert said.isprintable()
    assert r"two\nlines\x1b[31m.jpg; why the first: " in said


@pytest.mark.parametrize("keep", [True, False])
def test_rejected_bytes_are_kept_only_where_the_dataset_says_so(
    make_run: MakeRun, settings: Settings, tmp_path: Path, keep: bool
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "note.jpg").write_text("not a photo")
    run = make_run(tmp_path / "photos", keep_rejected=keep, limits={"max_rejected": 1})
    manifest.list_source(run, workers=1)
    ingest.run_shard(run, 0)
    validate.run_shard(run, 0)
    kept = [found.uri for found in storage.list_objects(f"{settings.lake}/quarantine")]
    image_id = hashlib.sha256(b"not a photo").hexdigest()
    place = f"{settings.lake}/quarantine/photos/{run.partition}/UNSUPPORTED_FORMAT/{image_id}"
    assert kept == ([place] if keep else [])
    assert [storage.read(uri) for uri in kept] == [b"not a photo"] * keep
