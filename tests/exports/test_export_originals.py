"""exports with `--originals`: the images themselves, read again and held to their digest."""

from __future__ import annotations

import hashlib
import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from imagefeatures import cli
from imagefeatures.exports import export
from imagefeatures.settings import Settings
from support.pixel_tables import pictures, publish, rows_of


def an_image(number: int, kind: str) -> bytes:
    out = BytesIO()
    Image.fromarray(pictures([number])[0]).save(out, kind)
    return out.getvalue()


@pytest.fixture
def images(settings: Settings, tmp_path: Path) -> dict[str, bytes]:
    """The bytes of six images by URI: published as pixels, in order of URI; names and formats do not fit."""
    kinds = ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"]
    there = {}
    folder = tmp_path / "photos ü #1"
    folder.mkdir()
    for number, kind in enumerate(kinds):
        path = folder / f"{number} 100%.jpg"
        path.write_bytes(an_image(number, kind))
        there[f"file://{path}"] = path.read_bytes()
    rows = rows_of(range(len(kinds)))
    new = {
        "uri": list(there),
        "image_id": [hashlib.sha256(data).hexdigest() for data in there.values()],
        "size": [len(data) for data in there.values()],
    }
    for name, values in new.items():
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), [values])
    publish(settings, tmp_path, [rows])
    return there


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_each_image_has_its_own_bytes_and_the_suffix_of_its_format(images: dict[str, bytes], tmp_path: Path) -> None:
    target = tmp_path / "out.tar"
    assert cli.main(["export", "photos", "--to", str(target), "--what", "pixels", "--originals"]) == 0
    found = members(target)
    suffixes = ["jpg", "png", "tiff", "webp", "gif", "bmp"]
    for number, (suffix, (uri, data)) in enumerate(zip(suffixes, images.items(), strict=True)):
        assert found[f"{number:09d}.{suffix}"] == data
        facts = json.loads(found[f"{number:09d}.json"])
        assert (facts["uri"], facts["size"]) == (uri, len(data))
    assert len(found) == 3 * len(images)


def test_what_has_changed_or_is_gone_is_left_out_named_and_counted(
    images: dict[str, bytes], settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [Path(uri.removeprefix("file://")) for uri in images]
    changed = bytearray(paths[1].read_bytes())
    changed[-1] ^= 1
    paths[1].write_bytes(changed)
    paths[2].unlink()
    paths[3].write_bytes(paths[3].read_bytes() + b"longer than any of them" * 1000)
    target = tmp_path / "out.tar"
    assert cli.main(["export", "photos", "--to", str(target), "--what", "pixels", "--originals"]) == 0
    assert sorted(name for name in members(target) if name.endswith(".json")) == [
        f"{number:09d}.json" for number in (0, 4, 5)
    ]
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "left out: 3 images that cannot be read again as they were"
    assert said[2:5] == [
        f"  file://{paths[1]}: it has other bytes than those that the run has read",
        f"  file://{paths[2]}: there is no such object",
        f"  file://{paths[3]}: it has other bytes than those that the run has read",
    ]


def test_an_image_in_an_archive_has_no_object_of_its_own(settings: Settings, tmp_path: Path) -> None:
    uris = [f"file://{tmp_path}/a.tar#red/1.jpg", "gopher://x/1.jpg"]
    for number, uri in enumerate(uris):
        publish(settings, tmp_path, [rows_of([number], f"p{number}", uri=uri)], f"p{number}")
    target = tmp_path / "out.tar"
    ready = export.prepare(settings, export.Request("photos", str(target), what="pixels", originals=True))
    ready.write()
    assert members(target) == {}
    assert ready.content.originals.left_out == 2
    assert ready.content.originals.named[1].startswith("gopher://x/1.jpg: it does not begin with")
