/* A JPEG to a small square, row by row: the whole picture is never in memory. */

#ifndef IMAGEFEATURES_JPEG
#define IMAGEFEATURES_JPEG

#include <stddef.h>
#include <stdint.h>

/* A file, and what Pillow has read from its header. width, height: as stored. orientation: EXIF's, 1 to 8.
   size: the side of the square to be made. */
typedef struct {
    const uint8_t *bytes;
    size_t length;
    int width, height, components, orientation, size;
} Jpeg;

/* Take the functions of the libjpeg that a loaded library is linked to. path: of that library. Returns whether they
   were found. */
int connect_jpeg(const char *path);

/* Decode and resize. out: size x size pixels of three bytes. Returns whether it was done: if not, the file is unusual
   or faulty, or memory is short, and what `out` holds is of no use. */
int stream_jpeg(const Jpeg *jpeg, uint8_t *out);

#endif
