"""What an unfinished run and an interrupted publication name is moved with their lake; all else stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from imagefeatures import relocation, sealed, storage
from imagefeatures.layout import publications_folder
from imagefeatures.plan import Run, load_run
from support.photos import fill, jpeg
from support.shared import MakeRun

RUN_ID = "20261103T000000-0a1b2c3d"
OLD, NEW = "s3://old/lake", "s3://new/lake"


def write(uri: str, content: Any) -> None:
    storage.write(uri, content if isinstance(content, bytes) else json.dumps(content).encode())


def write_sealed(uri: str, **content: Any) -> bytes:
    storage.write(uri, sealed.encode(content))
    return storage.read(uri)


def opened(uri: str) -> dict[str, Any]:
    return sealed.decode(uri, storage.read(uri))


def test_runs_that_name_another_lake_are_found(tmp_path: Path) -> None:
    lake = f"file://{tmp_path}"
    partition = f"{lake}/staging/photos/2026-11-02"
    for folder, content in {
        f"{partition}/{RUN_ID}": {"lake": OLD},
        f"{partition}/{RUN_ID}/resize": {"lake": OLD},
        f"{partition}/notes": {"lake": OLD},
        f"{partition}/20261103T000000-00000001": {"lake": lake},
        f"{partition}/20261103T000000-00000002": {"lake": 7},
        f"{partition}/20261103T000000-00000003": {},
        f"{partition}/20261103T000000-00000004": [OLD],
        f"{partition}/20261103T000000-00000005": b'{"lake": "s3',
    }.items():
        write(f"{folder}/run.json", content)
    write(f"{partition}/20261103T000000-00000006/known.json", {"lake": OLD})
    assert relocation.unfinished_runs(lake) == {f"{partition}/{RUN_ID}": OLD}


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    return make_run(fill(tmp_path / "photos", {"a.jpg": jpeg()}))


def test_a_run_names_the_new_place_of_its_files_and_its_objects_as_they_were(run: Run) -> None:
    folder, old = run.layout.run, run.lake
    receipt = {
        "output": {"uri": f"{old}/warehouse/a.parquet", "rows": 7},
        "files": [f"{old}/staging/b", f"{old}2/c", None],
    }
    for name in ("resize/shard-00000.json", "resize/below/shard-00000.json", "resize/shard.json"):
        write(f"{folder}/{name}", receipt)
    names = {"files": [f"{old}/a"], "others": {"photos": [f"{old}/b"]}, "uris": [f"{old}/c"]}
    write_sealed(f"{folder}/known.json", **names)
    write_sealed(f"{folder}/redrive.json", **names)
    of_step = write_sealed(f"{folder}/resize/known.json", **names)
    relocation.relocate_run(folder, old, NEW)
    assert json.loads(storage.read(f"{folder}/resize/shard-00000.json")) == {
        "output": {"uri": f"{NEW}/warehouse/a.parquet", "rows": 7},
        "files": [f"{NEW}/staging/b", f"{old}2/c", None],
    }
    for name in ("resize/below/shard-00000.json", "resize/shard.json"):
        assert json.loads(storage.read(f"{folder}/{name}")) == receipt
    assert opened(f"{folder}/known.json") == names | {"files": [f"{NEW}/a"]}
    assert opened(f"{folder}/redrive.json") == names | {"files": [f"{NEW}/a"], "others": {"photos": [f"{NEW}/b"]}}
    assert storage.read(f"{folder}/resize/known.json") == of_step
    moved = Run.model_validate_json(storage.read(f"{folder}/run.json"))
    assert moved == run.model_copy(update={"lake": NEW})


def test_publications_that_name_the_old_place_are_counted_and_moved(tmp_path: Path) -> None:
    lake = f"file://{tmp_path}"
    folder = publications_folder(lake)
    for name in ("r1", "r2"):
        write_sealed(f"{folder}/{name}/publication.json", files={"photos": [f"{OLD}/{name}"], "rows": []}, rows=[OLD])
    stay = {
        f"{folder}/r3/publication.json": write_sealed(f"{folder}/r3/publication.json", files=[f"{lake}/a"]),
        f"{folder}/r4/publication.json": write_sealed(f"{folder}/r4/publication.json", rows=[f"{OLD}/a"]),
        f"{folder}/r4/notes.json": write_sealed(f"{folder}/r4/notes.json", files=[f"{OLD}/a"]),
        f"{folder}/r5/publication.json": b"damaged",
    }
    storage.write(f"{folder}/r5/publication.json", b"damaged")
    assert relocation.relocate_publications(lake, OLD) == 2
    for name in ("r1", "r2"):
        assert opened(f"{folder}/{name}/publication.json") == {
            "files": {"photos": [f"{lake}/{name}"], "rows": []}, "rows": [OLD],
        }  # fmt: skip
    assert {uri: storage.read(uri) for uri in stay} == stay
    assert relocation.relocate_publications(lake, OLD) == 0


def test_a_run_that_was_moved_goes_on(run: Run, tmp_path: Path) -> None:
    lake = Path(run.lake.removeprefix("file://"))
    lake.rename(tmp_path / "new")
    new = f"file://{tmp_path}/new"
    ((folder, named),) = relocation.unfinished_runs(new).items()
    assert (folder, named) == (run.layout.run.replace(run.lake, new), run.lake)
    relocation.relocate_run(folder, named, new)
    assert load_run(f"{folder}/run.json", new).lake == new
    assert relocation.unfinished_runs(new) == {}
