"""JSON with its own digest: believed as it was written, and in no other form."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pytest

from imagefeatures import sealed
from imagefeatures.errors import AuditFailed

URI = "file:///lake/a.json"
CONTENT: dict[str, Any] = {"files": [["s3://b/é", 3]], "facts": {"b": 1, "a": None}}


def test_what_was_written_is_read_back_whatever_the_order_of_its_keys() -> None:
    data = sealed.encode(CONTENT)
    assert sealed.decode(URI, data) == CONTENT
    other_order = dict(reversed(json.loads(data).items()))
    assert list(other_order)[-1] == sealed.SEAL, "as earlier versions wrote it"
    assert sealed.decode(URI, json.dumps(other_order).encode()) == CONTENT
    assert sealed.decode(URI, json.dumps(json.loads(data), indent=1).encode()) == CONTENT
    assert len(json.loads(data)[sealed.SEAL]) == 64


DAMAGED = {
    "nothing": b"",
    "no JSON": b"{",
    "no text": b"\xff",
    "a list": b"[1]",
    "a word": b'"word"',
    "a number": b"7",
    "no seal": b'{"files": []}',
    "another seal": json.dumps({"files": [], sealed.SEAL: "0" * 64}).encode(),
    "another content": sealed.encode(CONTENT).replace(b"3", b"4"),
    "a field more": json.dumps({**json.loads(sealed.encode(CONTENT)), "more": 1}).encode(),
    "too deep": b"[" * 200_000,
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_anything_else_is_refused_with_its_name(data: bytes) -> None:
    line = f"{URI}: its {len(data):,} bytes are not what this version wrote; start a new run"
    with pytest.raises(AuditFailed) as refused:
        sealed.decode(URI, data)
    assert str(refused.value) == line


@pytest.mark.parametrize(
    "data",
    [b"", b"no Parquet", b"PAR1" + bytes(20) + b"\x10\0\0\0PAR1"],
    ids=["nothing", "no Parquet", "Parquet with a footer of zeros"],
)
def test_a_text_of_other_bytes_than_a_tables_is_refused_as_a_wrong_value(data: bytes) -> None:
    with pytest.raises(ValueError):
        sealed.table_of_text(base64.b64encode(data).decode(), pa.schema([pa.field("name", pa.string())]))
