"""Small images for the tests: drawn by integer arithmetic, encoded by Pillow, the same in every run."""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageCms

ENCODINGS = {
    "jpeg": ("JPEG", {"quality": 90}),
    "progressive jpeg": ("JPEG", {"quality": 90, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "lzw tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "heic": ("HEIC", {"quality": 90}),
    "heic of tiles": ("HEIC", {"quality": 90, "tile_size": 32}),
    "avif": ("AVIF", {"quality": 90, "speed": 10}),
    "jpeg2000": ("JPEG2000", {}),
    "jpeg2000 codestream": ("JPEG2000", {"no_jp2": True}),
}
"""Every allowed format, in all variants that are parsed or decoded differently."""

ORIENTATION = 0x0112
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}
"""Orientation to how the stored pixels are set upright, from the EXIF standard ("row 0 is at the …")."""

SIDE = 224
"""A picture of the model's input size is not resized: its pixels can be compared value by value."""


def picture(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    """A ramp with a disc on it, different for each seed: uint8 [height, width, 3]."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    ramp = x * (3 + seed % 5) + y * (c + 2) + 40 * c + 17 * seed
    disc = (x - width // 3) ** 2 + (y - height // 2) ** 2 < (min(width, height) // 3) ** 2
    return np.where(disc, 255 - ramp % 256, ramp % 256).astype(np.uint8)


def square(seed: int = 0) -> np.ndarray:
    """The picture of the model's input size: uint8 [224, 224, 3]."""
    return picture(SIDE, SIDE, seed)


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    """Three equal channels. grey: [height, width]. Returns [height, width, 3]."""
    return np.repeat(grey[..., None], 3, axis=2)


def encoded(image: np.ndarray | Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The image as the bytes of a file of that format."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    sink = io.BytesIO()
    if kind == "HEIC":
        pillow_heif.encode(image.mode, image.size, image.tobytes(), sink, **options)
    else:
        image.save(sink, kind, **options)
    return sink.getvalue()


def jpeg(seed: int = 0, width: int = 64, height: int = 48) -> bytes:
    """A small JPEG file, different for each seed."""
    return encoded(picture(width, height, seed), quality=90)


def turned(orientation: object) -> Image.Exif:
    """An EXIF block with this orientation and nothing else."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def lab_tiff() -> bytes:
    """A TIFF file in CIELAB, a mode without a defined conversion to RGB."""
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return encoded(ImageCms.applyTransform(Image.fromarray(picture()), to_lab), "TIFF")


def png_of(
    width: int, height: int, idat: bytes = b"", depth: int = 1, colour: int = 0, interlaced: bool = False
) -> bytes:
    """A PNG file with this size in its header (1-bit grey) and any image data. Its chunks and CRCs are valid."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return png_file((b"IHDR", header), (b"IDAT", idat), (b"IEND", b""))


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of chunks, (kind, content)."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in chunks)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One PNG chunk with its CRC."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_made(width: int, height: int, depth: int, colour: int, rows: bytes, interlaced: bool = False) -> bytes:
    """A PNG file of any depth and colour type. rows: each with its filter type before it."""
    return png_of(width, height, zlib.compress(rows), depth, colour, interlaced)


def zeros_stream(count: int) -> bytes:
    """A zlib stream of that many zeros, made quickly: the same compressed MiB is repeated."""
    block_stream = zlib.compressobj(9, wbits=-15)
    block = block_stream.compress(bytes(2**20)) + block_stream.flush(zlib.Z_FULL_FLUSH)
    end_stream = zlib.compressobj(9, wbits=-15)
    end = end_stream.compress(bytes(count % 2**20)) + end_stream.flush()
    checksum = (count % 65521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + block * (count // 2**20) + end + struct.pack(">I", checksum)


def real_photos() -> list[Path]:
    """The two photos that scikit-learn ships: china.jpg and flower.jpg, 640 × 427."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None and package.origin is not None
    folder = Path(package.origin).parent / "datasets" / "images"
    return [folder / "china.jpg", folder / "flower.jpg"]


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    """Write files. files: path inside the folder: bytes. Returns the folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
