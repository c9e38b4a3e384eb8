"""Numbers in the header of a video's bitstream, which begin and end within bytes."""

from __future__ import annotations

_MOST_ZEROS = 32  # before a number whose length says how many bits follow


class Bits:
    """Reads numbers bit by bit. data: what is no longer than a header may be, since each read costs as much as it.

    Its methods raise ValueError behind the last bit.
    """

    def __init__(self, data: bytes) -> None:
        self._left = 8 * len(data)
        self._value = int.from_bytes(data)

    def take(self, count: int) -> int:
        """The number in the next bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("a header of its bitstream is cut")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """The next number in Exp-Golomb code: the number + 1 behind as many zeros as it has bits after its first."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _MOST_ZEROS:
                raise ValueError("a number in a header of its bitstream has no end")
        return (1 << zeros) - 1 + self.take(zeros)
