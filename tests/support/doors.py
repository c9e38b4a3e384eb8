"""Sources of every kind but a folder, filled with images that pass, images that do not, and what is passed over."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imagefeatures import storage
from support.photos import jpeg

GOOD = [jpeg(at) for at in range(7)]
BAD = {"text": b"no picture", "empty": b""}


@dataclass
class Door:
    """A source of the partition PARTITION, and what a run must make of it.

    good: (key, label) of each URI that gets features. rejected: the reason of each that does not. passed: the counts
    of what is passed over.
    """

    source: dict[str, Any]
    good: dict[str, tuple[str | None, str | None]]
    rejected: dict[str, str]
    passed: dict[str, int] = field(default_factory=dict)


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    """A Parquet file. columns: name: values, or an Arrow array."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def photos(base: str) -> dict[str, str]:
    """Write GOOD and BAD below a URI. Returns the URI of each name."""
    files = {f"photo {number}.jpg": data for number, data in enumerate(GOOD)} | BAD
    for name, data in files.items():
        storage.write(f"{base}/far/red/{name}", data)
    return {name: f"{base}/far/red/{name}" for name in files}


def uri_list_of_lines(base: str) -> Door:
    uris = photos(base)
    lines = [
        "# photos of the day", *uris.values(), "", "   ", uris["photo 2.jpg"], f"  {uris['photo 3.jpg']}\r",
        "ftp://host/1.jpg", f"{base}/far/gone.jpg",
    ]  # fmt: skip
    storage.write(f"{base}/2026-11-02.txt", "\n".join(lines).encode())
    good = {uris[f"photo {number}.jpg"]: (None, "red") for number in range(len(GOOD))}
    rejected = {
        uris["text"]: "UNSUPPORTED_FORMAT", uris["empty"]: "EMPTY_OBJECT", "ftp://host/1.jpg": "UNSUPPORTED_URL",
        f"{base}/far/gone.jpg": "NOT_FOUND",
    }  # fmt: skip
    return Door({"kind": "uri_list", "uri": f"{base}/{{partition}}.txt"}, good, rejected, {"repeated": 2})


def uri_list_of_columns(base: str) -> Door:
    uris = photos(base)
    places = [*uris.values(), None, " "]
    columns = {
        "number": list(range(len(places))), "place": places, "kind": ["fig", None] * 5 + ["pear"],
        "noise": ["x"] * len(places),
    }  # fmt: skip
    storage.write(f"{base}/2026-11-02/part-0.parquet", parquet(columns, row_group_size=3))
    storage.write(f"{base}/2026-11-02/_SUCCESS", b"")
    storage.write(f"{base}/2026-11-02/notes.md", b"#")
    list_uri = f"{base}/2026-11-02/part-0.parquet"
    good = {uris[f"photo {number}.jpg"]: (str(number), None if number % 2 else "fig") for number in range(len(GOOD))}
    rejected = {
        uris["text"]: "UNSUPPORTED_FORMAT", uris["empty"]: "EMPTY_OBJECT", f"{list_uri}#9": "UNSUPPORTED_URL",
        f"{list_uri}#10": "UNSUPPORTED_URL",
    }  # fmt: skip
    source = {
        "kind": "uri_list", "uri": f"{base}/{{partition}}/", "column": "place", "key": "number",
        "label": {"column": "kind"},
    }  # fmt: skip
    return Door(source, good, rejected, {"default_excludes": 1, "pattern": 1})


