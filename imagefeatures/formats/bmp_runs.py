"""BMP: the runs of RLE4 and RLE8, followed to see that every pixel gets a colour."""

from __future__ import annotations

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

_END_OF_ROW, _JUMP = 0, 2  # 1 is the end


def check_runs(data: bytes, start: int, size: tuple[int, int], four_bits: bool) -> None:
    """Check that the runs fill each row, and no more. start: of the first. size: width and height.

    A file may leave pixels out, and says of none what colour it has then. The decoder mistakes an empty row for the end
    of the one before. Runs of one colour may fill a row up to a multiple of four bytes, as ImageMagick writes them:
    decoders leave those pixels out. Raises Rejected (UNSUPPORTED_MODE, CORRUPT); nothing where the data end early,
    which the decoder reports.
    """
    width, height = size
    if height < 0:
        raise Rejected(Reason.CORRUPT, "BMP with runs and rows from the top, which exclude each other")
    if start % 2:
        raise Rejected(Reason.UNSUPPORTED_MODE, "a BMP whose runs begin at an odd byte is not read")
    filled = -(-width // (8 if four_bits else 4)) * (8 if four_bits else 4)
    position, column, row = start, 0, 0
    while row < height and position + 2 <= len(data):
        count, value = data[position], data[position + 1]
        position += 2
        most = filled if count else width
        if count == 0 and value > _JUMP:  # so many pixels as they are, up to a whole word
            count = value
            length = (count + 1) // 2 if four_bits else count
            position += length + length % 2
        if count:
            column += count
            if column > most:
                raise Rejected(Reason.CORRUPT, f"BMP with a run beyond the end of row {row:,}")
        elif value == _JUMP or column < width:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"a BMP that leaves out pixels of row {row:,} is not read")
        elif value == _END_OF_ROW:
            column, row = 0, row + 1
        elif row < height - 1:
            raise Rejected(Reason.UNSUPPORTED_MODE, f"a BMP that leaves out the rows from {row + 1:,} on is not read")
        else:
            return
