/* Pillow's bicubic filter over 8-bit pixels, one pass at a time: bit for bit, with vector instructions:
   AVX2 (_filter.c), or VNNI where the processor has it (_filter_vnni.c). */

#ifndef IMAGEFEATURES_FILTER
#define IMAGEFEATURES_FILTER

#include <stdint.h>

#if !defined(__x86_64__) || !defined(__GNUC__)
#error "written for AVX2 alone: elsewhere Pillow does it"
#endif

#define CHANNELS 4 /* of a pixel in memory: red, green, blue, unused */
#define ROWS 4     /* that narrow takes at a time */
#define BITS 22    /* of a weight behind the point */
#define HALF (1 << (BITS - 1))
#define FOUR 4   /* taps that VNNI takes at a time */
#define DIGITS 3 /* of a weight: signed bytes */

/* Which input places make each output place, and by what weight. The rows of `weights` are `room` long, a multiple of
   FOUR. digits: those of the weights, digit after digit of each four of them; an output place has `fours` fours, 0 where
   VNNI is not used. */
typedef struct {
    int room, fours;
    int *first, *count;
    int32_t *weights;
    int8_t *digits;
} Taps;

/* The taps that make `out` places of `in`. mirrored: the input lies in memory in reverse, and so does the output then.
   in_row: whether they are for narrow. Returns 0, or -1 where there is no memory; free_taps is due in both cases. */
int make_taps(Taps *taps, int in, int out, int mirrored, int in_row);

void free_taps(Taps *taps);

/* Whether Pillow resizes columns before rows. */
int columns_first(int height, int width, int size);

/* ROWS rows of `width` pixels, one after the other, become as many of `out`. */
void narrow(uint8_t *to, const uint8_t *from, int width, const Taps *taps, int out);

/* One row of `bytes` bytes, a multiple of four: output place `at`, from as many rows as it has taps. */
void flatten(uint8_t *to, const uint8_t *const *rows, const Taps *taps, int at, int bytes);

/* Whether the processor has VNNI; and use it, or AVX2 alone. */
int has_vnni(void);
void use_vnni(int use);

/* Make taps ready for VNNI. in_row: as of make_taps. Returns 0, or -1 where there is no memory. */
int split_taps(Taps *taps, int in, int out, int in_row);

/* As narrow and flatten, where the taps have fours. */
void narrow_vnni(uint8_t *to, const uint8_t *from, int width, const Taps *taps, int out);
void flatten_vnni(uint8_t *to, const uint8_t *const *rows, const Taps *taps, int at, int bytes);

#endif
