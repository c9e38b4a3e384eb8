"""What a lake holds besides its tables and names the place that the lake had before it was copied or moved.

    unfinished runs     run.json, known.json, redrive.json and the receipts of a run that is under way, or failed
    publications        the rows that a register was about to publish

The models, the summaries of a run's files and the rows of tables name no place in the lake; but those of
learning.evaluations do, and `learning.tables` reads them as the lake is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from imagefeatures import names, sealed, storage
from imagefeatures.errors import AuditFailed
from imagefeatures.layout import moved, publications_folder, shard_of_receipt
from imagefeatures.plan import Run

_SEALED = {"known.json": ("files",), "redrive.json": ("files", "others")}
"""The sealed files of a run, and their fields that name data files. Other fields name objects of the source."""


def unfinished_runs(lake: str) -> dict[str, str]:
    """The runs in the lake's staging folder that name another lake: the run's folder, and the lake that it names."""
    found = {}
    for stored in storage.list_objects(f"{lake}/staging"):
        folder, _, name = stored.uri.rpartition("/")
        if name == "run.json" and re.fullmatch(names.RUN_ID, folder.rpartition("/")[2]):
            named = _json(stored.uri).get("lake")
            if isinstance(named, str) and named != lake:
                found[folder] = named
    return found


def relocate_run(folder: str, old: str, new: str) -> None:
    """Let an unfinished run go on in the new place. folder: its own; old, new: the lakes.

    run.json is written last: until then the run is still one of the old place, and this can be done again.
    """
    for stored in list(storage.list_objects(folder)):
        step, _, name = stored.uri.removeprefix(f"{folder}/").rpartition("/")
        if name in _SEALED and not step:
            relocate_sealed(stored.uri, _SEALED[name], old, new)
        elif shard_of_receipt(name) is not None and "/" not in step:
            storage.write(stored.uri, json.dumps(_moved(_json(stored.uri), old, new)).encode())
    run = Run.model_validate_json(storage.read(f"{folder}/run.json")).model_copy(update={"lake": new})
    storage.write(f"{folder}/run.json", run.model_dump_json(indent=1).encode())


def relocate_publications(lake: str, old: str) -> int:
    """Let interrupted publications be finished in this lake. old: where it was. Returns how many there are."""
    count = 0
    for stored in list(storage.list_objects(publications_folder(lake))):
        if stored.uri.endswith("/publication.json") and relocate_sealed(stored.uri, ("files",), old, lake):
            count += 1
    return count


def relocate_sealed(uri: str, fields: Collection[str], old: str, new: str) -> bool:
    """Let these fields of a sealed file name the files of the lake `new`. Returns whether any named one of `old`.

    A damaged file is left: whoever needs it says so.
    """
    try:
        content = sealed.decode(uri, storage.read(uri))
    except AuditFailed:
        return False
    moved_fields = {name: _moved(content[name], old, new) for name in fields if name in content}
    if all(content[name] == value for name, value in moved_fields.items()):
        return False
    storage.write(uri, sealed.encode(content | moved_fields))
    return True


def _json(uri: str) -> dict[str, Any]:
    try:
        content = json.loads(storage.read(uri))
    except ValueError:  # empty or cut by a power cut: such a file counts for nothing
        return {}
    return content if isinstance(content, dict) else {}


def _moved(value: Any, old: str, new: str) -> Any:
    """A value of JSON with the URIs in it moved."""
    if isinstance(value, dict):
        return {key: _moved(inner, old, new) for key, inner in value.items()}
    if isinstance(value, list):
        return [_moved(inner, old, new) for inner in value]
    return moved(value, old, new) if isinstance(value, str) else value
