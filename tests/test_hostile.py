"""Twenty bad inputs: each ends as a row with a reason, or as a refusal in one line.

Here the steps are called one by one, so that a test can disturb the input between them. Inputs that need no
disturbance also go through a whole run of the DAG, in integration/test_hostile_run.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from imagefeatures import manifest, storage
from imagefeatures.catalog import tables
from imagefeatures.dataset_files import load_dataset
from imagefeatures.datasets import Dataset
from imagefeatures.errors import InputError, StoreError
from imagefeatures.local import run_steps
from imagefeatures.models.weights import read_weights
from imagefeatures.plan import Run, plan_run
from imagefeatures.run_params import RunParams
from imagefeatures.settings import Settings
from imagefeatures.shards import Receipt, read_staged
from imagefeatures.steps import ingest, resize, validate
from imagefeatures.storage import s3 as s3_store
from support import poison
from support.hostile import FILES, ODD_KEYS, Hostile
from support.photos import fill, jpeg
from support.servers import rclone
from support.shared import MODEL, PARTITION, SPEC, THIS_PROCESS, MakeRun

GOOD = "good.jpg"


@dataclass(frozen=True)
class World:
    """What a bad input needs: a deployment of the test's own, and the fixtures that disturb it."""

    make_run: MakeRun
    settings: Settings
    folder: Path
    request: pytest.FixtureRequest
    patch: pytest.MonkeyPatch


