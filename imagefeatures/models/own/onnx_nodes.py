"""What an ONNX node asks for that OpenVINO passes over without a word: its numbers would be another computation's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from imagefeatures.errors import ModelMismatch
from imagefeatures.models.own.protobuf import fields, messages, text
from imagefeatures.reasons import printable

MOST_NAME = 100
"""So many characters of a node's name are shown."""

SIZES = 3
"""The place of the input of Resize that says sizes; without it they follow from scales, and no policy counts."""


def check(model: memoryview, cut: Collection[str], enlarge: Collection[str]) -> None:
    """Refuse what would make other numbers of the vectors. What the cut does not need is not computed, and passes.

    model: an ONNX ModelProto, whose graphs are not nested too deeply. cut: the names of the output that gives the
    vectors. enlarge: of the outputs whose sides are all at least as long as those of their inputs. Raises
    ModelMismatch, without the file's name.
    """
    # Any node may call a function, and the names inside are the function's own.
    needed, of_functions = _needed(list(messages(model, 7, 1)), cut), messages(model, 25, 7)
    for nodes, enlarged in ((needed, enlarge), (of_functions, ())):
        for node in (inner for outer in nodes for inner in _with_inner(outer)):
            if said := _unheard(node, enlarged):
                raise ModelMismatch(said)


def _needed(nodes: Sequence[memoryview], cut: Collection[str]) -> list[memoryview]:
    """The nodes that give the cut, the last one first; all where none of them does. ONNX has nodes in their order."""
    needed: list[memoryview] = []
    wanted = set(cut)
    for node in reversed(nodes):
        if wanted.intersection(map(text, messages(node, 2))):
            needed.append(node)
            wanted.update(text(name) for inner in _with_inner(node) for name in messages(inner, 1))
            # A branch may give what a node outside has made.
            wanted.update(text(name) for graph in _graphs(node) for name in messages(graph, 12, 1))
    return needed or list(nodes)


def _with_inner(node: memoryview) -> Iterator[memoryview]:
    """The node, and those of the graphs in it."""
    yield node
    for graph in _graphs(node):
        for inner in messages(graph, 1):
            yield from _with_inner(inner)


def _graphs(node: memoryview) -> Iterator[memoryview]:
    for attribute in messages(node, 5):
        yield from messages(attribute, 6)
        yield from messages(attribute, 11)


def _unheard(node: memoryview, enlarge: Collection[str]) -> str | None:
    """What is wrong, in one line without the file's name; None where OpenVINO computes what the node says.

    node: an ONNX NodeProto. Raises Malformed.
    """
    operation = "".join(map(text, messages(node, 4)))
    domain = "".join(map(text, messages(node, 7)))
    if operation != "Resize" or domain not in ("", "ai.onnx"):
        return None
    said = dict(_attribute(one) for one in messages(node, 5))
    inputs, outputs = ([text(one) for one in messages(node, number)] for number in (1, 2))
    name = printable("".join(map(text, messages(node, 3))))[:MOST_NAME]
    shrinks = not set(outputs) <= set(enlarge)
    for key, value, counts in (
        ("antialias", 0, said.get("mode") in ("linear", "cubic") and shrinks),
        ("exclude_outside", 0, said.get("mode") == "cubic"),
        ("keep_aspect_ratio_policy", "stretch", len(inputs) > SIZES and inputs[SIZES] != ""),
    ):
        if counts and said.get(key, value) != value:
            return (
                f"its Resize {name!r} has {key} {printable(str(said[key]))[:MOST_NAME]}, which OpenVINO passes over; "
                "export the model without it"
            )
    return None


def _attribute(attribute: memoryview) -> tuple[str, int | str]:
    """The name of an AttributeProto, and its whole number or text; 0 for others."""
    name, value = "", 0  # type: str, int | str
    for number, found in fields(attribute):
        if number == 1 and not isinstance(found, int):
            name = text(found)
        elif number == 3 and isinstance(found, int):
            value = found
        elif number == 4 and not isinstance(found, int):
            value = text(found)
    return name, value
