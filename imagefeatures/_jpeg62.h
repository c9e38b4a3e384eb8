/* What is needed of the binary interface 6.2 of libjpeg, which libjpeg-turbo keeps: the library that Pillow has loaded
   is called by it, so that no header of it need be installed here.

   Members that nothing here uses are left without a name. The library compares its version and the size of Decompressor
   with its own before it writes into it. tests/test_jpeg_interface.py compares every member with <jpeglib.h>. */

#ifndef IMAGEFEATURES_JPEG62
#define IMAGEFEATURES_JPEG62

#include <stddef.h>
#include <stdint.h>

#define JPEG_VERSION 62
#define HEADER_OK 1       /* what read_header answers for an image */
#define COLOURS_IN_FOUR 7 /* JCS_EXT_RGBX: red, green, blue, unused. An extension of libjpeg-turbo's */

typedef struct Decompressor Decompressor;

typedef struct {
    void (*error_exit)(Decompressor *);
    void (*emit_message)(Decompressor *, int level); /* below 0: a warning */
    void (*output_message)(Decompressor *);
    void (*format_message)(Decompressor *, char *);
    void (*reset_error_mgr)(Decompressor *);
    char rest[128];
} ErrorManager;

struct Decompressor {
    ErrorManager *err;
    char unnamed_1[40];
    uint32_t image_width, image_height;
    int num_components, jpeg_color_space, out_color_space;
    char unnamed_2[68];
    uint32_t output_width, output_height;
    int out_color_components, output_components;
    char unnamed_3[144];
    int data_precision;
    char unnamed_4[12];
    int progressive_mode, arith_code;
    char unnamed_5[312];
};

typedef struct {
    void (*create)(Decompressor *, int version, size_t size);
    void (*source)(Decompressor *, const uint8_t *, unsigned long length);
    int (*read_header)(Decompressor *, int require_image);
    int (*has_multiple_scans)(Decompressor *);
    int (*start)(Decompressor *);
    uint32_t (*read_rows)(Decompressor *, uint8_t **rows, uint32_t most);
    int (*finish)(Decompressor *);
    void (*destroy)(Decompressor *);
} Library;

#endif
