"""The configuration inside a Keras file: what it may be made of. It is checked before Keras builds anything of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from imagefeatures.errors import ModelMismatch
from imagefeatures.reasons import printable

MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}
"""All that a `.keras` of an image model has. Others have assets: files of their own, such as vocabularies."""

MOST_CONFIG_BYTES = 64 << 20

MOST_TIMES = 1000
"""How much larger than stored a member may be: deflate makes a thousandth of a file of zeros."""

RUN_CODE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
"""What runs code that the file holds or names."""


def check_archive(data: bytes, most_bytes: int) -> None:
    """Raise ModelMismatch for a `.keras` with other members than Keras' own, or that would unpack to too much.

    Also for a configuration with code or with classes that are not Keras' own.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_members(archive.infolist(), most_bytes)
            config = archive.read("config.json")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise ModelMismatch(f"it is no .keras file ({' '.join(str(error).split())[:200]})") from None
    check_config(config)


def weights(data: bytes) -> bytes:
    """The HDF5 file inside a `.keras` that `check_archive` has passed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read("model.weights.h5")


def check_config(config: bytes | str) -> None:
    """Raise ModelMismatch for the JSON of a model that has code in it, or classes that are not Keras' own."""
    try:
        content = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise ModelMismatch(f"its configuration is no JSON ({printable(error)[:200]})") from None
    if not isinstance(content, dict):
        raise ModelMismatch("its configuration is no mapping")
    for part in _objects(content):
        name, module = part["class_name"], part.get("module")
        if str(name) in RUN_CODE:
            raise ModelMismatch(
                f"it has a layer {name}, which runs code of the file; replace it by a layer of Keras, or export the "
                "model as ONNX"
            )
        own = part.get("registered_name") not in (None, name, "function", "Functional", "Sequential")
        if not isinstance(name, str) or own or not _is_of_keras(module):
            raise ModelMismatch(
                f"its {printable(name)} is a class of its own ({printable(module or part.get('registered_name'))}), "
                "whose code is not here; export the model as ONNX"
            )


def _check_members(members: list[zipfile.ZipInfo], most_bytes: int) -> None:
    names = [member.filename for member in members]
    if strange := [name for name in names if name not in MEMBERS]:
        raise ModelMismatch(f"its archive has {printable(strange[0])!r}, which no .keras of an image model has")
    if sorted(names) != sorted(MEMBERS):
        raise ModelMismatch(f"its archive has {', '.join(sorted(names)) or 'nothing'}, and must have each once: "
                            f"{', '.join(sorted(MEMBERS))}")  # fmt: skip
    for member in members:
        most = MOST_CONFIG_BYTES if member.filename.endswith(".json") else most_bytes
        if member.file_size > min(most, MOST_TIMES * max(member.compress_size, 1)):
            raise ModelMismatch(f"its {member.filename} would have {member.file_size} bytes when unpacked")


def _objects(content: Any) -> Iterator[dict[str, Any]]:
    """Every mapping with a class in it. What the model was compiled with is not read by Keras either."""
    waiting = [content]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            waiting += [value for key, value in part.items() if key != "compile_config"]
        elif isinstance(part, list):
            waiting += part


def _is_of_keras(module: object) -> bool:
    """module: None in files of Keras 2, whose classes are looked for among Keras' own alone."""
    return module is None or module == "builtins" or str(module).partition(".")[0] == "keras"
