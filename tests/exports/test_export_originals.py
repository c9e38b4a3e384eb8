"""exports with `--originals`: the images themselves, read again and held to their digest."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from imagefeatures import cli
from imagefeatures.errors import DatasetError
from imagefeatures.exports import export
from imagefeatures.exports.originals import Originals
from imagefeatures.settings import Settings
from support.hostile_http import Site, response, site
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


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("IMAGEFEATURES_HTTP_ALLOW", "127.0.0.1")
    with site("127.0.0.1") as made:
        yield made


def dataset_file(settings: Settings, http: str) -> None:
    text = f"name: photos\nsource: {{kind: uri_list, uri: s3://lists/all.txt, http: {http}}}\n"
    (settings.datasets / "photos.yaml").write_text(text)


@pytest.mark.parametrize(
    ("http", "left_out", "why"),
    [
        (None, 0, ""),  # without a file as with one that says nothing
        ("{}", 0, ""),
        ("{robots_txt: true}", 2, "the robots.txt of 127.0.0.1 disallows it"),
        ("{opt_out: [noindex]}", 2, "noindex"),
    ],
)
def test_hosts_are_asked_as_the_file_of_the_dataset_says(
    settings: Settings, tmp_path: Path, host: Site, http: str | None, left_out: int, why: str
) -> None:
    data = [an_image(number, "PNG") for number in range(2)]
    host.behaviours["/robots.txt"] = response(body=b"User-agent: *\nDisallow: /\n")
    for number in range(2):
        host.behaviours[f"/{number}"] = response(body=data[number], headers={"X-Robots-Tag": "noindex"})
        image_id = hashlib.sha256(data[number]).hexdigest()
        row = rows_of([number], f"p{number}", uri=host.url(f"/{number}"), image_id=image_id, size=len(data[number]))
        publish(settings, tmp_path, [row], f"p{number}")
    if http is not None:
        dataset_file(settings, http)
    ready = export.prepare(settings, export.Request("photos", str(tmp_path / "out.tar"), what="pixels", originals=True))
    ready.write()
    assert [found for name, found in members(tmp_path / "out.tar").items() if name.endswith(".png")] == data[left_out:]
    assert ready.content.originals.left_out == left_out
    assert all(why in line for line in ready.content.originals.named)


def test_a_host_that_asks_to_be_left_alone_is_left_alone_by_the_next_batch(settings: Settings, host: Site) -> None:
    host.behaviours |= {f"/{number}": response(429, headers={"Retry-After": "3600"}) for number in range(2)}
    dataset_file(settings, "{deadline_seconds: 1}")
    originals = Originals.of_dataset(settings, "photos")
    for number in range(2):
        rows = rows_of([number], uri=host.url(f"/{number}")).combine_chunks().to_batches()[0]
        assert list(originals.of(rows)) == [None]
    assert [request.target for request in host.requests] == ["/0"]
    assert originals.named[1].startswith(f"{host.url('/1')}: not asked for: 127.0.0.1 answered HTTP 429 and asks for ")
    assert originals.uncounted().left_out == 0


def test_a_public_bucket_is_read_as_one_and_a_wrong_file_is_told(settings: Settings) -> None:
    path = settings.datasets / "photos.yaml"
    path.write_text("name: photos\nsource: {kind: folder, uri: s3://photos/, anonymous: true}\n")
    access = Originals.of_dataset(settings, "photos").source.access
    assert access is not None
    assert access.anonymous
    path.write_text("name: photos\nsource: {kind: folder, uri: s3://photos/, anonymus: true}\n")
    with pytest.raises(DatasetError, match=r"^photos\.yaml: source\.\S*anonymus"):
        Originals.of_dataset(settings, "photos")