@pytest.fixture
def world(
    make_run: MakeRun,
    settings: Settings,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    return World(make_run, settings, tmp_path / "photos", request, monkeypatch)


# Outcomes of an object: "step REASON: detail", or "resize ok: mode"


def through(
    run: Run,
    meanwhile: Callable[[], object] = lambda: None,
    resize_shard: Callable[[Run, int], Receipt] = resize.run_shard,
) -> dict[str, str]:
    """ingest, validate and resize all shards. Returns each URI's outcome. meanwhile: called after the listing."""
    found: dict[str, str] = {}
    shards = manifest.list_source(run, workers=1).shards
    meanwhile()
    for shard in range(shards):
        receipts = [step(run, shard) for step in (ingest.run_shard, validate.run_shard, resize_shard)]
        rejected = [row for r in receipts if r.rejected for row in read_staged(r.rejected).to_pylist()]
        found |= {row["uri"]: f"{row['step']} {row['reason']}: {row['detail']}" for row in rejected}
        made = read_staged(receipts[-1].output, ["uri", "mode"]).to_pylist()
        assert not {row["uri"] for row in made} & set(found)
        found |= {row["uri"]: f"resize ok: {row['mode']}" for row in made}
        assert len(rejected) + len(made) == receipts[0].rows_in
    return found


def file(bad: Hostile, world: World) -> str:
    source = fill(world.folder, {GOOD: jpeg(), f"a{bad.ending}": bad.make()})
    read: list[str] = []
    fetch = storage.fetch_all
    world.patch.setattr(
        storage, "fetch_all", lambda found, *how: (read.extend(o.uri for o in found), fetch(found, *how))[1]
    )
    found = through(world.make_run(source, **bad.fields))
    assert found.pop(f"file://{source}/{GOOD}") == "resize ok: RGB"
    ((uri, answer),) = found.items()
    assert uri == f"file://{source}/a{bad.ending}"
    assert (uri in read) == (bad.answer[0] != "ingest")  # what ingest rejects is not downloaded
    return answer


def poisonous(kind: str, world: World) -> str:
    poison.lay_out(world.folder, 3, {1: kind})
    run = world.make_run(world.folder, limits={"decode_seconds": 3, "max_rejected": 1})
    found = through(run, resize_shard=poison.resize_shard)
    before, answer, behind = (found[uri] for uri in sorted(found))
    assert (before, behind) == ("resize ok: RGB", "resize ok: RGB")
    return answer


def changed_after_the_listing(change: Callable[[Path], object], world: World) -> str:
    source = fill(world.folder, {GOOD: jpeg(), "a.jpg": jpeg(1)})
    found = through(world.make_run(source), meanwhile=lambda: change(source / "a.jpg"))
    assert found.pop(f"file://{source}/{GOOD}") == "resize ok: RGB"
    return found.popitem()[1]


def odd_keys(world: World) -> str:
    source = fill(world.folder, {key: jpeg(at) for at, key in enumerate(ODD_KEYS)})
    found = through(world.make_run(source))
    assert set(found) == {f"file://{source}/{key}" for key in ODD_KEYS}
    return f"{sum(answer == 'resize ok: RGB' for answer in found.values())}/{len(ODD_KEYS)} kept byte by byte"


def key_that_is_no_text(world: World) -> str:
    source = fill(world.folder, {GOOD: jpeg()})
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.jpg")).write_bytes(jpeg(1))
    found = through(world.make_run(source))
    assert found.pop(f"file://{source}/{GOOD}") == "resize ok: RGB"
    ((uri, answer),) = found.items()
    assert uri.endswith(r"/caf\udce9.jpg")
    return answer


# Refusals of a run: "Error: its one line"


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises((InputError, StoreError)) as stopped:  # Airflow retries a StoreError, and no InputError
        call()
    return f"{type(stopped.value).__name__}: {stopped.value}"


def planned(world: World, source: str = "file:///tmp/", **params: object) -> str:
    dataset = Dataset(name="photos", source=source)
    params = {"partition": "2026-11-02", **params}
    return refusal(lambda: plan_run(dataset, RunParams.parse(params), None, world.settings))


def on_moto(world: World) -> str:
    world.request.getfixturevalue("s3")
    return planned(world, "s3://none/photos/")


def with_aws(variables: dict[str, str], world: World) -> str:
    patch = world.request.getfixturevalue("aws_env")
    patch.setattr(s3_store, "RETRY_SECONDS", 1.0)
    for name in variables:
        patch.setenv(name, variables[name])
    return planned(world, "s3://bucket/photos/")


def without_credentials(world: World) -> str:
    patch = world.request.getfixturevalue("aws_env")
    patch.delenv("AWS_ACCESS_KEY_ID")
    patch.delenv("AWS_SECRET_ACCESS_KEY")
    return planned(world, "s3://bucket/photos/")


def with_a_wrong_secret(world: World) -> str:
    (world.folder / "bucket").mkdir(parents=True)
    with rclone(world.folder) as server:
        wrong = {"AWS_ENDPOINT_URL": server.address, "AWS_SECRET_ACCESS_KEY": "canary-secret"}
        return with_aws(wrong, world)


def no_matching_key(world: World) -> str:
    folder = fill(world.folder, {"notes.txt": b"x"})
    answer = refusal(lambda: world.make_run(folder, pattern=["*.jpg"]))
    assert tables.published(tables.open_catalog(world.settings), world.settings, "photos", PARTITION) is None
    return answer


def other_weights(world: World) -> str:
    path = world.request.getfixturevalue("weights_cache") / "weights" / f"{MODEL}.h5"
    damaged = bytearray(path.read_bytes())
    damaged[(where := len(damaged) // 2) : where + 4] = b"\0\0\x80\x3f"
    return refusal(lambda: read_weights(bytes(damaged), SPEC, "given.h5"))


def malformed_dataset_file(world: World) -> str:
    fill(world.folder, {"fruit.yaml": b"name: fruit\nsource: [s3://b/\n"})
    return refusal(lambda: load_dataset(world.folder / "fruit.yaml"))


def too_many_rejected(world: World) -> str:
    files = {f"{at:02d}.jpg": b"" if at % 2 else b"{}" for at in range(12)}
    run = world.make_run(fill(world.folder, files))
    answer = refusal(lambda: run_steps(run, THIS_PROCESS))
    assert answer.count(".jpg") == 10
    return answer


PARAMS = [
    *(("shard_images", value) for value in (0, -1, "abc", 1e9)),
    ("partition", "../x"),
    ("batch", 7),
]

INPUTS: dict[str, tuple[int, Callable[[World], str], str]] = {
    **{name: (bad.number, partial(file, bad), "{} {}: .*{}".format(*bad.answer)) for name, bad in FILES.items()},
    "bytes that crash the decoder": (10, partial(poisonous, "crash"), r"resize DECODER_CRASHED: .*SIGSEGV"),
    "bytes that abort the decoder": (10, partial(poisonous, "abort"), r"resize DECODER_CRASHED: .*SIGABRT"),
    "bytes that make it spin": (11, partial(poisonous, "hang"), r"resize TIMEOUT: .*limits.decode_seconds = 3 s"),
    "a key deleted after the listing": (
        13,
        partial(changed_after_the_listing, Path.unlink),
        "ingest NOT_FOUND: it was listed, and gone when it was read",
    ),
    "an object replaced after the listing": (
        14,
        partial(changed_after_the_listing, lambda path: path.write_bytes(b"another")),
        r"ingest CHANGED_DURING_RUN: listed with ETag \S+, read with \S+",
    ),
    "odd keys": (15, odd_keys, f"{len(ODD_KEYS)}/{len(ODD_KEYS)} kept"),
    "a key that is no text": (15, key_that_is_no_text, "ingest BAD_KEY: its name is not UTF-8"),
    "a missing bucket": (16, on_moto, "StoreRefused: s3://none: there is no such bucket$"),
    "no credentials": (16, without_credentials, "StoreRefused: s3://bucket: no credentials .*AWS_ACCESS_KEY_ID"),
    "a wrong secret": (
        16,
        with_a_wrong_secret,
        r"StoreRefused: s3://bucket: the store refuses \(SignatureDoesNotMatch",
    ),
    "a wrong endpoint": (
        16,
        partial(with_aws, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_SECRET_ACCESS_KEY": "canary-secret"}),
        r"StoreError: s3://bucket: no answer in 1 s \(.*127\.0\.0\.1:9",
    ),
    "no matching key": (
        17,
        no_matching_key,
        r"NoInput: NO_INPUT: 1 object at file://\S+, and none fits the pattern \['\*\.jpg'\]: notes\.txt$",
    ),
    "other weights": (18, other_weights, r"ModelMismatch: (?=.*MODEL_MISMATCH).*given\.h5"),
    **{
        f"{field} {value}": (19, partial(planned, **{field: value}), f"ParamsError: {field}: ")
        for field, value in PARAMS
    },
    "a malformed dataset file": (19, malformed_dataset_file, r"DatasetError: fruit\.yaml: not YAML: "),
    "more rejected than allowed": (
        20,
        too_many_rejected,
        "TooManyRejected: .*12 of 12 objects.*EMPTY_OBJECT 6.*UNSUPPORTED_FORMAT 6",
    ),
}


@pytest.mark.parametrize("name", INPUTS)
def test_a_bad_input_has_its_one_line_answer(name: str, world: World) -> None:
    _, ask, expected = INPUTS[name]
    answer = ask(world)
    assert re.match(expected, answer)
    assert "\n" not in answer
    assert "canary" not in answer


def test_all_twenty_bad_inputs_are_tested() -> None:
    assert {number for number, *_ in INPUTS.values()} == set(range(1, 21))
