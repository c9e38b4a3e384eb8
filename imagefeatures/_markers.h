/* Where the segments of a JPEG begin. */

#ifndef IMAGEFEATURES_MARKERS
#define IMAGEFEATURES_MARKERS

#include <stddef.h>
#include <stdint.h>

/* The place of the first marker that begins a segment, at or behind `at`; -1 without one. Its second byte is there. */
ptrdiff_t next_marker(const uint8_t *bytes, ptrdiff_t length, ptrdiff_t at);

#endif
