/* The rows that libjpeg decodes are filtered some at a time, while they are in the cache. Which pass of the filter comes
   first depends on the upright picture, as in Pillow. An EXIF orientation costs nothing on the large side: a mirrored
   axis has mirrored taps, and only the small square is turned.

   Whatever libjpeg warns of, and whatever is not a plain baseline picture in grey or three colours, is left to Pillow. */

#define _GNU_SOURCE /* RTLD_NOLOAD */
#include "_jpeg.h"

#include "_filter.h"
#include "_jpeg62.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 32 /* rows that are decoded before they are filtered; a multiple of ROWS */

static Library library;
static int is_connected;

/* The filter at work. Of the rows of the first pass, or of the picture where its columns come first, a ring of
   `capacity` is kept; row r is at ring[r % capacity], and ring goes round twice, so that rows in a row are pointers in
   a row. */
typedef struct {
    int width, height, size, down_first, next, capacity;
    int turned, from_right, from_below; /* how the stored picture lies */
    Taps across, down;
    uint8_t *kept, *block, *square;
    const uint8_t **ring;
} Filter;

static void close_filter(Filter *filter)
{
    free_taps(&filter->across);
    free_taps(&filter->down);
    free(filter->kept);
    free(filter->block);
    free(filter->square);
    free(filter->ring);
}

/* Returns 0, or -1 where there is no memory; close_filter is due in both cases. */
static int open_filter(Filter *filter, const Jpeg *jpeg)
{
    int width = jpeg->width, height = jpeg->height, size = jpeg->size, orientation = jpeg->orientation, most = 0;
    int turned = orientation >= 5;
    *filter = (Filter){.width = width, .height = height, .size = size, .turned = turned};
    filter->from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    filter->from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    filter->down_first = turned ? !columns_first(width, height, size) : columns_first(height, width, size);
    if (make_taps(&filter->across, width, size, filter->from_right, 1) ||
        make_taps(&filter->down, height, size, filter->from_below, 0))
        return -1;
    for (int y = 0; y < size; y++)
        most = filter->down.count[y] > most ? filter->down.count[y] : most;
    size_t row = (size_t)width * CHANNELS, small = (size_t)size * CHANNELS;
    size_t stride = filter->down_first ? row : small;
    filter->capacity = (most + BLOCK - 1) / BLOCK * BLOCK + BLOCK; /* no block is written over a row that is needed */
    filter->kept = malloc(filter->capacity * stride);
    filter->block = calloc(filter->down_first ? ROWS : BLOCK, row);
    filter->square = malloc((size + ROWS) * small); /* narrow makes ROWS rows where fewer are left */
    filter->ring = malloc(2 * filter->capacity * sizeof *filter->ring);
    if (!filter->kept || !filter->block || !filter->square || !filter->ring)
        return -1;
    for (int slot = 0; slot < 2 * filter->capacity; slot++)
        filter->ring[slot] = filter->kept + slot % filter->capacity * stride;
    return 0;
}

/* Where row `y` of the picture is to be decoded to. */
static uint8_t *place(const Filter *filter, int y)
{
    size_t slot = filter->down_first ? y % filter->capacity : y % BLOCK;
    return (filter->down_first ? filter->kept : filter->block) + slot * filter->width * CHANNELS;
}

/* The rows from `y` to `end`, one block, are in their places: make what can be made of them. */
static void feed(Filter *filter, int y, int end)
{
    const Taps *down = &filter->down;
    size_t row = (size_t)filter->width * CHANNELS, small = (size_t)filter->size * CHANNELS;
    for (int at = y; at < end && !filter->down_first; at += ROWS)
        narrow(filter->kept + at % filter->capacity * small, place(filter, at), filter->width, &filter->across,
               filter->size);
    for (; filter->next < filter->size; filter->next++) {
        int next = filter->next, first = down->first[next], count = down->count[next], part = next % ROWS;
        const uint8_t **rows = filter->ring + first % filter->capacity;
        if (first + count > end)
            return;
        if (!filter->down_first) {
            flatten(filter->square + next * small, rows, down, next, (int)small);
            continue;
        }
        flatten(filter->block + part * row, rows, down, next, (int)row);
        if (part == ROWS - 1 || next == filter->size - 1)
            narrow(filter->square + (next - part) * small, filter->block, filter->width, &filter->across, filter->size);
    }
}

