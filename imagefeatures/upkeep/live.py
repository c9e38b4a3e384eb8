"""The runs and classifiers that can still be published: their files in tables' folders have no snapshot yet."""

from __future__ import annotations

import re
from collections.abc import Container

from imagefeatures import layout, storage
from imagefeatures.learning import places


def beginnings(lake: str, since: float, given_up: Container[str]) -> set[str]:
    """How the names of their data files begin.

    A run is one as long as it has a run.json in staging, however old it is, or a publication that is written down; a
    classifier as long as its folder was written to after `since`, in seconds since 1970. given_up: the URIs of folders
    of runs that do not count, each with a slash at its end.
    """
    found = set()
    staging, publishing = f"{layout.staging(lake)}/", f"{layout.publications_folder(lake)}/"
    for stored in storage.list_objects(staging):
        folder, _, name = stored.uri.rpartition("/")
        if name == "run.json" and f"{folder}/" not in given_up:
            found.add(f"{folder.rpartition('/')[2]}-")
    for stored in storage.list_objects(publishing):
        found.add(f"{stored.uri.removeprefix(publishing).partition('/')[0]}-")
    learning = re.escape(places.classifiers_folder(lake))
    for stored in storage.list_objects(places.classifiers_folder(lake)):
        model = re.match(rf"{learning}/[^/]+/([0-9a-f]{{16}})/", stored.uri)
        if model and (stored.modified is None or stored.modified >= since):
            found.add(f"{model[1]}-")
    return found
