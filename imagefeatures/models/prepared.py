"""Prepared models in the cache folder too, so that a fresh lake does not wait for TensorFlow again.

A folder holds what the lake holds, for one fingerprint and for the software that has made it. The cache folder is
believed as the lake is: digests find what was damaged, and the engine's numbers are checked before the files are used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

KEPT = 10
"""The cache folder holds so many prepared models; the one used longest ago goes first. The default has 23 MB."""

FACTS = "model.json"
SOFTWARE = ("openvino", "keras", "tensorflow", "tensorflow-cpu", "numpy")


def read(cache: Path, fingerprint: str) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """The content of model.json, and the files; None when they are not there, or not whole."""
    folder = _folder(cache, fingerprint)
    try:
        facts: dict[str, Any] = json.loads((folder / FACTS).read_bytes())
        files = {name: (folder / name).read_bytes() for name in facts["sha256"] if Path(name).name == name}
        if facts["fingerprint"] != fingerprint or _digests(files) != facts["sha256"]:
            raise ValueError("a file is not the one that was kept")
        folder.touch()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s is not used: %s", folder, " ".join(str(error).split()))
        return None
    return facts, files


def keep(cache: Path, facts: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a prepared model into the cache folder, whole or not at all; logs that a folder cannot be written."""
    folder = _folder(cache, facts["fingerprint"])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
        try:
            for name, data in {**files, FACTS: json.dumps(facts, indent=1).encode()}.items():
                (draft / name).write_bytes(data)
            if folder.exists():  # damaged, or of a run at the same time
                folder.rename(draft / "before")
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(folder / "before", ignore_errors=True)
        others = [path for path in folder.parent.iterdir() if not path.name.startswith(".")]
        for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        log.warning("the prepared model is not kept in %s: %s", folder.parent, error)


def _folder(cache: Path, fingerprint: str) -> Path:
    return cache / "prepared" / f"{fingerprint}-{_made_by()}"


@lru_cache(1)
def _made_by() -> str:
    """A digest of what a prepared model depends on: the versions of libraries, and the code of this package."""
    parts = []
    for name in SOFTWARE:
        with contextlib.suppress(PackageNotFoundError):  # tensorflow has two package names
            parts.append(f"{name} {version(name)}")
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
