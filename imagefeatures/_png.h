/* The filters of a PNG's rows, undone. */

#ifndef IMAGEFEATURES_PNG
#define IMAGEFEATURES_PNG

#include <stdint.h>

/* Rows as they are inflated: each begins with one byte, the kind of its filter, and has `width` pixels of `channels`
   bytes, 3 or 4. out: as many pixels of four bytes; the fourth is 255 where a pixel has three. Returns whether it was
   done: not where a row has a kind that there is not. */
int unfilter_png(uint8_t *out, const uint8_t *rows, int height, int width, int channels);

#endif
