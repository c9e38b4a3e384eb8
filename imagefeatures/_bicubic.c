/* Bicubic resizing of 8-bit pictures, bit for bit as Pillow does it: of pictures in memory, and of JPEGs while they are
   decoded. */

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "_filter.h"
#include "_jpeg.h"
#include "_markers.h"
#include "_png.h"

#include <stdlib.h>
#include <string.h>

/* `height` rows of `width` pixels become as many of `size`. */
static void resize_rows(uint8_t *to, const uint8_t *from, int height, int width, const Taps *taps, int size)
{
    for (int y = 0; y < height; y += ROWS) {
        int first = y + ROWS <= height ? y : height - ROWS; /* the last few overlap those before */
        narrow(to + (size_t)first * size * CHANNELS, from + (size_t)first * width * CHANNELS, width, taps, size);
    }
}

/* `height` rows of `bytes` bytes become `size` of them. Returns 0, or -1 where there is no memory. */
static int resize_columns(uint8_t *to, const uint8_t *from, const int shape[2], const Taps *taps, int size)
{
    int height = shape[0], bytes = shape[1] * CHANNELS;
    const uint8_t **rows = malloc(height * sizeof *rows);
    if (!rows)
        return -1;
    for (int y = 0; y < height; y++)
        rows[y] = from + (size_t)y * bytes;
    for (int y = 0; y < size; y++)
        flatten(to + (size_t)y * bytes, rows + taps->first[y], taps, y, bytes);
    free(rows);
    return 0;
}

/* `between`, `done`: room for what the first pass makes, and the second. Returns 0, or -1 where there is no memory. */
static int resize(const uint8_t **in, uint8_t *between, uint8_t *done, const int shape[2], int size)
{
    int height = shape[0], width = shape[1], order = columns_first(height, width, size);
    Taps across = {0}, down = {0};
    int failed = make_taps(&across, width, size, 0, 1) || make_taps(&down, height, size, 0, 0);
    for (int pass = 0; pass < 2 && !failed; pass++) {
        uint8_t *to = pass ? done : between;
        if (pass == order && width != size) {
            resize_rows(to, *in, pass ? size : height, width, &across, size);
            *in = to;
        } else if (pass != order && height != size) {
            int columns[2] = {height, pass ? size : width};
            failed = resize_columns(to, *in, columns, &down, size);
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

static PyObject *connect(PyObject *module, PyObject *path)
{
    PyObject *encoded;
    if (!PyUnicode_FSConverter(path, &encoded))
        return NULL;
    int found = connect_jpeg(PyBytes_AsString(encoded));
    Py_DECREF(encoded);
    return PyBool_FromLong(found);
}

static PyObject *stream(PyObject *module, PyObject *arguments)
{
    Py_buffer in, out;
    Jpeg jpeg;
    int done = 0;
    if (!PyArg_ParseTuple(arguments, "y*(iii)iw*i", &in, &jpeg.height, &jpeg.width, &jpeg.components,
                          &jpeg.orientation, &out, &jpeg.size))
        return NULL;
    jpeg.bytes = in.buf;
    jpeg.length = in.len;
    int fits = jpeg.height > 0 && jpeg.height <= 65535 && jpeg.width > 0 && jpeg.width <= 65535 &&
               jpeg.orientation >= 1 && jpeg.orientation <= 8 && jpeg.size >= ROWS && jpeg.size <= 4096 &&
               (jpeg.components == 1 || jpeg.components == 3) && out.len == (Py_ssize_t)jpeg.size * jpeg.size * 3;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "the shape, the orientation or the size of the buffer is not possible");
    } else {
        Py_BEGIN_ALLOW_THREADS
        done = stream_jpeg(&jpeg, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    return fits ? PyBool_FromLong(done) : NULL;
}

static PyObject *marker(PyObject *module, PyObject *arguments)
{
    Py_buffer in;
    Py_ssize_t at;
    if (!PyArg_ParseTuple(arguments, "y*n", &in, &at))
        return NULL;
    Py_ssize_t found = at < 0 || at > in.len ? -1 : next_marker(in.buf, in.len, at);
    PyBuffer_Release(&in);
    if (at < 0)
        PyErr_SetString(PyExc_ValueError, "no place is before the first byte");
    return at < 0 ? NULL : PyLong_FromSsize_t(found);
}

static PyObject *unfilter(PyObject *module, PyObject *arguments)
{
    Py_buffer in, out;
    int height, width, channels, done = 0;
    if (!PyArg_ParseTuple(arguments, "y*(iii)w*", &in, &height, &width, &channels, &out))
        return NULL;
    int fits = height > 0 && width > 0 && (channels == 3 || channels == 4) &&
               width <= INT_MAX / 4 && in.len / height == (Py_ssize_t)width * channels + 1 && in.len % height == 0 &&
               out.len / height == (Py_ssize_t)width * CHANNELS && out.len % height == 0;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "buffers do not have the sizes that the shape says");
    } else {
        Py_BEGIN_ALLOW_THREADS
        done = unfilter_png(out.buf, in.buf, height, width, channels);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    return fits ? PyBool_FromLong(done) : NULL;
}

static PyObject *vnni(PyObject *module, PyObject *use)
{
    int used = PyObject_IsTrue(use);
    if (used < 0)
        return NULL;
    used = used && has_vnni();
    use_vnni(used);
    return PyBool_FromLong(used);
}

static PyMethodDef methods[] = {
    {"bicubic", bicubic, METH_VARARGS,
     "bicubic(pixels, (height, width), out, size): four bytes a pixel to three, size x size."},
    {"connect", connect, METH_O,
     "connect(path): whether the library at that path, which is loaded, is linked to a libjpeg; stream uses that one."},
    {"stream", stream, METH_VARARGS,
     "stream(jpeg, (height, width, components), orientation, out, size): decode and resize, upright, to three bytes a "
     "pixel. Returns False where that is for Pillow to do, or to refuse: the file is unusual or faulty."},
    {"marker", marker, METH_VARARGS,
     "marker(jpeg, at): the place of the first marker with a segment, or of the end's, from there on; -1 without one."},
    {"unfilter", unfilter, METH_VARARGS,
     "unfilter(rows, (height, width, channels), out): rows of a PNG as they are inflated to pixels of four bytes. "
     "Returns False where a row has a filter that there is not."},
    {"vnni", vnni, METH_O,
     "vnni(use): use VNNI, or AVX2 alone. Returns whether it is used: the processor may have none. At first it is."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_bicubic", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__bicubic(void)
{
    if (!__builtin_cpu_supports("avx2")) {
        PyErr_SetString(PyExc_ImportError, "this processor has no AVX2");
        return NULL;
    }
    use_vnni(has_vnni());
    return PyModuleDef_Init(&definition);
}
