"""Pictures that a module of our own decodes in Pillow's place, and what both ways make of a file."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import ModuleType

import pytest
from PIL import Image

from imagefeatures import images
from imagefeatures.errors import Rejected
from imagefeatures.limits import Limits
from support.shared import PREPROCESSING


def noted(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """From now on: of each file that the module may take, whether it has made the picture."""
    module._is_pillows()
    answers: list[bool] = []
    real = module._decoded

    def decoded(data: bytes, image: Image.Image) -> Image.Image | None:
        found: Image.Image | None = real(data, image)
        answers.append(found is not None)
        return found

    monkeypatch.setattr(module, "_decoded", decoded)
    return answers


def outcome(data: bytes) -> tuple[object, ...]:
    """What becomes of a file: size, mode and pixels, or the reason and its detail."""
    try:
        found = images.decode(data, Limits(), PREPROCESSING)
    except Rejected as why:
        return why.reason, why.detail
    return found.width, found.height, found.mode, found.pixels.tobytes()


def without(module: ModuleType, data: bytes) -> tuple[object, ...]:
    """What becomes of a file where Pillow alone decodes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "decoded", lambda *_: None)
        return outcome(data)


def compared(module: ModuleType, files: Sequence[bytes], header: int, count: int, seed: int = 4) -> set[bool]:
    """Compare both ways over so many cut and mutated files. Returns whether some passed, and whether some did not.

    header: how many bytes at the start of a file are mutated more often than others.
    """
    chance = random.Random(seed)
    met = set()
    for _ in range(count):
        data = bytearray(chance.choice(files))
        kind = chance.randrange(3)
        if kind == 0:
            data = data[: chance.randrange(len(data))]
        for _ in range(kind and chance.choice([1, 1, 4, 40])):
            data[chance.randrange(len(data) if kind == 1 else header)] = chance.randrange(256)
        found = outcome(bytes(data))
        assert found == without(module, bytes(data)), bytes(data).hex()
        met.add(len(found) == 4)
    return met
