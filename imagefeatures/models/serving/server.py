"""The model of a server, as both protocols describe it, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote

import numpy as np

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.serving.client import Answer, Request
from imagefeatures.models.serving.declared import ServedEngine
from imagefeatures.models.spec import Served
from imagefeatures.reasons import printable
from imagefeatures.settings import serving_token

BYTES_OF_A_VALUE = 32
"""The most bytes that a number of a vector may take in an answer: those of a float64 in JSON, and its comma."""

BYTES_BESIDE = 64 * 1024
"""The most bytes of an answer besides its numbers."""

MOST_WIDTH = 65_536
"""The longest vector."""


@dataclass(frozen=True)
class About:
    """What a server says of its model. Empty, or None, where it does not say.

    version: several that are served at a time stand in one text. shape: of the input, without the batch; None for a
    side that is open.
    """

    version: str = ""
    input: str = ""
    datatype: str = ""
    shape: tuple[int | None, ...] | None = None
    output: str = ""


class Server(Protocol):
    """One of the two protocols, spoken to one server."""

    def about(self) -> About:
        """Raises ServingRefused where the server has no such model, input or output."""
        ...

    def version(self) -> str:
        """The version that answers now; empty where the server does not say. Raises as `Client.ask`."""
        ...

    def ready(self) -> bool:
        """Whether the server has the model now. Raises Transient when it does not answer."""
        ...

    def request(self, values: np.ndarray | list[bytes], served: Served, most: int) -> Request:
        """values: [n, …], in the datatype and layout of `served`; or n PNGs. most: bytes of the answer."""
        ...

    def read(self, answer: Answer, asked: Request, served: Served, count: int) -> tuple[np.ndarray, str]:
        """The vectors of the answer to `asked`, float32 [count, width], and the version that computed them, if it says.

        Raises Transient for a damaged answer, ModelMismatch for one that holds no vectors.
        """
        ...


def path_of(engine: ServedEngine, root: str) -> str:
    """The path of the model. root: v1 or v2."""
    version = f"/versions/{quote(engine.version, safe='')}" if engine.version else ""
    return f"/{root}/models/{quote(engine.model, safe='')}{version}"


def as_vectors(engine: ServedEngine, values: np.ndarray, count: int) -> np.ndarray:
    """values: [count, width], with sides of 1 anywhere after the first. Returns float32 [count, width].

    Raises ModelMismatch for anything else.
    """
    sides = [side for side in values.shape[1:] if side != 1]
    if values.shape[:1] != (count,) or len(sides) != 1 or sides[0] > MOST_WIDTH:
        raise ModelMismatch(
            f"engine: the model server at {engine} gives an output of shape {list(values.shape)[:8]} for {count} "
            f"pictures, and not one vector of 2 to {MOST_WIDTH} values for each; engine.cut names another output"
        )
    with np.errstate(over="ignore"):  # what float32 does not hold becomes infinity, and the picture is rejected
        return np.ascontiguousarray(values.reshape(count, sides[0]), dtype=np.float32)


def chosen(engine: ServedEngine, field: str, wanted: str | None, names: list[str]) -> str:
    """The name of the input or the output that is used. field: of the engine, for the error. names: the server's.

    Raises ModelMismatch where it is not there, or where one has to be chosen.
    """
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted in names or not names:
        return wanted or ""
    what = f"there is no {wanted}" if wanted else "one has to be chosen"
    there = printable(", ".join(names))
    if token := serving_token():  # a server may send back whatever it was sent
        there = there.replace(token, "…")
    raise ModelMismatch(f"engine.{field}: {what}; the model server at {engine} has {there}")
