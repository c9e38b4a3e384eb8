"""Pictures that a module of our own decodes in Pillow's place, and what both ways make of a file."""

from __future__ import annotations

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


def outcome(data: bytes) -> object:
    """What becomes of a file: size, mode and pixels, or the reason and its detail."""
    try:
        found = images.decode(data, Limits(), PREPROCESSING)
    except Rejected as why:
        return why.reason, why.detail
    return found.width, found.height, found.mode, found.pixels.tobytes()


def without(module: ModuleType, data: bytes) -> object:
    """What becomes of a file where Pillow alone decodes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "decoded", lambda *_: None)
        return outcome(data)
