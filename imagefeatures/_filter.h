/* Pillow's bicubic filter over 8-bit pixels, one pass at a time: bit for bit, with vector instructions. */

#ifndef IMAGEFEATURES_FILTER
#define IMAGEFEATURES_FILTER

#include <stdint.h>

#if !defined(__x86_64__) || !defined(__GNUC__)
#error "written for AVX2 alone: elsewhere Pillow does it"
#endif

#define CHANNELS 4 /* of a pixel in memory: red, green, blue, unused */
#define ROWS 4     /* that narrow takes at a time */

/* Which input places make each output place, and by what weight. The rows of `weights` are `room` long. */
typedef struct {
    int room;
    int *first, *count;
    int32_t *weights;
} Taps;

/* The taps that make `out` places of `in`. mirrored: the input lies in memory in reverse, and so does the output then.
   Returns 0, or -1 where there is no memory; free_taps is due in both cases. */
int make_taps(Taps *taps, int in, int out, int mirrored);

void free_taps(Taps *taps);

/* Whether Pillow resizes columns before rows. */
int columns_first(int height, int width, int size);

/* ROWS rows of `width` pixels, one after the other, become as many of `out`. */
void narrow(uint8_t *to, const uint8_t *from, int width, const Taps *taps, int out);

/* One row of `bytes` bytes, a multiple of four, from `count` rows. */
void flatten(uint8_t *to, const uint8_t *const *rows, const int32_t *weight, int count, int bytes);

#endif
