"""The fields of a protobuf message, without the libraries that run models: what they would do with a file is known
only after it is parsed, and this is about what must not reach them."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no protobuf message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The number and value of each field, in their order: a whole number, or the bytes of a text or of a message.

    Raises Malformed where the bytes end early, or are none.

    >>> [(number, value if isinstance(value, int) else bytes(value)) for number, value in fields(memoryview(
    ...     bytes([0x08, 0x96, 0x01, 0x12, 0x02]) + b"hi"))]
    [(1, 150), (2, b'hi')]
    """
    at = 0
    while at < len(message):
        key, at = varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = varint(message, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise Malformed(f"a field of kind {kind}")
        if size > len(message) - at:
            raise Malformed("it ends in the middle of a field")
        yield number, message[at : at + size]
        at += size


def messages(message: memoryview, *path: int) -> Iterator[memoryview]:
    """The messages and texts that a path of field numbers leads to, each inside the one before."""
    if not path:
        yield message
        return
    for number, value in fields(message):
        if number == path[0] and not isinstance(value, int):
            yield from messages(value, *path[1:])


def text(message: memoryview) -> str:
    return bytes(message).decode(errors="replace")


def varint(message: memoryview, at: int) -> tuple[int, int]:
    """The whole number that begins there, and where the next value begins. Raises Malformed."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise Malformed("it ends in the middle of a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise Malformed("a number of more than 64 bits")
