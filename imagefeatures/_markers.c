/* Where the segments of a JPEG begin, 32 bytes at a time. In coded pixels some byte in 200 is ff, and nearly always 00
   follows: to look at each of these costs more than to compare all bytes. */

#include "_markers.h"

#include <immintrin.h>

/* The kinds that the byte behind ff tells: 00 is a stuffed byte, ff a filler; 01 and d0 to d7 have no segment. */
static int begins_segment(uint8_t kind)
{
    return kind > 0x01 && kind != 0xff && (kind & 0xf8) != 0xd0;
}

__attribute__((target("avx2"))) ptrdiff_t next_marker(const uint8_t *bytes, ptrdiff_t length, ptrdiff_t at)
{
    const __m256i filler = _mm256_set1_epi8((char)0xff), least = _mm256_set1_epi8(2);
    const __m256i upper = _mm256_set1_epi8((char)0xf8), restart = _mm256_set1_epi8((char)0xd0);
    for (; at + 33 <= length; at += 32) {
        __m256i first = _mm256_loadu_si256((const __m256i *)(bytes + at));
        __m256i kind = _mm256_loadu_si256((const __m256i *)(bytes + at + 1));
        __m256i is_marker = _mm256_cmpeq_epi8(first, filler);
        __m256i enough = _mm256_cmpeq_epi8(_mm256_max_epu8(kind, least), kind);
        __m256i not = _mm256_or_si256(_mm256_cmpeq_epi8(kind, filler),
                                      _mm256_cmpeq_epi8(_mm256_and_si256(kind, upper), restart));
        int found = _mm256_movemask_epi8(_mm256_andnot_si256(not, _mm256_and_si256(is_marker, enough)));
        if (found)
            return at + __builtin_ctz(found);
    }
    for (; at + 1 < length; at++)
        if (bytes[at] == 0xff && begins_segment(bytes[at + 1]))
            return at;
    return -1;
}
