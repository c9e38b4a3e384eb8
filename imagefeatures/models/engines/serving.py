"""A model that a server of somebody's own computes: pixels go out in batches, vectors come back.

A server that stays away fails the task, and never a picture. After each shard the server is asked once more which
version it has, and for the golden vectors: a model that has changed in between fails the run.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models import reference
from imagefeatures.models.serving.client import Answer, Client
from imagefeatures.models.serving.connect import connect
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.serving.server import BYTES_BESIDE, BYTES_OF_A_VALUE, MOST_WIDTH
from imagefeatures.storage.retry import SharedDeadline

if TYPE_CHECKING:
    from imagefeatures.models.engines import Bundle
    from imagefeatures.models.spec import ModelSpec, Served


def load(bundle: Bundle, engine: ServedEngine) -> Serving:
    """The engine for a run's model, as plan has found it."""
    serving = Serving(engine, bundle.spec, bundle.golden_vectors)
    serving.trust_errors_less()
    return serving


class Serving:
    """One model of a server.

    spec: with `served`. golden: the recorded vectors of the golden pictures, float32 [4, width]; None while they are
    not known.
    """

    def __init__(self, engine: ServedEngine, spec: ModelSpec, golden: np.ndarray | None = None) -> None:
        if spec.served is None:
            raise ValueError(f"the model {spec.name} was planned for an engine of this machine")
        self._engine, self._spec, self._golden = engine, spec, golden
        self._served: Served = spec.served
        self._client = Client(engine)
        self._server = connect(engine, self._client)

    def trust_errors_less(self) -> None:
        """From now on an error of the server may pass: it has given these vectors before."""
        self._client.ready = self._server.ready

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """As of an Engine. Raises ServingError, ServingRefused, or ModelMismatch when the model has changed."""
        found = self.vectors(pixels)[0]
        if self._golden is not None:
            self._refuse_another_model(self._golden)
        return found

    def vectors(self, pixels: np.ndarray) -> tuple[np.ndarray, str]:
        """The vectors, and the version that computed them; empty where the server does not say.

        pixels: uint8 [n, height, width, channels], n > 0. Raises ModelMismatch where two versions gave them, or
        vectors of two widths.
        """
        batch, deadline = self._engine.batch, SharedDeadline()
        parts = [pixels[start : start + batch] for start in range(0, len(pixels), batch)]
        with ThreadPoolExecutor(min(self._engine.in_flight, len(parts))) as pool:
            try:
                answers = list(pool.map(lambda part: self._ask(part, deadline), parts))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        versions, widths = {version for _, version in answers}, {len(vectors[0]) for vectors, _ in answers}
        if len(versions) > 1:
            raise self._changed(f"versions {' and '.join(sorted(versions))} have answered")
        if len(widths) > 1:
            raise self._changed(f"vectors of {' and '.join(map(str, sorted(widths)))} values came back")
        return np.concatenate([vectors for vectors, _ in answers]), versions.pop()

    def version_now(self, said: str) -> str:
        """The version that answers now. said: with vectors, just now; empty where the server does not say it there."""
        return said or self._server.version()

    def _refuse_another_model(self, golden: np.ndarray) -> None:
        """golden: the recorded vectors. Raises ModelMismatch unless the server gives them now, by the same version."""
        found, said = self.vectors(reference.golden_pixels(self._spec.input_shape))
        if (version := self.version_now(said)) != self._served.version:
            raise self._changed(f"it has version {version}")
        try:
            reference.check_parity("it", found, golden, by_size=self._spec.is_own)
        except ModelMismatch as error:
            raise self._changed(str(error).removeprefix("MODEL_MISMATCH: ")) from None

    def _ask(self, part: np.ndarray, deadline: SharedDeadline) -> tuple[np.ndarray, str]:
        # TensorFlow Serving answers with every output of the signature, and of the others no width is known.
        known = self._golden is not None and self._engine.protocol == "kserve"
        width = self._spec.width if known else MOST_WIDTH
        most = BYTES_BESIDE + len(part) * width * BYTES_OF_A_VALUE
        request = self._server.request(self._values(part), self._served, most)

        def read(answer: Answer) -> tuple[np.ndarray, str]:
            return self._server.read(answer, request, self._served, len(part))

        vectors, version = self._client.ask(request, read, deadline)
        if self._golden is not None and version and version != self._served.version:
            raise self._changed(f"it has version {version}")
        if self._golden is not None and vectors.shape[1] != self._spec.width:
            raise self._changed(f"it gives vectors of {vectors.shape[1]} values")
        return vectors, version

    def _values(self, part: np.ndarray) -> np.ndarray | list[bytes]:
        """part: uint8 [n, height, width, channels]. Returns what is sent: PNGs, or numbers in the server's layout."""
        if self._engine.send == "png":
            from imagefeatures.transforms import as_png

            return [as_png(picture) for picture in part]
        values = reference.scaled(part, self._spec.value_scale) if self._served.datatype == "float32" else part
        return values.transpose(0, 3, 1, 2) if self._served.layout == "nchw" else values

    def _changed(self, what: str) -> ModelMismatch:
        was = f"version {self._served.version}" if self._served.version else "the model"
        return ModelMismatch(
            f"MODEL_MISMATCH: the model server at {self._engine} has changed since {was} was planned: {what}; "
            "start a new run"
        )
