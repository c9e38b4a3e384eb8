/* The arithmetic is Pillow's (src/libImaging/Resample.c, version 13): a cubic with a = -0.5, stretched when the picture
   shrinks; weights normalised in double precision, then rounded to fixed point with 22 bits behind the point; a pass over
   rows and one over columns, each rounded and clipped to a byte. Sums are of integers, so their order does not matter,
   and eight lanes may be summed side by side. tests/test_bicubic.py holds the two against each other. */

#include "_filter.h"

#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2")))

static int vnni;

void use_vnni(int use)
{
    vnni = use;
}

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

void free_taps(Taps *taps)
{
    free(taps->digits);
    free(taps->first);
    free(taps->count);
    free(taps->weights);
}

int make_taps(Taps *taps, int in, int out, int mirrored, int in_row)
{
    double scale = (double)in / out, stretch = scale < 1.0 ? 1.0 : scale, support = 2.0 * stretch;
    int room = ((int)ceil(support) * 2 + FOUR) / FOUR * FOUR;
    double *exact = malloc(room * sizeof(double));
    taps->room = room;
    taps->first = malloc(out * sizeof(int));
    taps->count = malloc(out * sizeof(int));
    taps->weights = calloc((size_t)out * room, sizeof(int32_t));
    if (!exact || !taps->first || !taps->count || !taps->weights) {
        free(exact);
        return -1;
    }
    for (int at = 0; at < out; at++) {
        double centre = (at + 0.5) * scale, sum = 0.0, inverse = 1.0 / stretch;
        int first = (int)(centre - support + 0.5), end = (int)(centre + support + 0.5);
        if (first < 0)
            first = 0;
        if (end > in)
            end = in;
        for (int tap = 0; tap < end - first; tap++) {
            exact[tap] = cubic((tap + first - centre + 0.5) * inverse);
            sum += exact[tap];
        }
        int count = end - first, place = mirrored ? out - 1 - at : at;
        int32_t *weights = taps->weights + (size_t)place * room;
        for (int tap = 0; tap < count; tap++) {
            double weight = sum != 0.0 ? exact[tap] / sum : exact[tap];
            weights[mirrored ? count - 1 - tap : tap] = (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << BITS));
        }
        taps->first[place] = mirrored ? in - end : first;
        taps->count[place] = count;
    }
    free(exact);
    return vnni ? split_taps(taps, in, out, in_row) : 0;
}

/* Eight bytes as eight integers; four as four. */
AVX2 static inline __m256i eight(const uint8_t *from)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
}

AVX2 static inline __m128i four(const uint8_t *from)
{
    int32_t bytes;
    memcpy(&bytes, from, sizeof bytes);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
}

/* Four sums as bytes: shifted down, and clipped by saturation. */
AVX2 static inline int32_t four_bytes(__m128i sums)
{
    __m128i words = _mm_packs_epi32(_mm_srai_epi32(sums, BITS), _mm_setzero_si128());
    return _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
}

/* Two taps at a time, a pixel of each in four lanes. */
AVX2 void narrow(uint8_t *to, const uint8_t *from, int width, const Taps *taps, int out)
{
    if (taps->fours) {
        narrow_vnni(to, from, width, taps, out);
        return;
    }
    for (int at = 0; at < out; at++) {
        const int32_t *weight = taps->weights + (size_t)at * taps->room;
        const uint8_t *pixel = from + (size_t)taps->first[at] * CHANNELS;
        int count = taps->count[at], tap = 0;
        __m256i sums[ROWS] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                              _mm256_setzero_si256()};
        for (; tap + 1 < count; tap += 2) {
            __m256i both = _mm256_set_m128i(_mm_set1_epi32(weight[tap + 1]), _mm_set1_epi32(weight[tap]));
            for (int row = 0; row < ROWS; row++) {
                __m256i pair = eight(pixel + ((size_t)row * width + tap) * CHANNELS);
                sums[row] = _mm256_add_epi32(sums[row], _mm256_mullo_epi32(pair, both));
            }
        }
        for (int row = 0; row < ROWS; row++) {
            __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums[row]), _mm256_extracti128_si256(sums[row], 1));
            if (tap < count) {
                __m128i last = four(pixel + ((size_t)row * width + tap) * CHANNELS);
                sum = _mm_add_epi32(sum, _mm_mullo_epi32(last, _mm_set1_epi32(weight[tap])));
            }
            int32_t bytes = four_bytes(_mm_add_epi32(sum, _mm_set1_epi32(HALF)));
            memcpy(to + ((size_t)row * out + at) * CHANNELS, &bytes, CHANNELS);
        }
    }
}

AVX2 void flatten(uint8_t *to, const uint8_t *const *rows, const Taps *taps, int at, int bytes)
{
    if (taps->fours) {
        flatten_vnni(to, rows, taps, at, bytes);
        return;
    }
    const int32_t *weight = taps->weights + (size_t)at * taps->room;
    int count = taps->count[at], first = 0;
    for (; first + 8 * ROWS <= bytes; first += 8 * ROWS) {
        __m256i sums[ROWS];
        for (int part = 0; part < ROWS; part++)
            sums[part] = _mm256_set1_epi32(HALF);
        for (int tap = 0; tap < count; tap++) {
            __m256i every = _mm256_set1_epi32(weight[tap]);
            for (int part = 0; part < ROWS; part++) {
                __m256i bytes_there = eight(rows[tap] + first + 8 * part);
                sums[part] = _mm256_add_epi32(sums[part], _mm256_mullo_epi32(bytes_there, every));
            }
        }
        for (int part = 0; part < ROWS; part++) {
            int32_t halves[2] = {four_bytes(_mm256_castsi256_si128(sums[part])),
                                 four_bytes(_mm256_extracti128_si256(sums[part], 1))};
            memcpy(to + first + 8 * part, halves, 8);
        }
    }
    for (; first < bytes; first += CHANNELS) {
        __m128i sum = _mm_set1_epi32(HALF);
        for (int tap = 0; tap < count; tap++) {
            __m128i there = four(rows[tap] + first);
            sum = _mm_add_epi32(sum, _mm_mullo_epi32(there, _mm_set1_epi32(weight[tap])));
        }
        int32_t pixel = four_bytes(sum);
        memcpy(to + first, &pixel, CHANNELS);
    }
}

/* Pillow resizes columns before rows where the height shrinks by more than twice as many pixels as the width. */
int columns_first(int height, int width, int size)
{
    return height > size && height - size > 2 * (width > size ? width - size : 0);
}
