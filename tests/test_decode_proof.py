"""The compiled code is compared with Pillow before an image's time runs, and makes no square that is too small."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagefeatures import bicubic, decode_child, images, inflated, isolation, streamed, webp
from imagefeatures.batches import AT_WORK, DONE, Batch, InMemory, SharedBuffer
from imagefeatures.decode_child import Job
from imagefeatures.limits import Limits
from imagefeatures.preprocessing import RGB, Chains, Preprocessing, Stretch, Upright
from support.photos import encoded, jpeg, picture


def chain(side: int) -> Preprocessing:
    return Preprocessing(chain=(Upright(), RGB(), Stretch(width=side, height=side)))


@pytest.mark.parametrize("side", [1, 2, 3, 4, 5])
def test_squares_of_few_pixels_are_pillows(side: int) -> None:
    blobs = [jpeg(1), encoded(picture(30, 20), "PNG")]
    batch = isolation.decoder().run(blobs, Limits(), chain(side))
    assert (batch.records["state"] == DONE).all()
    for pixels, data in zip(batch.pixels, blobs, strict=True):
        image = Image.open(io.BytesIO(data)).convert("RGB")
        assert np.array_equal(pixels, np.asarray(image.resize((side, side), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("rule", [chain(37), Chains((chain(37), chain(39)))])
def test_the_proof_comes_before_the_first_image(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for proof in (bicubic.compiled_is_pillows, streamed._is_pillows, webp._is_pillows, inflated._is_pillows):
        proof.cache_clear()
    data = jpeg(1)
    size = int(np.prod(rule.shape))
    buffer = SharedBuffer.make(1, size, len(data))
    batch = Batch(buffer, 1, rule.shape, rule.dtype)
    sources = InMemory([data])
    sources.read_into(memoryview(buffer.sources))
    batch.hand_out(0, sources.bounds)
    states: list[int] = []
    of_modules: dict[ModuleType, list[int]] = {webp: [], inflated: []}
    real = bicubic.by_compiled

    def by_compiled(image: Image.Image, side: int) -> np.ndarray:
        states.append(int(batch.written["state"][0]))
        return real(image, side)

    def noting(module: ModuleType) -> Any:
        real = module._decoded

        def decoded(data: bytes, image: Image.Image) -> Image.Image | None:
            of_modules[module].append(int(batch.written["state"][0]))
            return real(data, image)  # type: ignore[no-any-return]

        return decoded

    monkeypatch.setattr(bicubic, "by_compiled", by_compiled)
    for module in of_modules:
        monkeypatch.setattr(module, "_decoded", noting(module))
    job = Job(Limits(), rule, buffer.sizes, 1, rule.shape, rule.dtype, 0)
    assert decode_child._work_through(images.decode, job, batch) == decode_child.FINISHED
    assert batch.written["state"][0] == DONE
    proofs = 2 * len(getattr(rule, "chains", (rule,)))  # two pictures for each side
    assert states[:proofs] == [0] * proofs
    assert set(states[proofs:]) <= {AT_WORK}
    assert of_modules == {webp: [0] * 4, inflated: [0] * 4}  # two pictures each, whole and cut
    buffer.close()
