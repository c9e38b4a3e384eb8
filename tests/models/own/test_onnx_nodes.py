"""What a node of an ONNX file asks for that OpenVINO passes over."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own import onnx_nodes
from imagefeatures.models.own.graph import Graph
from support.model_files import field, tensor, value


def resize(mode: str, inputs: str, **attributes: int | str) -> bytes:
    """An ONNX node of this mode. inputs: a letter for each, a space for one that is left out."""
    said: dict[str, int | str] = {"mode": mode, **attributes}
    numbered = {name: (3, 2) if isinstance(value, int) else (4, 3) for name, value in said.items()}
    return (
        b"".join(field(1, one.strip()) for one in inputs)
        + field(2, "y")
        + field(3, "/up")
        + field(4, "Resize")
        + b"".join(
            field(5, field(1, name) + field(at, said[name]) + field(20, type)) for name, (at, type) in numbered.items()
        )
    )


@pytest.mark.parametrize(
    ("mode", "inputs", "attributes", "why"),
    [
        ("linear", "x s", {}, ""),
        ("linear", "x s", {"antialias": 0}, ""),
        ("linear", "x s", {"antialias": 1}, "its Resize '/up' has antialias 1, which OpenVINO passes over; export the"),
        ("cubic", "x  z", {"antialias": 1}, "its Resize '/up' has antialias 1"),
        ("nearest", "x s", {"antialias": 1}, ""),
        ("cubic", "x s", {"exclude_outside": 1}, "its Resize '/up' has exclude_outside 1"),
        ("cubic", "x s", {"exclude_outside": 0, "cubic_coeff_a": 0}, ""),
        ("linear", "x s", {"exclude_outside": 1}, ""),
        (
            "nearest",
            "x  z",
            {"keep_aspect_ratio_policy": "not_larger"},
            "its Resize '/up' has keep_aspect_ratio_policy",
        ),
        ("nearest", "x  z", {"keep_aspect_ratio_policy": "stretch"}, ""),
        ("nearest", "x s", {"keep_aspect_ratio_policy": "not_larger"}, ""),
        ("nearest", "x s ", {"keep_aspect_ratio_policy": "not_larger"}, ""),
    ],
)
def test_what_openvino_passes_over_is_refused_wherever_it_stands(
    mode: str, inputs: str, attributes: dict[str, int | str], why: str
) -> None:
    node = resize(mode, inputs, **attributes)
    branch = field(2, "z") + field(4, "If") + field(5, field(1, "then_branch") + field(6, field(1, node)))
    whole = (
        (field(7, field(1, node)), "y"),
        (field(7, field(1, branch)), "z"),
        (field(7, field(2, "g")) + field(25, field(7, node)), "y"),
        (field(7, field(1, node)), "a name of OpenVINO's own"),
    )
    for data, cut in whole:
        if why:
            with pytest.raises(ModelMismatch, match="^" + re.escape(why)):
                onnx_nodes.check(memoryview(data), {cut}, ())
        else:
            onnx_nodes.check(memoryview(data), {cut}, ())
    onnx_nodes.check(memoryview(field(7, field(1, node + field(7, "com.example")))), {"y"}, ())


def test_only_what_the_cut_needs_counts() -> None:
    """A node behind it, or beside it, is never computed; one whose output a branch takes from outside is."""
    asks = resize("linear", "x s", antialias=1)
    after = field(1, "y") + field(2, "z") + field(4, "Relu")
    graph = field(1, field(1, "x") + field(2, "early") + field(4, "Relu")) + field(1, asks) + field(1, after)
    takes = field(4, "Identity") + field(1, "y") + field(2, "inner")
    for inner in (field(1, takes), field(12, field(1, "y"))):
        graph += field(
            1, field(2, f"if{len(inner)}") + field(4, "If") + field(5, field(1, "else_branch") + field(6, inner))
        )
        with pytest.raises(ModelMismatch, match="antialias"):
            onnx_nodes.check(memoryview(field(7, graph)), {f"if{len(inner)}"}, ())
    onnx_nodes.check(memoryview(field(7, graph)), {"early"}, ())
    for name in ("y", "z"):
        with pytest.raises(ModelMismatch, match="antialias"):
            onnx_nodes.check(memoryview(field(7, graph)), {name}, ())


def resizing(sides: tuple[int, int], **attributes: int | str) -> bytes:
    """An ONNX model of pictures of 8 × 8: /early, /up to these sides, and /late, which takes it."""
    size = np.array([1, 3, *sides])
    graph = field(1, field(1, "image") + field(2, "x") + field(3, "/early") + field(4, "Relu"))
    graph += field(1, resize("linear", "x  s", **attributes))
    graph += field(1, field(1, "y") + field(2, "z") + field(3, "/late") + field(4, "Sigmoid"))
    graph += field(2, "g") + field(5, tensor("s", size))
    graph += field(11, value("image", [None, 3, 8, 8])) + field(12, value("z", [None, 3, *sides]))
    return field(1, 8) + field(7, graph) + field(8, field(2, 18))


@pytest.mark.parametrize(
    ("sides", "attributes", "cut", "is_taken"),
    [
        ((4, 4), {}, "/late", True),
        ((4, 4), {"antialias": 1}, "/late", False),
        ((4, 4), {"antialias": 1}, "/early", True),
        ((16, 4), {"antialias": 1}, "/late", False),
        ((16, 8), {"antialias": 1}, "/late", True),
        ((16, 8), {"keep_aspect_ratio_policy": "not_larger"}, "/late", False),
        ((16, 8), {"keep_aspect_ratio_policy": "not_larger"}, "/early", True),
    ],
)
def test_a_model_is_taken_where_the_vectors_are_those_that_it_says(
    tmp_path: Path, sides: tuple[int, int], attributes: dict[str, int | str], cut: str, is_taken: bool
) -> None:
    """antialias blurs only what becomes smaller."""
    (tmp_path / "model.onnx").write_bytes(resizing(sides, **attributes))
    graph = Graph(tmp_path / "model.onnx", "onnx")
    if is_taken:
        assert graph.cut(cut, (8, 8, 3), "nchw").output(0).shape[2:] == ([8, 8] if cut == "/early" else [*sides])
    else:
        with pytest.raises(ModelMismatch, match=f"^its Resize '/up' has {next(iter(attributes))} "):
            graph.cut(cut, (8, 8, 3), "nchw")
