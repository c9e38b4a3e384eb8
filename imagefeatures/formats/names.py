"""What a file is that is none of the image formats, by its bytes: for the detail of a rejection."""

from __future__ import annotations

import re

MAGIC_BYTES = 8
"""So many bytes are shown of a file that nothing is known of: formats name themselves in them."""

_TEXTS = (  # compared without regard to case, behind white space
    (b"%PDF-", "a PDF document"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<?xml", "an XML document"),
    (b"8BPS", "a Photoshop document"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript document"),  # in the wrapper of DOS programs
    (b"SIMPLE  =", "a FITS image"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file that it stands for"),
    (b"{", "JSON text"),
    (b"[", "JSON text"),
)

_STARTS = (  # compared byte by byte with the beginning of the file
    # images
    (b"\xff\x0a", "a JPEG XL image"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (b"II+\0", "a BigTIFF image"),
    (b"MM\0+", "a BigTIFF image"),
    (b"II\xbc\1", "a JPEG XR image"),
    (b"\x76\x2f\x31\1", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance HDR image"),
    (b"#?RGBE", "a Radiance HDR image"),
    (b"DDS ", "a DDS texture"),
    (b"\xabKTX ", "a KTX texture"),
    (b"FLIF", "a FLIF image"),
    (b"qoif", "a QOI image"),
    (b"BPG\xfb", "a BPG image"),
    (b"icns", "an Apple icon (ICNS)"),
    (b"\1\xda\0", "an SGI image"),
    (b"\1\xda\1", "an SGI image"),
    (b"\x59\xa6\x6a\x95", "a Sun raster image"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"AT&TFORM", "a DjVu document"),
    (b"\x8aMNG\r\n\x1a\n", "an MNG animation"),
    (b"\x8bJNG\r\n\x1a\n", "a JNG image"),
    (b"farbfeld", "a farbfeld image"),
    (b"SDPX", "a DPX image"),
    (b"XPDS", "a DPX image"),
    (b"\x80\x2a\x5f\xd7", "a Cineon image"),
    (b"NRRD000", "an NRRD image"),
    (b"\xb1\x68\xde\x3a", "a DCX image"),
    (b"\x53\x80\xf6\x34", "a Softimage PIC image"),
    (b"P7 332\n", "a thumbnail of xv"),
    (b"BLP1", "a BLP texture"),
    (b"BLP2", "a BLP texture"),
    (b"PF\n", "a PFM image"),
    (b"Pf\n", "a PFM image"),
    (b"/* XPM */", "an XPM image"),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile (WMF)"),
    (b"\1\0\t\0\0\3", "a Windows metafile (WMF)"),
    # cameras' raw files that are no TIFF
    (b"IIRO", "a camera's raw file (Olympus ORF)"),
    (b"IIRS", "a camera's raw file (Olympus ORF)"),
    (b"MMOR", "a camera's raw file (Olympus ORF)"),
    (b"IIU\0", "a camera's raw file (Panasonic RW2)"),
    (b"FUJIFILMCCD-RAW", "a camera's raw file (Fujifilm RAF)"),
    (b"\0MRM", "a camera's raw file (Minolta MRW)"),
    (b"FOVb", "a camera's raw file (Sigma X3F)"),
    (b"II\x1a\0\0\0HEAPCCDR", "a camera's raw file (Canon CRW)"),
    # films
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM film"),
    (b"\0\0\1\xba", "an MPEG film"),
    (b"\0\0\1\xb3", "an MPEG film"),
    (b"YUV4MPEG2 ", "a film without compression (YUV4MPEG)"),
    (b"FLV\1", "a Flash film"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media film or recording"),
    (b"OggS", "an Ogg film or recording"),
    (b"ID3", "an MP3 recording"),
    (b"fLaC", "a FLAC recording"),
    # what systems and programs leave beside photos
    (b"\0\5\x16\7", "an AppleDouble file (what macOS keeps beside a file, often named ._…)"),
    (b"\0\5\x16\0", "an AppleSingle file"),
    (b"\0\0\0\1Bud1", "a .DS_Store file (what macOS keeps of a folder)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file (Thumbs.db, or an old Office document)"),
    (b"CMMM", "a Windows thumbnail cache"),
    (b"\x4c\0\0\0\1\x14\2\0", "a Windows shortcut"),
    (b"bplist0", "an Apple property list"),
    (b"SQLite format 3\0", "an SQLite database"),
    # data
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file"),
    (b"GRIB", "a GRIB file"),
    (b"CDF\1", "a NetCDF file"),
    (b"CDF\2", "a NetCDF file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\0", "an xz file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\7", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"\0\1\0\0\0", "a font"),
    (b"OTTO\0", "a font"),
    (b"ttcf", "a font"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
)

_BRANDS = {  # of the ISO base media file format
    b"crx ": "a camera's raw file (Canon CR3)",
    b"qt  ": "a QuickTime film",
    b"jpm ": "a compound JPEG 2000 document (JPM)",
    b"mjp2": "a Motion JPEG 2000 film",
    b"avci": "a HEIF image of the codec AVC",
    b"avcs": "a HEIF sequence of the codec AVC",
    b"jpeg": "a HEIF image of the codec JPEG",
    b"j2ki": "a HEIF image of the codec JPEG 2000",
    b"vvic": "a HEIF image of the codec VVC",
    b"M4A ": "an MP4 recording",
    b"M4B ": "an MP4 recording",
    b"mif1": "a HEIF image of an unknown codec",
    b"mif2": "a HEIF image of an unknown codec",
    b"mif3": "a HEIF image in its short form (mif3)",
    b"msf1": "a HEIF sequence of an unknown codec",
}
_FILM_BRANDS = re.compile(rb"isom|iso\w|mp4\d|M4V.|avc1|dash|3g[p2]\w|f4v |MSNV|mmp4|XAVC|ndx\w|hvc1|CAEP|dby1")
_RIFF = {b"AVI ": "an AVI film", b"ACON": "an animated Windows cursor (ANI)"}
_QUICKTIME = (b"moov", b"mdat", b"wide", b"pnot")
_PNM = re.compile(rb"P[1-6]\s+[#\d]|P7\nWIDTH|P7\n#")
_XBM = re.compile(rb"(/\*.{0,200}?\*/\s*)?#define\s+\w+_width\s+\d", re.DOTALL)
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"


def describe(data: bytes) -> str:
    """What the bytes seem to be. No text is shown of what may be somebody's secret."""
    for start, name in _STARTS:
        if data.startswith(start):
            return name
    return _by_structure(data) or _text(data) or f"unknown bytes ({data[:MAGIC_BYTES].hex(' ')})"


def _by_structure(data: bytes) -> str | None:
    """The formats that a few first bytes do not tell."""
    if data[4:8] == b"ftyp":
        return _branded(data[8:12])
    if data[4:8] in _QUICKTIME:
        return "a QuickTime film"
    if data.startswith(b"\0\0\0\x0cjP  "):
        return _branded(data[20:24])
    if data.startswith(b"RIFF") and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[:2] == b"\0\0" and data[2:4] in (b"\1\0", b"\2\0") and _is_icon(data):
        return "a Windows icon (ICO)" if data[2] == 1 else "a Windows cursor (CUR)"
    if data.startswith(b"\1\0\0\0") and data[40:44] == b" EMF":
        return "a Windows metafile (EMF)"
    if data[4:6] in (b"\x11\xaf", b"\x12\xaf"):
        return "a FLIC film"
    if data[36:40] == b"acsp":
        return "a colour profile (ICC)"
    if data[128:132] == b"DICM":
        return "a DICOM image"
    if data[257:262] == b"ustar":
        return "a tar archive"
    if _PNM.match(data):
        return "a PNM image (PBM, PGM, PPM or PAM)"
    if _XBM.match(data):
        return "an XBM image"
    if len(data) > 128 and data[0] == 10 and data[1] in (0, 2, 3, 4, 5) and data[2] == 1 and data[3] in (1, 2, 4, 8):
        return "a PCX image"
    if any(len(data) > at + 2 * step and data[at] == data[at + step] == 0x47 == data[at + 2 * step]
           for at, step in ((0, 188), (4, 192))):  # fmt: skip
        return "an MPEG film"
    if data.endswith(_TGA_FOOTER) or _is_tga(data):
        return "a TGA image"
    if len(data) >= MAGIC_BYTES and not data.strip(b"\0"):
        return "nothing but zeros"
    return None


def _branded(brand: bytes) -> str:
    if brand in _BRANDS:
        return _BRANDS[brand]
    if _FILM_BRANDS.fullmatch(brand):
        return "an MP4 film"
    return f"a film, or another file of the ISO base media format (of the brand {brand.hex(' ')})"


def _is_icon(data: bytes) -> bool:
    """Whether the first entry of an icon's directory lies behind the directory and in the file."""
    count, size, start = (int.from_bytes(data[at : at + width], "little") for at, width in ((4, 2), (14, 4), (18, 4)))
    return count > 0 and data[9:10] == b"\0" and 6 + 16 * count <= start < start + size <= len(data)


def _is_tga(data: bytes) -> bool:
    """Whether a TGA header without a footer is likely: the format has no first bytes of its own."""
    if len(data) < 18:
        return False
    palette, kind, depth = data[1], data[2], data[16]
    width, height = (int.from_bytes(data[at : at + 2], "little") for at in (12, 14))
    if kind not in (1, 2, 3, 9, 10, 11) or (kind in (1, 9)) != palette or not width or not height:
        return False
    if depth not in ((8, 16) if kind in (1, 3, 9, 11) else (15, 16, 24, 32)) or data[17] & 0xC0:
        return False
    palette_bytes = int.from_bytes(data[5:7], "little") * ((data[7] + 7) // 8) if palette else 0
    pixels = 18 + data[0] + palette_bytes
    smallest = width * height * ((depth + 7) // 8) if kind < 8 else width * height // 128
    return pixels + smallest <= len(data)


def _text(data: bytes) -> str | None:
    data = data[:600].removeprefix(b"\xef\xbb\xbf")  # the byte order mark that some editors put before text
    head = data[:512].lstrip().lower()
    for start, name in _TEXTS:
        if head.startswith(start.lower()):
            return "an SVG drawing" if start == b"<?xml" and b"<svg" in head else name
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16"
    # Bytes above 127 are letters in one encoding or another; texts have no control characters besides these.
    if data and all(byte >= 32 or byte in b"\t\n\f\r\x1b" for byte in data[:512]) and 127 not in data[:512]:
        return "text"
    return None