/* The square as it is upright, in three bytes a pixel. */
static void turn(uint8_t *out, const Filter *filter)
{
    ptrdiff_t size = filter->size, below = filter->from_below ? -size : size, right = filter->from_right ? -1 : 1;
    ptrdiff_t across = filter->turned ? below : right, down = filter->turned ? right : below; /* to the next pixel */
    ptrdiff_t corner = (filter->from_below ? size * (size - 1) : 0) + (filter->from_right ? size - 1 : 0);
    for (ptrdiff_t y = 0; y < size; y++)
        for (ptrdiff_t x = 0; x < size; x++, out += 3)
            memcpy(out, filter->square + (corner + y * down + x * across) * CHANNELS, 3);
}

typedef struct {
    ErrorManager manager;
    jmp_buf back;
} Watch;

static void give_up(Decompressor *decoder)
{
    longjmp(((Watch *)decoder->err)->back, 1);
}

static void give_up_at_a_warning(Decompressor *decoder, int level)
{
    if (level < 0)
        give_up(decoder);
}

static void do_nothing(Decompressor *decoder)
{
    (void)decoder;
}

static void format_nothing(Decompressor *decoder, char *text)
{
    (void)decoder;
    *text = '\0';
}

static int is_as_expected(Decompressor *decoder, const Jpeg *jpeg)
{
    return decoder->image_width == (uint32_t)jpeg->width && decoder->image_height == (uint32_t)jpeg->height &&
           decoder->num_components == jpeg->components && decoder->data_precision == 8 && !decoder->progressive_mode &&
           !decoder->arith_code && !library.has_multiple_scans(decoder);
}

static int decode(Decompressor *decoder, const Jpeg *jpeg, Filter *filter)
{
    library.source(decoder, jpeg->bytes, jpeg->length);
    if (library.read_header(decoder, 1) != HEADER_OK || !is_as_expected(decoder, jpeg))
        return 0;
    decoder->out_color_space = COLOURS_IN_FOUR;
    if (!library.start(decoder) || decoder->output_components != CHANNELS ||
        decoder->output_width != decoder->image_width || decoder->output_height != decoder->image_height)
        return 0;
    for (int y = 0; y < jpeg->height; y += BLOCK) {
        int end = y + BLOCK < jpeg->height ? y + BLOCK : jpeg->height;
        uint8_t *rows[BLOCK];
        for (int at = y; at < end; at++)
            rows[at - y] = place(filter, at);
        for (int at = y; at < end;) {
            int count = (int)library.read_rows(decoder, rows + (at - y), end - at);
            if (count == 0)
                return 0;
            at += count;
        }
        feed(filter, y, end);
    }
    return library.finish(decoder); /* reads on to the end marker */
}

/* A frame of its own for setjmp: what the decoder has changed stays valid in its caller when it gives up. */
static int try_to_decode(Decompressor *decoder, Watch *watch, const Jpeg *jpeg, Filter *filter)
{
    decoder->err = &watch->manager;
    if (setjmp(watch->back))
        return 0;
    library.create(decoder, JPEG_VERSION, sizeof *decoder);
    return decode(decoder, jpeg, filter);
}

int connect_jpeg(const char *path)
{
    void *loaded = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (!loaded)
        return 0;
    struct {
        const char *name;
        void *function;
    } wanted[] = {{"jpeg_CreateDecompress", &library.create},
                  {"jpeg_mem_src", &library.source},
                  {"jpeg_read_header", &library.read_header},
                  {"jpeg_has_multiple_scans", &library.has_multiple_scans},
                  {"jpeg_start_decompress", &library.start},
                  {"jpeg_read_scanlines", &library.read_rows},
                  {"jpeg_finish_decompress", &library.finish},
                  {"jpeg_destroy_decompress", &library.destroy}};
    is_connected = 1;
    for (size_t at = 0; at < sizeof wanted / sizeof *wanted; at++) {
        void *found = dlsym(loaded, wanted[at].name); /* in that library, and then in those that it is linked to */
        memcpy(wanted[at].function, &found, sizeof found);
        is_connected = is_connected && found;
    }
    return is_connected; /* the library stays loaded as long as its functions are used */
}

int stream_jpeg(const Jpeg *jpeg, uint8_t *out)
{
    Filter filter;
    Decompressor decoder = {0};
    Watch watch = {.manager = {give_up, give_up_at_a_warning, do_nothing, format_nothing, do_nothing}};
    int done = 0;
    if (!is_connected)
        return 0;
    if (open_filter(&filter, jpeg) == 0) {
        done = try_to_decode(&decoder, &watch, jpeg, &filter);
        library.destroy(&decoder);
    }
    if (done)
        turn(out, &filter);
    close_filter(&filter);
    return done;
}
