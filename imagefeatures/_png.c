/* The filters of a PNG's rows, undone pixel by pixel, the bytes of a pixel side by side in a vector register. */

#include "_png.h"

#include <emmintrin.h>
#include <string.h>

#define IN_MEMORY 4 /* bytes of a pixel */

enum { NONE, SUB, UP, AVERAGE, PAETH };

/* The first `bytes` bytes of a pixel, those of the next one behind them. They do no harm: no lane changes another. */
static __m128i load(const uint8_t *from, int bytes)
{
    int pixel = 0;
    if (bytes == IN_MEMORY)
        memcpy(&pixel, from, IN_MEMORY);
    else
        memcpy(&pixel, from, 3);
    return _mm_cvtsi32_si128(pixel);
}

static __m128i absolute(__m128i numbers)
{
    return _mm_max_epi16(numbers, _mm_sub_epi16(_mm_setzero_si128(), numbers));
}

static __m128i chosen(__m128i where, __m128i one, __m128i other)
{
    return _mm_or_si128(_mm_and_si128(where, one), _mm_andnot_si128(where, other));
}

/* Half of the sum, rounded down. */
static __m128i average(__m128i left, __m128i above)
{
    __m128i odd = _mm_and_si128(_mm_xor_si128(left, above), _mm_set1_epi8(1));
    return _mm_sub_epi8(_mm_avg_epu8(left, above), odd);
}

/* Whichever of the three is nearest to left + above - corner; of several the first. */
static __m128i paeth(__m128i left, __m128i above, __m128i corner)
{
    __m128i zero = _mm_setzero_si128();
    __m128i a = _mm_unpacklo_epi8(left, zero), b = _mm_unpacklo_epi8(above, zero), c = _mm_unpacklo_epi8(corner, zero);
    __m128i from_c_to_b = _mm_sub_epi16(b, c), from_c_to_a = _mm_sub_epi16(a, c);
    __m128i of_a = absolute(from_c_to_b), of_b = absolute(from_c_to_a);
    __m128i of_c = absolute(_mm_add_epi16(from_c_to_b, from_c_to_a));
    __m128i least = _mm_min_epi16(of_a, _mm_min_epi16(of_b, of_c));
    __m128i b_or_c = chosen(_mm_cmpeq_epi16(of_b, least), b, c);
    return _mm_packus_epi16(chosen(_mm_cmpeq_epi16(of_a, least), a, b_or_c), zero);
}

/* One row. above: the one before, as it has become; of the first row zeros. */
static inline __attribute__((always_inline)) void undo(uint8_t *out, const uint8_t *above, const uint8_t *row, int kind,
                                                       int width, int channels)
{
    int opaque = channels == IN_MEMORY ? 0 : (int)0xff000000;
    __m128i left = _mm_setzero_si128(), corner = _mm_setzero_si128();
    for (int at = 0; at < width; at++) {
        /* Four bytes at once, but for the last pixel: behind it the rows may end. */
        __m128i pixel = load(row + (size_t)at * channels, at + 1 < width ? IN_MEMORY : channels);
        __m128i over = load(above + (size_t)at * IN_MEMORY, IN_MEMORY);
        if (kind == SUB)
            pixel = _mm_add_epi8(pixel, left);
        else if (kind == UP)
            pixel = _mm_add_epi8(pixel, over);
        else if (kind == AVERAGE)
            pixel = _mm_add_epi8(pixel, average(left, over));
        else if (kind == PAETH)
            pixel = _mm_add_epi8(pixel, paeth(left, over, corner));
        left = pixel;
        corner = over;
        int done = _mm_cvtsi128_si32(pixel) | opaque;
        memcpy(out + (size_t)at * IN_MEMORY, &done, IN_MEMORY);
    }
}

static int undo_any(uint8_t *out, const uint8_t *above, const uint8_t *row, int width, int channels)
{
    switch (*row) { /* a loop of its own for each kind */
    case NONE: undo(out, above, row + 1, NONE, width, channels); return 1;
    case SUB: undo(out, above, row + 1, SUB, width, channels); return 1;
    case UP: undo(out, above, row + 1, UP, width, channels); return 1;
    case AVERAGE: undo(out, above, row + 1, AVERAGE, width, channels); return 1;
    case PAETH: undo(out, above, row + 1, PAETH, width, channels); return 1;
    default: return 0;
    }
}

int unfilter_png(uint8_t *out, const uint8_t *rows, int height, int width, int channels)
{
    size_t in_row = (size_t)width * channels + 1, out_row = (size_t)width * IN_MEMORY;
    /* The first row has zeros above it. They lie in the place of the last row, which is made after all others. Where that
       is the first one: what is above a pixel is read before the pixel is written. */
    uint8_t *above = out + (height - 1) * out_row;
    memset(above, 0, out_row);
    for (int at = 0; at < height; at++, rows += in_row) {
        if (!undo_any(out + at * out_row, above, rows, width, channels))
            return 0;
        above = out + at * out_row;
    }
    return 1;
}
