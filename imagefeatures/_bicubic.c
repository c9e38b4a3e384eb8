/* Bicubic resizing of 8-bit pictures, bit for bit as Pillow does it, with vector instructions.

   The arithmetic is Pillow's (src/libImaging/Resample.c, version 13): a cubic with a = -0.5, stretched when the picture
   shrinks; weights normalised in double precision, then rounded to fixed point with 22 bits behind the point; a pass over
   rows and one over columns, each rounded and clipped to a byte. Sums are of integers, so their order does not matter,
   and eight lanes may be summed side by side. tests/test_bicubic.py holds the two against each other. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BITS 22
#define HALF (1 << (BITS - 1))
#define CHANNELS 4 /* of a pixel in memory: red, green, blue, unused */

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#else
#error "written for AVX2 alone: elsewhere Pillow does it"
#endif

/* Which input places make each output place, and by what weight. The rows of `weights` are `room` long. */
typedef struct {
    int room;
    int *first, *count;
    int32_t *weights;
} Taps;

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

static void free_taps(Taps *taps)
{
    free(taps->first);
    free(taps->count);
    free(taps->weights);
}

static int make_taps(Taps *taps, int in, int out)
{
    double scale = (double)in / out, stretch = scale < 1.0 ? 1.0 : scale, support = 2.0 * stretch;
    int room = (int)ceil(support) * 2 + 1;
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
        for (int tap = 0; tap < end - first; tap++) {
            double weight = sum != 0.0 ? exact[tap] / sum : exact[tap];
            taps->weights[(size_t)at * room + tap] = (int32_t)((weight < 0 ? -0.5 : 0.5) + weight * (1 << BITS));
        }
        taps->first[at] = first;
        taps->count[at] = end - first;
    }
    free(exact);
    return 0;
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

/* ROWS rows of `width` pixels become as many of `out`. Two taps at a time, a pixel of each in four lanes. */
#define ROWS 4
AVX2 static void narrow(uint8_t *to, const uint8_t *from, int width, const Taps *taps, int out)
{
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

/* One row of `bytes` bytes, a multiple of four, from the rows below `from`. */
AVX2 static void flatten(uint8_t *to, const uint8_t *from, const int32_t *weight, int count, int bytes)
{
    int at = 0;
    for (; at + 8 * ROWS <= bytes; at += 8 * ROWS) {
        __m256i sums[ROWS];
        for (int part = 0; part < ROWS; part++)
            sums[part] = _mm256_set1_epi32(HALF);
        for (int tap = 0; tap < count; tap++) {
            __m256i every = _mm256_set1_epi32(weight[tap]);
            for (int part = 0; part < ROWS; part++) {
                __m256i bytes_there = eight(from + (size_t)tap * bytes + at + 8 * part);
                sums[part] = _mm256_add_epi32(sums[part], _mm256_mullo_epi32(bytes_there, every));
            }
        }
        for (int part = 0; part < ROWS; part++) {
            int32_t halves[2] = {four_bytes(_mm256_castsi256_si128(sums[part])),
                                 four_bytes(_mm256_extracti128_si256(sums[part], 1))};
            memcpy(to + at + 8 * part, halves, 8);
        }
    }
    for (; at < bytes; at += CHANNELS) {
        __m128i sum = _mm_set1_epi32(HALF);
        for (int tap = 0; tap < count; tap++) {
            __m128i there = four(from + (size_t)tap * bytes + at);
            sum = _mm_add_epi32(sum, _mm_mullo_epi32(there, _mm_set1_epi32(weight[tap])));
        }
        int32_t pixel = four_bytes(sum);
        memcpy(to + at, &pixel, CHANNELS);
    }
}

/* Pillow resizes columns before rows where the height shrinks by more than twice as many pixels as the width. */
static int columns_first(int height, int width, int size)
{
    return height > size && height - size > 2 * (width > size ? width - size : 0);
}

/* `height` rows of `width` pixels become as many of `size`. */
static void resize_rows(uint8_t *to, const uint8_t *from, int height, int width, const Taps *taps, int size)
{
    for (int y = 0; y < height; y += ROWS) {
        int first = y + ROWS <= height ? y : height - ROWS; /* the last few overlap those before */
        narrow(to + (size_t)first * size * CHANNELS, from + (size_t)first * width * CHANNELS, width, taps, size);
    }
}

/* Rows of `bytes` bytes become `size` of them. */
static void resize_columns(uint8_t *to, const uint8_t *from, int bytes, const Taps *taps, int size)
{
    for (int y = 0; y < size; y++) {
        const int32_t *weight = taps->weights + (size_t)y * taps->room;
        flatten(to + (size_t)y * bytes, from + (size_t)taps->first[y] * bytes, weight, taps->count[y], bytes);
    }
}

/* `between`, `done`: room for what the first pass makes, and the second. Returns 0, or -1 where there is no memory. */
static int resize(const uint8_t **in, uint8_t *between, uint8_t *done, const int shape[2], int size)
{
    int height = shape[0], width = shape[1], order = columns_first(height, width, size);
    Taps across = {0}, down = {0};
    int failed = make_taps(&across, width, size) || make_taps(&down, height, size);
    for (int pass = 0; pass < 2 && !failed; pass++) {
        uint8_t *to = pass ? done : between;
        if (pass == order && width != size) {
            resize_rows(to, *in, pass ? size : height, width, &across, size);
            *in = to;
        } else if (pass != order && height != size) {
            resize_columns(to, *in, (pass ? size : width) * CHANNELS, &down, size);
            *in = to;
        }
    }
    free_taps(&across);
    free_taps(&down);
    return failed ? -1 : 0;
}

/* Four bytes a pixel to three. */
static void pack(uint8_t *out, const uint8_t *in, int pixels)
{
    for (int at = 0; at < pixels; at++)
        memcpy(out + (size_t)at * 3, in + (size_t)at * CHANNELS, 3);
}

static int bicubic_of(uint8_t *out, const uint8_t *in, const int shape[2], int size)
{
    size_t lines = columns_first(shape[0], shape[1], size) ? shape[1] : shape[0]; /* the shorter way: a strip is long */
    uint8_t *between = malloc(lines * size * CHANNELS), *done = malloc((size_t)size * size * CHANNELS);
    int failed = !between || !done || resize(&in, between, done, shape, size);
    if (!failed)
        pack(out, in, size * size);
    free(between);
    free(done);
    return failed;
}

static PyObject *bicubic(PyObject *module, PyObject *arguments)
{
    Py_buffer in, out;
    int shape[2], size, failed = 0;
    if (!PyArg_ParseTuple(arguments, "y*(ii)w*i", &in, &shape[0], &shape[1], &out, &size))
        return NULL;
    int fits = shape[0] >= ROWS && shape[1] > 0 && size >= ROWS && size <= 4096 &&
               in.len == (Py_ssize_t)shape[0] * shape[1] * CHANNELS && out.len == (Py_ssize_t)size * size * 3;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "buffers do not have the sizes that the shapes say");
    } else {
        Py_BEGIN_ALLOW_THREADS
        failed = bicubic_of(out.buf, in.buf, shape, size);
        Py_END_ALLOW_THREADS
        if (failed)
            PyErr_NoMemory();
    }
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"bicubic", bicubic, METH_VARARGS,
     "bicubic(pixels, (height, width), out, size): four bytes a pixel to three, size x size."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_bicubic", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__bicubic(void)
{
    if (!__builtin_cpu_supports("avx2")) {
        PyErr_SetString(PyExc_ImportError, "this processor has no AVX2");
        return NULL;
    }
    return PyModuleDef_Init(&definition);
}
