"""Pillow's plugin for HEIC: libheif and libde265, as the package pillow-heif brings them along, called directly.

That package's own plugin starts a thread for each picture, which a locked-in process cannot. It also reads metadata
that nobody needs, and does not use the strict mode of libheif.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint8, c_void_p
from functools import lru_cache
from typing import Any

import _pillow_heif
from PIL import Image, ImageFile

from imagefeatures.errors import Rejected
from imagefeatures.reasons import Reason

NO_THREADS = -1
"""To libheif a number of threads like another, to libde265 one for which it starts none. 0 is one thread."""

_GREY, _RGB, _RGBA = (2, 0, 0), (1, 10, 10), (1, 11, 10)  # enums heif_colorspace, heif_chroma, heif_channel
_REASONS = {3: Reason.UNSUPPORTED_FORMAT, 4: Reason.UNSUPPORTED_FORMAT, 6: Reason.OUT_OF_MEMORY}  # by heif_error_code
_END_OF_DATA, _INVALID_SIZE, _LIMIT_EXCEEDED = 100, 129, 1000  # enum heif_suberror_code


class _Error(Structure):
    _fields_ = [("code", c_int), ("subcode", c_int), ("message", c_char_p)]


class _Options(Structure):
    """struct heif_decoding_options, which only grows: this is its version 10."""

    _fields_ = [
        ("version", c_uint8),
        ("ignore_transformations", c_uint8),
        ("progress", c_void_p * 4),
        ("convert_hdr_to_8bit", c_uint8),
        ("strict_decoding", c_uint8),
        ("decoder_id", c_char_p),
        ("color_conversion_options", c_int * 4),
        ("cancel_decoding", c_void_p),
        ("color_conversion_options_ext", c_void_p),
        ("ignore_sequence_editlist", c_int),
        ("output_image_nclx_profile", c_void_p),
        ("num_library_threads", c_int),
        ("num_codec_threads", c_int),
        ("autocorrect_broken_input", c_uint8),
        ("output_image_nclx_profile_passthrough", c_uint8),
    ]


class HeicImageFile(ImageFile.ImageFile):
    """The primary picture of a HEIC file, turned, mirrored and cropped as the file says.

    Raises Rejected when it is opened or loaded and libheif refuses it.
    """

    format = "HEIC"
    format_description = "HEIC"

    def _open(self) -> None:
        self._picture: _Picture | None = _Picture(self.fp.read() if self.fp else b"")
        self._size, self._mode = self._picture.size, self._picture.mode

    def load(self) -> Any:
        if self._picture:
            picture, self._picture = self._picture, None
            self.load_prepare()
            picture.decode_into(self)
        return super().load()


class _Picture:
    """A primary picture and the memory of libheif that it takes. size: width, height. mode: L, RGB, RGBA or RGBa."""

    def __init__(self, data: bytes) -> None:
        self._library, self._data = _library(), data
        self._context = c_void_p(self._library.heif_context_alloc())
        self._handle, self._image = c_void_p(), c_void_p()
        self._library.heif_context_set_max_decoding_threads(self._context, 0)
        self._call("heif_context_read_from_memory_without_copy", self._context, data, c_size_t(len(data)), None)
        self._call("heif_context_get_primary_image_handle", self._context, byref(self._handle))
        self.size = self._of_handle("get_width"), self._of_handle("get_height")
        colours, chroma = c_int(), c_int()
        self._call("heif_image_handle_get_preferred_decoding_colorspace", self._handle, byref(colours), byref(chroma))
        self.mode, self._kind = "RGB", _RGB
        if self._of_handle("has_alpha_channel"):
            self.mode, self._kind = "RGBa" if self._of_handle("is_premultiplied_alpha") else "RGBA", _RGBA
        elif (colours.value, chroma.value) == _GREY[:2]:
            self.mode, self._kind = "L", _GREY

    def decode_into(self, image: Image.Image) -> None:
        """Decode the picture into an image of its size and mode."""
        options = self._library.heif_decoding_options_alloc()
        # Of 10 and 12 bits a channel the high byte, in the file's own colours, whatever its profile is.
        options.contents.convert_hdr_to_8bit = options.contents.output_image_nclx_profile_passthrough = 1
        options.contents.strict_decoding, options.contents.num_codec_threads = 1, NO_THREADS
        colours, chroma, channel = self._kind
        try:
            self._call("heif_decode_image", self._handle, byref(self._image), colours, chroma, options)
        finally:
            self._library.heif_decoding_options_free(options)
        size = tuple(self._of_image(f"get_{side}", channel) for side in ("width", "height"))
        bits, stride = self._of_image("get_bits_per_pixel_range", channel), c_int()
        pixels = self._library.heif_image_get_plane_readonly(self._image, channel, byref(stride))
        if size != self.size or bits != 8 or not pixels:
            raise Rejected(Reason.CORRUPT, f"HEIC of {self.size} whose decoder gives {size} of {bits} bits")
        rows = (c_uint8 * (stride.value * size[1])).from_address(pixels)
        image.frombytes(memoryview(rows).cast("B"), "raw", (self.mode, stride.value))

    def __del__(self) -> None:
        for name, what in (("image", self._image), ("image_handle", self._handle)):
            if what:
                getattr(self._library, f"heif_{name}_release")(what)
        self._library.heif_context_free(self._context)

    def _of_handle(self, name: str) -> int:
        return int(getattr(self._library, f"heif_image_handle_{name}")(self._handle))

    def _of_image(self, name: str, channel: int) -> int:
        return int(getattr(self._library, f"heif_image_{name}")(self._image, channel))

    def _call(self, name: str, *arguments: Any) -> None:
        """Call a function that returns an error. Raises Rejected."""
        error = getattr(self._library, name)(*arguments)
        if error.code:
            reason = _REASONS.get(error.code, Reason.CORRUPT)
            if error.subcode == _END_OF_DATA:
                reason = Reason.TRUNCATED
            if error.subcode in (_INVALID_SIZE, _LIMIT_EXCEEDED):  # of what the file itself declares
                reason = Reason.CORRUPT
            raise Rejected(reason, f"libheif: {error.message.decode(errors='replace').strip()}")


@lru_cache
def _library() -> ctypes.CDLL:
    """libheif: the system's loader finds its functions through the module that was linked with it."""
    library = ctypes.CDLL(_pillow_heif.__file__)
    library.heif_context_alloc.restype = c_void_p
    library.heif_decoding_options_alloc.restype = POINTER(_Options)
    library.heif_image_get_plane_readonly.restype = c_void_p
    for name in (
        "heif_context_read_from_memory_without_copy",
        "heif_context_get_primary_image_handle",
        "heif_image_handle_get_preferred_decoding_colorspace",
        "heif_decode_image",
    ):
        getattr(library, name).restype = _Error
    return library


Image.register_open(HeicImageFile.format, HeicImageFile, lambda prefix: prefix[4:8] == b"ftyp")
