/* The same two passes for processors that multiply bytes: VNNI sums four products of an unsigned and a signed byte in one
   lane. A weight is written with three signed digits to the base of 256, so that a sum of products with the weight is
   three sums of products with its digits, exactly. */

#include "_filter.h"

#include <immintrin.h>
#include <stdlib.h>
#include <string.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

int has_vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}

/* Write a weight's digits, `apart` bytes from each other. Returns whether DIGITS of them suffice. */
static int split(int8_t *digits, int32_t weight, int apart)
{
    for (int digit = 0; digit < DIGITS; digit++) {
        digits[digit * apart] = (int8_t)(weight & 255);
        weight = (weight - digits[digit * apart]) / 256;
    }
    return weight == 0;
}

/* Make an output place's taps whole fours that lie in the row: places are added that have no weight. Returns whether
   the row is long enough. */
static int fill_up(Taps *taps, int at, int in)
{
    int32_t *weights = taps->weights + (size_t)at * taps->room;
    int count = taps->count[at], whole = (count + FOUR - 1) / FOUR * FOUR, beyond = taps->first[at] + whole - in;
    if (whole > in)
        return 0;
    if (beyond > 0) {
        memmove(weights + beyond, weights, count * sizeof *weights);
        memset(weights, 0, beyond * sizeof *weights);
        taps->first[at] -= beyond;
    }
    taps->count[at] = whole;
    return 1;
}

int split_taps(Taps *taps, int in, int out, int in_row)
{
    int fours = taps->room / FOUR, fits = 1;
    taps->digits = calloc((size_t)out * fours, FOUR * DIGITS);
    if (!taps->digits)
        return -1;
    for (int at = 0; at < out; at++) {
        int8_t *digits = taps->digits + (size_t)at * fours * FOUR * DIGITS;
        fits = (!in_row || fill_up(taps, at, in)) && fits;
        for (int tap = 0; tap < taps->count[at]; tap++) {
            int8_t *four = digits + tap / FOUR * FOUR * DIGITS;
            fits = split(four + tap % FOUR, taps->weights[(size_t)at * taps->room + tap], FOUR) && fits;
        }
    }
    taps->fours = fits ? fours : 0;
    return 0;
}

/* One sum from those of the three digits. */
VNNI static inline __m512i joined(const __m512i sums[DIGITS])
{
    __m512i high = _mm512_add_epi32(_mm512_slli_epi32(sums[2], 8), sums[1]);
    return _mm512_add_epi32(_mm512_slli_epi32(high, 8), sums[0]);
}

/* Sums rounded and shifted down. */
VNNI static inline __m512i whole(__m512i sums)
{
    return _mm512_srai_epi32(_mm512_add_epi32(sums, _mm512_set1_epi32(HALF)), BITS);
}

/* The next digit of four taps, in every lane. */
VNNI static inline __m512i next_digit(const int8_t **digits)
{
    int32_t four;
    memcpy(&four, *digits, sizeof four);
    *digits += FOUR;
    return _mm512_set1_epi32(four);
}

/* Four pixels of each row at a time, a row in each quarter, a lane of sums for each channel of it. */
VNNI void narrow_vnni(uint8_t *to, const uint8_t *from, int width, const Taps *taps, int out)
{
    const __m512i by_channel =
        _mm512_broadcast_i32x4(_mm_set_epi8(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0));
    const size_t row = (size_t)width * CHANNELS;
    for (int at = 0; at < out; at++) {
        const int8_t *digits = taps->digits + (size_t)at * taps->fours * FOUR * DIGITS;
        const uint8_t *pixel = from + (size_t)taps->first[at] * CHANNELS;
        __m512i sums[DIGITS] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
        for (int tap = 0; tap < taps->count[at]; tap += FOUR, pixel += FOUR * CHANNELS) {
            __m512i pixels = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)pixel));
            for (int next = 1; next < ROWS; next++) {
                __m128i four = _mm_loadu_si128((const __m128i *)(pixel + next * row));
                pixels = _mm512_mask_broadcast_i32x4(pixels, 0xF << 4 * next, four);
            }
            pixels = _mm512_shuffle_epi8(pixels, by_channel);
            for (int digit = 0; digit < DIGITS; digit++)
                sums[digit] = _mm512_dpbusd_epi32(sums[digit], pixels, next_digit(&digits));
        }
        uint8_t bytes[ROWS * CHANNELS];
        __m512i clipped = _mm512_max_epi32(whole(joined(sums)), _mm512_setzero_si512());
        _mm_storeu_si128((__m128i *)bytes, _mm512_cvtusepi32_epi8(clipped));
        for (int next = 0; next < ROWS; next++)
            memcpy(to + ((size_t)next * out + at) * CHANNELS, bytes + next * CHANNELS, CHANNELS);
    }
}

/* 64 bytes of four rows at a time, a lane of sums for each four of them. */
VNNI void flatten_vnni(uint8_t *to, const uint8_t *const *rows, const Taps *taps, int at, int bytes)
{
    int count = taps->count[at];
    for (int first = 0; first < bytes; first += 64) {
        __mmask64 there = bytes - first < 64 ? ((__mmask64)1 << (bytes - first)) - 1 : ~(__mmask64)0;
        const int8_t *digits = taps->digits + (size_t)at * taps->fours * FOUR * DIGITS;
        __m512i sums[FOUR][DIGITS];
        for (int part = 0; part < FOUR; part++)
            for (int digit = 0; digit < DIGITS; digit++)
                sums[part][digit] = _mm512_setzero_si512();
        for (int tap = 0; tap < count; tap += FOUR) {
            __m512i row[FOUR];
            for (int next = 0; next < FOUR; next++) /* what is beyond the taps has no weight */
                row[next] = _mm512_maskz_loadu_epi8(there, rows[tap + next < count ? tap + next : tap] + first);
            __m512i low[2] = {_mm512_unpacklo_epi8(row[0], row[1]), _mm512_unpacklo_epi8(row[2], row[3])};
            __m512i high[2] = {_mm512_unpackhi_epi8(row[0], row[1]), _mm512_unpackhi_epi8(row[2], row[3])};
            __m512i part_of[FOUR] = {_mm512_unpacklo_epi16(low[0], low[1]), _mm512_unpackhi_epi16(low[0], low[1]),
                                     _mm512_unpacklo_epi16(high[0], high[1]), _mm512_unpackhi_epi16(high[0], high[1])};
            for (int digit = 0; digit < DIGITS; digit++) {
                __m512i weights = next_digit(&digits);
                for (int part = 0; part < FOUR; part++)
                    sums[part][digit] = _mm512_dpbusd_epi32(sums[part][digit], part_of[part], weights);
            }
        }
        __m512i words[2];
        for (int pair = 0; pair < 2; pair++)
            words[pair] = _mm512_packs_epi32(whole(joined(sums[2 * pair])), whole(joined(sums[2 * pair + 1])));
        _mm512_mask_storeu_epi8(to + first, there, _mm512_packus_epi16(words[0], words[1]));
    }
}
