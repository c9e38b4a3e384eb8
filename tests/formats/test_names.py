"""Files that are none of the image formats are named for what they are, by the first bytes that real ones have."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms

from imagefeatures.errors import Rejected
from imagefeatures.formats import check
from imagefeatures.limits import Limits
from imagefeatures.reasons import Reason
from support.photos import encoded, picture

BOX = bytes(4)


def brand(name: bytes, *others: bytes) -> bytes:
    size = 16 + 4 * len(others)
    return size.to_bytes(4) + b"ftyp" + name + bytes(4) + b"".join(others) + b"\0\0\0\x08free" + bytes(64)


def emf() -> bytes:
    return b"\1\0\0\0\x6c\0\0\0" + bytes(32) + b" EMF" + b"\0\0\1\0" + bytes(56)


def tga(kind: int, depth: int, pixels: bytes, palette: bytes = b"") -> bytes:
    head = bytes([0, bool(palette), kind, 0, 0, len(palette) // 3, 0, 24 if palette else 0, 0, 0, 0, 0])
    return head + b"\x40\0\x30\0" + bytes([depth, 0x20]) + palette + pixels


def icon(kind: int) -> bytes:
    image = encoded(picture(32, 32), "PNG")
    entry = bytes([32, 32, 0, 0, 1, 0, 32, 0]) + len(image).to_bytes(4, "little") + (22).to_bytes(4, "little")
    return b"\0\0" + bytes([kind, 0, 1, 0]) + entry + image


def transport_stream(packet: bytes = b"") -> bytes:
    return b"".join(packet + b"G\x40\0\x10" + bytes([number] * 184) for number in range(5))


def saved(save: str) -> bytes:
    sink = io.BytesIO()
    if save == "numpy":
        np.save(sink, np.arange(9))
    elif save == "parquet":
        pq.write_table(pa.table({"a": [1, 2]}), sink)
    elif save == "arrow":
        with pa.ipc.new_file(sink, pa.schema([("a", pa.int64())])) as file:
            file.write_table(pa.table({"a": [1, 2]}))
    elif save == "hdf5":
        with h5py.File(sink, "w") as file:
            file["a"] = [1, 2]
    elif save == "tar":
        with tarfile.open(fileobj=sink, mode="w") as file:
            file.addfile(tarfile.TarInfo("photo.jpg"))
    return sink.getvalue()


FIRST_BYTES = {
    "JPEG XL image": ["ff0afa1f419121000600", "0000000c4a584c200d0a870a000000146674797 06a786c20".replace(" ", "")],
    "BigTIFF image": ["49492b000800000010000000000000000f", "4d4d002b000800000000000000000010"],
    "JPEG XR image": ["4949bc0120000000240000000a0001bc"],
    "OpenEXR image": ["762f31010200000063 68616e6e656c7300".replace(" ", "")],
    "DDS texture": ["444453207c00000007100a00"],
    "KTX texture": ["ab4b5458203131bb0d0a1a0a01020304", "ab4b5458203230bb0d0a1a0a"],
    "FLIF image": ["464c494634 3100".replace(" ", "")],
    "Softimage PIC image": ["5380f634406d70a443726561746564"],
    "thumbnail of xv": ["5037203333320a23584c564d"],
    "film without compression": ["595556344d50454732205736342048343820"],
    "BLP texture": ["424c503100000000", "424c503201000000"],
    "FLIC film": ["248f010011af80014001c800", "ec38000012af1b00"],
    "MATLAB file": ["4d41544c414220352e30204d41542d66696c65"],
    "GRIB file": ["475249420000ae01"],
    "QOI image": ["716f6966000000400000003003"],
    "BPG image": ["425047fb20008170"],
    "Sun raster image": ["59a66a95000000400000003000000018"],
    "GIMP document": ["67696d7020786366207630303100"],
    "DjVu document": ["41542654464f524d0000125a444a5655"],
    "MNG animation": ["8a4d4e470d0a1a0a0000001c4d484452"],
    "JNG image": ["8b4a4e470d0a1a0a000000104a484452"],
    "farbfeld image": ["666172626665 6c640000004000000030".replace(" ", "")],
    "DPX image": ["534450580000200056312e3000", "585044530020000056312e3000"],
    "Cineon image": ["802a5fd70000080000000400"],
    "NRRD image": ["4e525244303030340a74797065"],
    "DCX image": ["b168de3a0400000000000000"],
    "PFM image": ["50460a36342034380a2d312e300a0000803f", "50660a36342034380a2d312e300a0000803f"],
    "Windows metafile (WMF)": ["d7cdc69a000000000000e803", "010009000003a20d00000000"],
    "camera's raw file (Olympus ORF)": ["4949524f08000000", "4949525308000000", "4d4d4f5200000008"],
    "camera's raw file (Panasonic RW2)": ["4949550018000000"],
    "camera's raw file (Fujifilm RAF)": ["46554a4946494c4d4343442d52415720303230314646333839"],
    "camera's raw file (Minolta MRW)": ["004d524d0000fa2c00505244"],
    "camera's raw file (Sigma X3F)": ["464f56620300020000000000"],
    "camera's raw file (Canon CRW)": ["49491a00000048454150434344520200"],
    "Matroska or WebM film": ["1a45dfa3934282886d6174726f736b61", "1a45dfa39f4286810142f7810142f2810442f381"],
    "MPEG film": ["000001ba4400040004010000", "000001b31400f013ffffe018"],
    "Flash film": ["464c560105000000090000"],
    "Windows Media film": ["3026b2758e66cf11a6d900aa0062ce6c"],
    "Ogg film": ["4f676753000200000000000000"],
    "AppleDouble file": ["0005160700020000 4d6163204f53205820202020".replace(" ", "")],
    "AppleSingle file": ["0005160000020000"],
    ".DS_Store file": ["0000000142756431000030000000080000003000"],
    "OLE file (Thumbs.db": ["d0cf11e0a1b11ae1000000000000000000000000"],
    "Windows thumbnail cache": ["434d4d4d20000000"],
    "Windows shortcut": ["4c0000000114020000000000c000000000000046"],
    "Apple property list": ["62706c6973743030d4010203"],
    "NetCDF file": ["434446010000000000000000", "434446020000000000000000"],
    "Zstandard file": ["28b52ffd0458"],
    "bzip2 file": ["425a683931415926535900"],
    "xz file": ["fd377a585a000004e6d6b446"],
    "7z archive": ["377abcaf271c0004"],
    "PostScript document": ["c5d0d3c6200000001e04000000000000"],
    "FITS image": ["53494d504c4520203d202020202020202054"],
    "RAR archive": ["526172211a0701003392b5e5"],
    "MP3 recording": ["49443303000000000f76"],
    "FLAC recording": ["664c614300000022"],
    "font": ["00010000000f008000030070", "4f54544f000b0080", "7474636600010000", "774f4646", "774f4632"],
    "program": ["7f454c4602010100"],
}
"""What a file is: the first bytes of such files, in hexadecimal, as their specifications or real files have them."""

MADE = {
    "Radiance HDR image": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 48 +X 64\n\2\2\0\x40",
    "XPM image": lambda: b'/* XPM */\nstatic char *a[] = {\n"1 1 1 1",\n"a c #000000",\n"a"};\n',
    "XBM image": lambda: encoded(Image.new("1", (16, 16)), "XBM"),
    "XBM image: by GIMP": lambda: b"/* Created with GIMP */\n#define a_width 16\n#define a_height 16\n",
    "SGI image": lambda: encoded(picture(), "SGI"),
    "Apple icon": lambda: encoded(Image.fromarray(picture(64, 64)), "ICNS"),
    "PCX image": lambda: encoded(picture(), "PCX"),
    "DDS texture": lambda: encoded(picture(), "DDS"),
    "PNM image": lambda: encoded(picture(), "PPM"),
    "PNM image: as text": lambda: b"P3\n# by hand\n1 1\n255\n0 0 0\n",
    "PNM image: PAM": lambda: b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\xff",
    "TGA image": lambda: encoded(picture(), "TGA"),
    "TGA image: of version 1": lambda: tga(2, 24, bytes(64 * 48 * 3)),
    "TGA image: packed": lambda: tga(10, 24, b"\xff\1\2\3" * 24),
    "TGA image: palette": lambda: tga(1, 8, bytes(64 * 48), bytes(60)),
    "TGA image: grey": lambda: tga(3, 8, bytes(64 * 48)),
    "Windows icon (ICO)": lambda: encoded(Image.fromarray(picture(32, 32)), "ICO"),
    "Windows icon (ICO): of one picture": lambda: icon(1),
    "Windows cursor (CUR)": lambda: icon(2),
    "animated Windows cursor": lambda: b"RIFF\x2a\0\0\0ACONanih",
    "Windows metafile (EMF)": emf,
    "DICOM image": lambda: bytes(128) + b"DICM\2\0\0\0UL\4\0",
    "AVI film": lambda: b"RIFF\x2a\x10\0\0AVI LIST",
    "MPEG film: transport stream": transport_stream,
    "MPEG film: of a camcorder": lambda: transport_stream(b"\0\0\0\1"),
    "camera's raw file (Canon CR3)": lambda: brand(b"crx ", b"crx ", b"isom"),
    "QuickTime film": lambda: brand(b"qt  ", b"qt  "),
    "QuickTime film: without a brand": lambda: b"\0\0\0\x08wide\0\0\x10\0mdat" + bytes(32),
    "MP4 film": lambda: brand(b"isom", b"isom", b"avc1"),
    "MP4 film: version 2": lambda: brand(b"mp42", b"mp41", b"isom"),
    "MP4 film: of a telephone": lambda: brand(b"3gp5", b"3gp5"),
    "MP4 film: of iTunes": lambda: brand(b"M4V ", b"M4V "),
    "MP4 recording": lambda: brand(b"M4A ", b"M4A "),
    "film, or another file": lambda: brand(b"zzzz", b"zzzz"),
    "HEIF image of the codec AVC": lambda: brand(b"avci", b"mif1"),
    "HEIF image of the codec VVC": lambda: brand(b"vvic", b"mif1"),
    "HEIF image of an unknown codec": lambda: brand(b"mif1", b"mif1", b"unci"),
    "Motion JPEG 2000 film": lambda: b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2\0\0\0\0mjp2",
    "compound JPEG 2000 document": lambda: b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjpm \0\0\0\0jpm ",
    "NumPy array": lambda: saved("numpy"),
    "Parquet file": lambda: saved("parquet"),
    "Arrow file": lambda: saved("arrow"),
    "HDF5 file": lambda: saved("hdf5"),
    "colour profile": lambda: ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "HEIF image in its short form": lambda: b"\0\0\0\x10ftypmif3heic\0\0\x02\x8dmini" + bytes(60),
    "tar archive": lambda: saved("tar"),
    "nothing but zeros": lambda: bytes(100_000),
}
"""What a file is (and which kind of it): a whole small file, or the beginning of one."""


def why(data: bytes, limits: Limits = Limits()) -> str:  # noqa: B008 - it is frozen
    with pytest.raises(Rejected) as rejected:
        check(data, limits)
    assert rejected.value.reason is Reason.UNSUPPORTED_FORMAT
    return rejected.value.detail


@pytest.mark.parametrize("name", [*MADE, *FIRST_BYTES])
def test_a_file_is_named_for_what_it_is(name: str) -> None:
    starts = [MADE[name]()] if name in MADE else [bytes.fromhex(start) + BOX * 4 for start in FIRST_BYTES[name]]
    plain = name.partition(":")[0]
    for data in starts:
        assert (
            why(data).partition(", expected")[0].startswith((f"found a {plain}", f"found an {plain}", f"found {plain}"))
        ), why(data)


def test_a_database_is_named(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("create table a (b)")
    assert why((tmp_path / "a.db").read_bytes()).startswith("found an SQLite database")


@pytest.mark.parametrize(("kind", "named"), [("HEIC", "a HEIC"), ("AVIF", "an AVIF"), ("JPEG2000", "a JPEG2000")])
def test_a_format_that_a_dataset_leaves_out_is_named(kind: str, named: str) -> None:
    assert why(encoded(picture(), kind), Limits(formats=("JPEG",))) == f"found {named} image, expected one of JPEG"


@pytest.mark.parametrize(
    "data",
    [
        bytes([0, 0, 1, 0, 1, 0]) + b"\xff" * 60,  # an icon's first bytes, and no directory behind them
        b"P5 is a postal district",
        b"G" * 188 + b"x" * 1000,
        bytes([0, 0, 2]) + bytes(9) + b"\xff\xff\xff\xff\x18\x20" + b"\1" * 50,  # a TGA header for 4 billion pixels
    ],
)
def test_what_only_begins_like_a_format_is_not_named_so(data: bytes) -> None:
    assert "unknown bytes" in why(data) or "found text" in why(data)
