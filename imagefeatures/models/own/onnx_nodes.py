"""What an ONNX node asks for that OpenVINO passes over without a word: its numbers would be another computation's."""

from __future__ import annotations

from imagefeatures.models.own.protobuf import fields, messages, text
from imagefeatures.reasons import printable

MOST_NAME = 100
"""So many characters of a node's name are shown."""

SIZES = 3
"""The place of the input of Resize that says sizes; without it they follow from scales, and no policy counts."""


def unheard(node: memoryview) -> str | None:
    """What is wrong, in one line without the file's name; None where OpenVINO computes what the node says.

    node: an ONNX NodeProto. Raises Malformed.
    """
    operation = "".join(map(text, messages(node, 4)))
    domain = "".join(map(text, messages(node, 7)))
    if operation != "Resize" or domain not in ("", "ai.onnx"):
        return None
    said = dict(_attribute(one) for one in messages(node, 5))
    inputs = [text(one) for one in messages(node, 1)]
    name = printable("".join(map(text, messages(node, 3))))[:MOST_NAME]
    for key, value, counts in (
        ("antialias", 0, said.get("mode") in ("linear", "cubic")),
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
