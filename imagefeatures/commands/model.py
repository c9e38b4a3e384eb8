"""`imagefeatures model inspect URI`: what a model's file says of itself, and the lines for a dataset file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from imagefeatures.commands.printing import say
from imagefeatures.errors import ParamsError

if TYPE_CHECKING:
    from imagefeatures.models.own.describe import Candidate, Described
    from imagefeatures.models.own.files import ModelFiles

HELP = "inspect a model's file: where it can be cut, its input, its digest, and the lines for a dataset file"

SHOWN = 30
"""So many candidates are listed, the last ones: features are taken near the end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["inspect"], help="what to do")
    parser.add_argument(
        "uri", metavar="URI",
        help="a file (.onnx, .keras, .h5, .weights.h5, .tflite, or .xml with .bin beside it) or the folder of a "
        "SavedModel: s3://…, file:///… or a path",
    )  # fmt: skip
    parser.add_argument(
        "--architecture", metavar="NAME", help="the backbone whose weights the file holds, for a .weights.h5"
    )
    parser.add_argument("--all", action="store_true", help=f"list every candidate, and not the last {SHOWN}")


def run(parsed: argparse.Namespace) -> int:
    """Print what is found. Raises ModelMismatch when the file cannot be used."""
    from imagefeatures.models import backbones
    from imagefeatures.models.own import declared, files, process
    from imagefeatures.wording import meant

    uri = _uri(parsed.uri)
    if (format := declared.format_of(uri)) is None:
        raise ParamsError(f"URI: {uri} must end in {', '.join(declared.SUFFIXES)} (a SavedModel is a folder)")
    if parsed.architecture and parsed.architecture not in backbones.BACKBONES:
        near = meant(parsed.architecture, list(backbones.BACKBONES))
        raise ParamsError(f"--architecture: there is no backbone {parsed.architecture!r}{near}")
    if format == "weights.h5" and not parsed.architecture:
        raise ParamsError(
            f"--architecture: is required, as a .weights.h5 holds arrays alone; one of {', '.join(backbones.BACKBONES)}"
        )
    read = files.read(uri, format)
    described = process.describe(read, parsed.architecture)
    for line in _lines(read, described, parsed):
        say(line)
    return 0


def _uri(given: str) -> str:
    """A path becomes a file's URI, or a folder's, which ends in a slash."""
    if "://" in given:
        return given
    try:
        path = Path(given).expanduser().absolute()
    except RuntimeError:
        raise ParamsError(f"URI: {given}: there is no such home folder; write the whole path") from None
    return f"file://{path}" + ("/" if path.is_dir() else "")


def _lines(read: ModelFiles, described: Described, parsed: argparse.Namespace) -> Iterator[str]:
    from imagefeatures.models.own.describe import shown

    given, candidates = described.input, described.candidates
    yield f"{read.uri}: {read.format}, {read.size / 1e6:.1f} MB, SHA-256 {read.sha256}"
    yield f"Input: {given.name}, {given.type} {shown(given.shape)}{_layout(given.shape)}"
    listed = candidates if parsed.all else candidates[-SHOWN:]
    of = f"{len(candidates)}" if len(listed) == len(candidates) else f"the last {SHOWN} of {len(candidates)}; --all"
    yield f"Where it can be cut, from the input to the output ({of}):"
    width = max((len(candidate.name) for candidate in listed), default=0)
    for candidate in listed:
        end = "  the model's own output" if candidate.name == described.output else ""
        yield f"  {candidate.name:{width}}  {shown(candidate.shape)}{end}"
    yield "For a dataset file:"
    yield from _yaml(read, described, parsed.architecture)


def _layout(shape: list[int | None]) -> str:
    channels = [layout for layout, axis in (("nhwc", 3), ("nchw", 1)) if len(shape) == 4 and shape[axis] == 3]
    return f" ({channels[0]})" if len(channels) == 1 else ""


def _channels(read: ModelFiles, shape: list[int | None]) -> int | None:
    """How many bands the pictures have, where they are not RGB; None where the input's shape does not say it."""
    from imagefeatures.models.own.declared import OF_KERAS
    from imagefeatures.models.own.describe import RGB
    from imagefeatures.preprocessing.bands import MOST_BANDS

    ends = shape[3:] if read.format in OF_KERAS else shape[1:4:2]
    if len(shape) != 4 or RGB in ends:
        return None
    return min((side for side in ends if side is not None and side <= MOST_BANDS), default=None)


def _yaml(read: ModelFiles, described: Described, architecture: str | None) -> Iterator[str]:
    from imagefeatures.models.own.describe import takes_whole_numbers

    if (channels := _channels(read, described.input.shape)) is not None:
        yield f"  channels: {{count: {channels}, dtype: uint8}}  # or uint16 or float32: as the pictures are stored"
    yield "  model:"
    yield f"    name: {_name(read.uri)}  # as the tables show it"
    yield f"    uri: {read.uri if _is_plain(read.uri) else _in_quotes(read.uri)}"
    yield f'    sha256: "{read.sha256}"'
    if architecture:
        yield f"    architecture: {architecture}"
    cut = suggested(described)
    yield f"    cut: {_quoted(cut.name)}"
    if sum(side != 1 for side in cut.shape[1:]) > 1:
        yield "    pooling: avg  # or max, or flatten"
    if takes_whole_numbers(described.input):
        yield "    normalize: none  # its input is of whole numbers: it takes pixel values as they are"
    elif not architecture:
        yield "    normalize: CHOOSE  # as it was trained: tf, torch, caffe, none or {scale, mean, std, order}"
    sides = described.input.shape[2:] if _layout(described.input.shape) == " (nchw)" else described.input.shape[1:3]
    if None in sides:
        yield "    size: [224, 224]  # height and width as it was trained: the file leaves them open"
    if read.format in ("onnx", "openvino") and not _layout(described.input.shape) and channels is None:
        yield "    layout: nhwc  # or nchw: the file does not say it"


def suggested(described: Described) -> Candidate:
    """The last vector before a classifier: one that is longer than the output. Else the last with sides to pool.

    Where the model's own output is no candidate, the last one stands for it.
    """
    own = (candidate for candidate in described.candidates if candidate.name == described.output)
    output = next(own, described.candidates[-1])
    before = described.candidates[: described.candidates.index(output)]
    longest = output.shape[-1] or 0 if len(output.shape) == 2 else 0
    for candidate in reversed(before):
        if len(candidate.shape) == 2 and (candidate.shape[1] or 0) > longest > 0:
            return candidate
    if longest:
        return next((one for one in reversed(before) if len(one.shape) == 4), output)
    return output


def _name(uri: str) -> str:
    """A name for the tables, from the file's."""
    stem = uri.rstrip("/").rpartition("/")[2].partition(".")[0].lower()
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in stem).strip("_")
    return (letters if letters[:1].isalpha() else f"model_{letters}")[:63]


def _quoted(name: str) -> str:
    """A text of YAML that is this name, whatever signs are in it."""
    plain = name and all(letter.isalnum() or letter in "_/." for letter in name) and not name[0].isdigit()
    return name if plain and _is_plain(name) else _in_quotes(name)


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text as itself: null, on and 1.5 are no texts for it, and " #" begins a comment."""
    import yaml

    try:
        return bool(yaml.safe_load(f"x: {text}") == {"x": text})
    except yaml.YAMLError:
        return False


def _in_quotes(text: str) -> str:
    import yaml

    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return str(yaml.safe_dump(text, default_style='"', width=sys.maxsize)).strip()  # what `say` would escape once more
