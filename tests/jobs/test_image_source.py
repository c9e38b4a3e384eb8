"""`imagefeatures.images` in a real Spark, beside Spark's own source `image`."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deploy.local.environment import environment
from imagefeatures.settings import REPOSITORY
from support import counted_images, hostile, poison, stored_images
from support.photos import fill, jpeg

pytestmark = pytest.mark.long  # one Spark, half a minute

GOOD, POISONOUS, BAD = 1000, 20, 80


@pytest.fixture(scope="module")
def reasons() -> dict[str, tuple[bytes, str]]:
    """Name: bytes of a hostile file, and the reason that it must get."""
    kinds = [kind for kind in hostile.FILES.values() if kind.answer[1] != "ok" and not kind.fields]
    assert len(kinds) > 15
    made = [(kind.make(), kind.answer[1], kind.ending) for kind in kinds]
    files = {}
    for number in range(BAD):
        data, reason, ending = made[number % len(made)]
        files[f"{number:03d}{ending}"] = (data, reason)
    return files


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, reasons: dict[str, tuple[bytes, str]]) -> dict[str, Any]:
    """What tests/jobs/image_queries.py has found."""
    folder = tmp_path_factory.mktemp("images")
    alike = fill(folder / "alike ü", stored_images.alike(200))
    different = fill(folder / "different", {name: data for name, data, _ in stored_images.different()})
    kinds = dict(zip(range(7, GOOD, GOOD // POISONOUS), [*poison.KINDS] * POISONOUS, strict=False))
    poison.lay_out(folder / "many" / "photos", GOOD + POISONOUS, {at: kinds[at] for at in list(kinds)[:POISONOUS]})
    fill(folder / "many" / "bad", {name: data for name, (data, _) in reasons.items()})
    table = pa.table({"image": [jpeg(1), b"no picture"], "name": ["one", "two"], "sort": ["pear", None]})
    pq.write_table(table, folder / "table.parquet")
    (folder / "counts").mkdir()
    path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "jobs", REPOSITORY / "tests")))
    env = environment(folder, 0) | {"PYTHONPATH": path, counted_images.COUNTS: str(folder / "counts")}
    arguments = [alike, different, folder / "many", folder / "table.parquet", folder / "found.pickle"]
    command = [sys.executable, str(Path(__file__).with_name("image_queries.py")), *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = pickle.loads((folder / "found.pickle").read_bytes())
    return found


def test_two_hundred_png_and_bmp_files_are_equal_to_sparks_own_in_every_byte(found: dict[str, Any]) -> None:
    ours, stock = found["alike"]
    assert len(stock) == 200
    assert Counter(row[3] for row in stock.values()).keys() == {1, 3, 4}  # channels; none is invalid
    assert Counter(origin[-3:] for origin in stock).keys() == {"png", "bmp"}
    assert ours == stock


@pytest.mark.parametrize("name", ["alike", "different"])
def test_the_columns_are_those_of_sparks_own_source(found: dict[str, Any], name: str) -> None:
    ours, stock = found[f"{name} schemas"]
    assert ours == stock


@pytest.mark.parametrize("name", ["alike", "different"])
def test_headers_alone_say_what_decoding_says(found: dict[str, Any], name: str) -> None:
    whole, _ = found[name]
    assert found[f"{name} headers"] == {origin: row[:5] for origin, row in whole.items()}


def test_what_differs_from_sparks_own_is_what_the_document_says(found: dict[str, Any]) -> None:
    ours, stock = ({origin.rpartition("/")[2]: row[1:] for origin, row in rows.items()} for rows in found["different"])
    said = {name.replace(" ", "%20"): how.partition(":")[0] for name, _, how in stored_images.different()}
    assert ours.keys() == stock.keys() == said.keys()
    assert {name: compared(ours[name], stock[name]) for name in said} == said


def compared(ours: tuple[Any, ...], stock: tuple[Any, ...]) -> str:
    if ours == stock:
        return "same reason" if stock[0] < 0 else "equal"
    if ours[0] < 0 or stock[0] < 0:
        return "stock alone" if ours[0] < 0 else "ours alone"
    if ours[:4] != stock[:4]:
        return "shape"
    apart = np.abs(np.frombuffer(ours[4], np.uint8).astype(int) - np.frombuffer(stock[4], np.uint8)).max()
    return "1 level" if apart == 1 else "pixels"


def test_invalid_images_can_be_left_out_as_sparks_own_source_does(found: dict[str, Any]) -> None:
    ours, stock = found["valid"]
    whole, _ = found["different"]
    assert ours == {origin: row for origin, row in whole.items() if row[1] > 0}
    assert 0 < len(stock) < len(found["different"][1])


def test_every_file_is_a_row_whatever_it_does_to_the_decoder(
    found: dict[str, Any], reasons: dict[str, tuple[bytes, str]]
) -> None:
    rows = {(row["label"], Path(row["uri"]).name): row for row in found["many"]}
    assert len(found["many"]) == len(rows) == GOOD + POISONOUS + BAD
    good = [row for row in rows.values() if not row["bad"]]
    assert len(good) == GOOD
    assert {(row["reason"], row["size"], row["label"]) for row in good} == {(None, 24 * 16 * 3, "photos")}
    assert {name: row["reason"] for (label, name), row in rows.items() if label == "bad"} == {
        name: reason for name, (_, reason) in reasons.items()
    }
    crashed = Counter(row["reason"] for (label, _), row in rows.items() if label == "photos" and row["bad"])
    assert crashed == {"DECODER_CRASHED": 10, "TIMEOUT": 5, "OUT_OF_MEMORY": 5}
    # Each of the crashing ones was begun, and no image was decoded that its header rejects.
    assert GOOD + POISONOUS <= found["many decoded"] < GOOD + POISONOUS + BAD


def test_a_query_of_metadata_decodes_nothing(found: dict[str, Any]) -> None:
    assert found["metadata decoded"] == found["pruned decoded"] == 0
    assert len(found["metadata"]) == GOOD + POISONOUS + BAD
    assert sum(row["size"] == 24 * 16 for row in found["metadata"]) == GOOD + POISONOUS
    assert found["pruned"] == sum(row["reason"] is None for row in found["metadata"])


def test_any_kind_of_source_is_read(found: dict[str, Any]) -> None:
    one, two = sorted(found["table"], key=lambda row: row["key"])
    assert (one["key"], one["label"], one["reason"]) == ("one", "pear", None)
    assert (one["image"]["width"], one["image"]["height"], one["image"]["mode"]) == (64, 48, 16)
    assert one["image"]["origin"] == one["uri"]
    assert len(one["image"]["data"]) == 64 * 48 * 3
    assert (two["image"], two["key"], two["label"], two["reason"]) == (None, "two", None, "UNSUPPORTED_FORMAT")


def test_an_empty_folder_has_no_rows_and_a_missing_one_is_an_error_of_one_line(found: dict[str, Any]) -> None:
    assert found["empty"] == []
    lines = [line for line in found["gone"].splitlines() if "errors.NoInput: " in line]
    assert len(lines) == 1
    assert "imagefeatures.images: there is no folder" in lines[0]
