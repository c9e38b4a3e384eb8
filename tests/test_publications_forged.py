"""What lies where publications do and is none: it is named, left, and stops nobody."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import layout, publications, schemas, sealed, storage
from imagefeatures.catalog import tables
from imagefeatures.settings import Settings
from support.by_hand import interrupted, of_run, published
from support.interrupted import notes

ROW = "a row of runs with other columns"


def text(**columns: Any) -> str:
    return sealed.text_of_table(pa.table(columns))


def test_what_is_sealed_and_no_publication_is_named_and_another_file_is_left_alone(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = tables.open_catalog(settings)
    run = of_run(settings, "x", dt.datetime.now(dt.UTC))  # its process is gone, so it is finished at once
    interrupted(run, catalog, settings)
    whole = sealed.decode("", storage.read(run.layout.publication))
    forged: list[dict[str, Any]] = [
        {"runs": None},
        {"runs": 5},
        {"runs": text(**{name: [[1]] for name in schemas.RUNS.names})},
        {"runs": whole["runs"]},  # another run's
        *({ROW: {"dataset": name}, "files": {}} for name in ("..", "a/b")),
        *({ROW: {"partition_key": name}, "files": {}} for name in ("..", "a/b")),
        {"files": [5]},
        {"files": {"photos": ["passwd"]}},
        {"files": {"photos": ["a folder/in the run's"]}},
        {"files": {"photos__a/b": []}},
        {"files": {"fruit": []}},
    ]
    uris = []
    for number, what in enumerate(forged):
        there = of_run(settings, f"{number:02}", **what.pop(ROW, {}))
        if what.get("files") == {"photos": ["a folder/in the run's"]}:
            what = {"files": {"photos": [f"{there.layout.of_table('photos')}/b"]}}
        content = whole | {"runs": sealed.text_of_table(there.runs)} | what
        uris.append(there.layout.publication)
        storage.write(uris[-1], sealed.encode({name: of for name, of in content.items() if of is not None}))
    storage.write(stray := f"{layout.publications_folder(settings.lake)}/00/notes.txt", b"")
    publications.finish_interrupted(catalog, settings)
    told = [record.getMessage() for record in caplog.records if record.name == publications.__name__]
    assert [line.partition(": not a publication: ")[0] for line in told] == uris
    assert published(settings) == ["x"]
    assert set(notes(settings)) == {*uris, stray}
