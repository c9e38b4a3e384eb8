"""What of a lake grows old besides its tables: unfinished runs, kept rejects, models, maps. Found, and removed."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from imagefeatures import layout, names, read, storage
from imagefeatures.catalog.sweep import refuse_link
from imagefeatures.maps import stored as maps
from imagefeatures.settings import Settings

FINGERPRINT = "[0-9a-f]{32}"
"""The folder of a prepared model is called so; the others beside it are records, which stay."""


@dataclass
class Aged:
    """An object, or a folder with all that is in it. uri: of a folder with a slash at its end.

    size: in bytes. modified: the last write of the youngest object in it, in seconds since 1970; None where the store
    does not say when it was.
    """

    uri: str
    size: int
    modified: float | None

    def is_older(self, moment: float) -> bool:
        return self.modified is not None and self.modified < moment


def unfinished_runs(lake: str, before: float) -> list[Aged]:
    """The staging folders of runs to which nothing was written since. before: in seconds since 1970.

    A run that is written down as a publication is none: whoever comes next finishes it.
    """
    publishing = f"{layout.publications_folder(lake)}/"
    published = {one.uri.removeprefix(publishing).partition("/")[0] for one in storage.list_objects(publishing)}
    inner = [part.strip("^$") for part in (names.DATASET_NAME, names.PARTITION, names.RUN_ID)]
    found = _folders(lake, layout.staging(lake), "/".join(inner))
    return [run for run in found if run.is_older(before) and run.uri.split("/")[-2] not in published]


def kept_rejects(lake: str, before: float) -> list[Aged]:
    """The kept bytes of rejected objects that were written before that moment."""
    folder = layout.kept_rejects(lake)
    refuse_link(lake, folder)
    inner = [part.strip("^$") for part in (names.DATASET_NAME, names.PARTITION)]
    name = re.compile(rf"{re.escape(folder)}/{'/'.join(inner)}/[A-Z0-9_]+/[0-9a-f]{{64}}")
    found = (Aged(stored.uri, stored.size, stored.modified) for stored in storage.list_objects(folder))
    return [one for one in found if one.is_older(before) and name.fullmatch(one.uri)]


def feature_maps(settings: Settings, before: float) -> list[Aged]:
    """The feature maps that were made before that moment, show what is no longer published, or are damaged."""
    refuse_link(settings.lake, maps.folder_of(settings.lake))
    there = [*maps.with_facts(settings.lake)]
    # Only now: a map that was made meanwhile is of runs that were published before.
    published = {(row["dataset"], row["partition_key"], row["run_id"]) for row in read.runs(settings)}
    found = []
    for stored, facts in there:
        one, dataset = Aged(stored.uri, stored.size, stored.modified), stored.uri.split("/")[-2]
        if not facts or one.is_older(before) or any((dataset, *run) not in published for run in facts["runs"]):
            found.append(one)
    return found


def models(lake: str, before: float, used: Container[str]) -> list[Aged]:
    """The prepared models that were made before that moment. used: the fingerprints of those that are left."""
    found = _folders(lake, layout.models_folder(lake), FINGERPRINT)
    return [model for model in found if model.is_older(before) and model.uri.split("/")[-2] not in used]


def fingerprints_of_unfinished_runs(lake: str) -> set[str]:
    """Those of all runs in staging, as far as their run.json can be read."""
    found = set()
    for stored in list(storage.list_objects(layout.staging(lake))):
        if stored.uri.endswith("/run.json"):
            with contextlib.suppress(storage.ObjectMissing, ValueError, KeyError, TypeError, AttributeError):
                planned = json.loads(storage.read(stored.uri))
                found |= {planned["fingerprint"], *(output["fingerprint"] for output in planned.get("others", ()))}
    return found


def remove(aged: Aged, before: float) -> bool:
    """Remove it, unless it was written to meanwhile. Returns whether it was removed."""
    if not aged.uri.endswith("/"):
        storage.delete(aged.uri)
        return True
    if any(stored.modified is None or stored.modified >= before for stored in storage.list_objects(aged.uri)):
        return False
    # First, so that a removal that is interrupted leaves no run that looks as if it could go on.
    storage.delete(f"{aged.uri}run.json")
    storage.delete_folder(aged.uri)
    return True


def _folders(lake: str, root: str, inner: str) -> Iterator[Aged]:
    """The folders below another one whose path in it is of this pattern, each with what is in it."""
    refuse_link(lake, root)
    pattern = re.compile(rf"{re.escape(root)}/{inner}/")
    found: dict[str, Aged] = {}
    unknown = set()
    for stored in storage.list_objects(root):
        if not (folder := pattern.match(stored.uri)):
            continue
        one = found.setdefault(folder[0], Aged(folder[0], 0, 0.0))
        one.size += stored.size
        if stored.modified is None:
            unknown.add(folder[0])
        else:
            one.modified = max(one.modified or 0.0, stored.modified)
    for uri, one in found.items():
        yield Aged(uri, one.size, None if uri in unknown else one.modified)