def table_of(base: str, ending: str) -> Door:
    """A table with columns that nobody asks for, whose partition is a folder with one file of this ending."""
    uris = photos(base)
    places = [*uris.values(), None, uris["photo 1.jpg"], "gopher://host/1"]
    count = len(places)
    columns: dict[str, list[Any]] = {
        "noise": [f"a, \"b\"\n{number}" for number in range(count)], "photo": places,
        "id": [f"k{number // 2}" for number in range(count)], "kind": ["fig", None] * (count // 2), "n": [0.5] * count,
    }  # fmt: skip
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    data = {
        ".parquet": lambda: parquet(columns, row_group_size=3),
        ".csv": lambda: as_csv(rows).encode(),
        ".jsonl": lambda: "\n".join(map(json.dumps, rows)).encode(),
    }[ending]()
    file = f"{base}/2026-11-02/rows{ending}"
    storage.write(file, data)
    good: dict[str, tuple[str | None, str | None]] = {
        uris[f"photo {number}.jpg"]: (f"k{number // 2}", None if number % 2 else "fig") for number in range(len(GOOD))
    }
    rejected = {
        uris["text"]: "UNSUPPORTED_FORMAT", uris["empty"]: "EMPTY_OBJECT", f"{file}#9": "UNSUPPORTED_URL",
        "gopher://host/1": "UNSUPPORTED_URL",
    }  # fmt: skip
    source = {
        "kind": "url_table", "table": f"{base}/{{partition}}/", "url": "photo", "key": "id",
        "label": {"column": "kind"},
    }  # fmt: skip
    return Door(source, good, rejected, {"repeated": 1})


def as_csv(rows: list[dict[str, Any]]) -> str:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue()


def table_of_parquet(base: str) -> Door:
    return table_of(base, ".parquet")


def table_of_csv(base: str) -> Door:
    return table_of(base, ".csv")


def table_of_json_lines(base: str) -> Door:
    return table_of(base, ".jsonl")


def parquet_of_bytes(base: str) -> Door:
    images = [*GOOD, BAD["text"], BAD["empty"], None]
    columns = {
        "id": [f"k{number}" for number in range(len(images))], "photo": images,
        "kind": [None if number % 2 else "fig" for number in range(len(images))],
    }  # fmt: skip
    storage.write(f"{base}/2026-11-02/part-0.parquet", parquet(columns, row_group_size=3))
    storage.write(f"{base}/2026-11-02/part-1.parquet", parquet({"id": ["one"], "photo": [jpeg(9)], "kind": ["pear"]}))
    storage.write(f"{base}/2026-11-02/part-2.parquet", b"PAR1 this is none PAR1")
    storage.write(f"{base}/2026-11-02/_SUCCESS", b"")
    parts = [f"{base}/2026-11-02/part-{number}.parquet" for number in range(3)]
    good: dict[str, tuple[str | None, str | None]] = {
        f"{parts[0]}#{number}": (f"k{number}", None if number % 2 else "fig") for number in range(len(GOOD))
    }
    good[f"{parts[1]}#0"] = ("one", "pear")
    rejected = {
        f"{parts[0]}#7": "UNSUPPORTED_FORMAT", f"{parts[0]}#8": "EMPTY_OBJECT", f"{parts[0]}#9": "EMPTY_OBJECT",
        parts[2]: "CORRUPT",
    }  # fmt: skip
    source = {
        "kind": "parquet_bytes", "uri": f"{base}/{{partition}}", "column": "photo", "key": "id",
        "label": {"column": "kind"},
    }  # fmt: skip
    return Door(source, good, rejected, {"default_excludes": 1})


def parquet_of_structs(base: str) -> Door:
    """As Hugging Face's datasets write a column of images and one of labels: a file of ten images."""
    images = [{"bytes": data, "path": f"{number}.jpg"} for number, data in enumerate(GOOD)]
    images += [{"bytes": None, "path": "far.jpg"}, {"bytes": BAD["text"], "path": None}]
    names = {"info": {"features": {"label": {"names": ["apple", "pear"], "_type": "ClassLabel"}}}}
    labels = [number % 2 for number in range(len(images) + 1)]
    table = pa.table({"image": [*images, None], "label": labels})
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), sink)
    file = f"{base}/train-2026-11-02.parquet"
    storage.write(file, sink.getvalue())
    good: dict[str, tuple[str | None, str | None]] = {
        f"{file}#{number}": (None, "pear" if number % 2 else "apple") for number in range(len(GOOD))
    }
    rejected = {f"{file}#7": "EMPTY_OBJECT", f"{file}#8": "UNSUPPORTED_FORMAT", f"{file}#9": "EMPTY_OBJECT"}
    source = {"kind": "parquet_bytes", "uri": f"{base}/train-{{partition}}.parquet", "label": {"column": "label"}}
    return Door(source, good, rejected)


def tar(files: list[tuple[str, bytes]]) -> bytes:
    """A tar archive of files, in this order."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def tar_shards(base: str) -> Door:
    """WebDataset's naming, with labels before and after the image; a second archive that breaks off."""
    files: list[tuple[str, bytes]] = []
    for number, data in enumerate(GOOD):
        label = [(f"day/{number:04d}.json", json.dumps({"kind": ["fig", None][number % 2]}).encode())]
        image = [(f"day/{number:04d}.jpg", data)]
        files += label + image if number < 4 else image + label
    files += [("day/bad.JPG", BAD["text"]), ("day/empty.png", b""), ("day/0001.jpg", GOOD[0]), ("notes.txt", b"x")]
    whole, cut = f"{base}/2026-11-02/0.tar", f"{base}/2026-11-02/1.tar"
    storage.write(whole, tar(files))
    three = tar([("a.jpg", jpeg(8)), ("b.jpg", jpeg(9)), ("c.jpg", jpeg(10))])
    storage.write(cut, three[: three.index(jpeg(10)) + 100])
    storage.write(f"{base}/2026-11-02/readme", b"")
    good: dict[str, tuple[str | None, str | None]] = {
        f"{whole}#day/{number:04d}.jpg": (f"day/{number:04d}", None if number % 2 else "fig") for number in range(7)
    }
    good |= {f"{cut}#a.jpg": ("a", None), f"{cut}#b.jpg": ("b", None)}
    rejected = {f"{whole}#day/bad.JPG": "UNSUPPORTED_FORMAT", f"{whole}#day/empty.png": "EMPTY_OBJECT", cut: "CORRUPT"}
    source = {"kind": "tar", "uri": f"{base}/{{partition}}/", "label": {"member": "json", "field": "kind"}}
    return Door(source, good, rejected, {"pattern": 9, "repeated": 1})


DOORS: dict[str, Callable[[str], Door]] = {
    builder.__name__: builder
    for builder in (
        uri_list_of_lines,
        uri_list_of_columns,
        table_of_parquet,
        table_of_csv,
        table_of_json_lines,
        parquet_of_bytes,
        parquet_of_structs,
        tar_shards,
    )
}
"""Builders of a Door below a URI, by name."""
