/* Decodes no more of a JPEG than a resized part needs: at a smaller scale, without the columns and rows around it.

   The Huffman codes above the part must still be read, and those beside it; nothing below it is. */

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "native.h"

#if !defined(LIBJPEG_TURBO_VERSION_NUMBER) || LIBJPEG_TURBO_VERSION_NUMBER < 2000000
#error "libjpeg-turbo 2.0 or later is needed"
#endif

typedef struct {
    struct jpeg_error_mgr base;
    jmp_buf escape;
    char *message;
} Errors;

static void give_up(j_common_ptr info) {
    Errors *errors = (Errors *)info->err;
    char said[JMSG_LENGTH_MAX];
    errors->base.format_message(info, said);
    snprintf(errors->message, MESSAGE, "%s", said);
    longjmp(errors->escape, 1);
}

static void say_nothing(j_common_ptr info, int level) {
    (void)level;
    info->err->num_warnings += level < 0;
}

static void print_nothing(j_common_ptr info) { (void)info; }

static void count_scans(j_common_ptr info) {
    Errors *errors = (Errors *)info->err;
    if (((j_decompress_ptr)info)->input_scan_number <= MOST_SCANS) return;
    snprintf(errors->message, MESSAGE, "it has more than %d scans", MOST_SCANS);
    longjmp(errors->escape, 1);
}

/* The smallest of the scales 1/8, 1/4, 1/2 (those with a fast inverse DCT) at which both sides of the box still have
   `least` times the pixels of the output; 1 otherwise. */
static unsigned eighths(const double box[4], double least, int size) {
    const double width = box[2] - box[0], height = box[3] - box[1], side = width < height ? width : height;
    for (unsigned scale = 1; scale < 8; scale *= 2) {
        if (side * scale >= 8 * least * size) return scale;
    }
    return 8;
}

/* What must be freed, however decoding ends. */
typedef struct {
    struct jpeg_decompress_struct info;
    Errors errors;
    struct jpeg_progress_mgr progress;
    Resize resize;
    uint8_t *line;
} Decoding;

static int fail(Decoding *now, const char *message) {
    snprintf(now->errors.message, MESSAGE, "%s", message);
    return -1;
}

static int decode(Decoding *now, const uint8_t *data, size_t bytes, const double box[4], int bounded, double least,
                  unsigned lie, int size, uint8_t *output, Scratch *scratch) {
    struct jpeg_decompress_struct *info = &now->info;
    Resize *resize = &now->resize;
    if (setjmp(now->errors.escape)) return -1;
    jpeg_create_decompress(info);
    jpeg_mem_src(info, data, bytes);
    now->progress.progress_monitor = count_scans;
    info->progress = &now->progress;
    jpeg_read_header(info, TRUE);
    if ((uint64_t)info->image_width * info->image_height > MOST_PIXELS) return fail(now, "it has too many pixels");
    if (!is_inside(box, info->image_width, info->image_height)) return fail(now, "the box lies outside");
    const J_COLOR_SPACE colours = info->jpeg_color_space;
    if (colours != JCS_GRAYSCALE && colours != JCS_YCbCr && colours != JCS_RGB) {
        return fail(now, "its colours are not grey, YCbCr or RGB");
    }
    info->out_color_space = JCS_EXT_RGBX;
    info->dct_method = JDCT_ISLOW;
    info->scale_num = eighths(box, least, size);
    info->scale_denom = 8;
    jpeg_start_decompress(info);
    const int width = info->output_width, height = info->output_height;
    const double across = (double)width / info->image_width, down = (double)height / info->image_height;
    const double part[4] = {box[0] * across, box[1] * down, box[2] * across, box[3] * down};
    if (resize_begin(resize, scratch, part, width, height, bounded, size)) return fail(now, "there is no memory");
    /* Colours at half resolution are interpolated between neighbours: two more columns are decoded at each side. */
    JDIMENSION from = resize->left > 2 ? resize->left - 2 : 0;
    JDIMENSION columns = (resize->right + 2 < width ? resize->right + 2 : width) - from;
    if ((int)columns < width) jpeg_crop_scanline(info, &from, &columns);
    now->line = malloc((size_t)info->output_width * 4);
    if (!now->line) return fail(now, "there is no memory");
    if (resize->top > 0) jpeg_skip_scanlines(info, resize->top);
    for (int row = resize->top; row < resize->bottom; row++) {
        JSAMPROW rows[1] = {now->line};
        if (jpeg_read_scanlines(info, rows, 1) != 1) return fail(now, "a row of pixels is missing");
        resize_row(resize, row, now->line + 4 * ((size_t)resize->left - from));
    }
    return resize_end(resize, lie, output) ? fail(now, "there is no memory") : 0;
}

int jpeg_part(const uint8_t *data, size_t bytes, const double box[4], int bounded, double least, unsigned lie, int size,
              uint8_t *output, Scratch *scratch, char *message) {
    Decoding now;
    memset(&now, 0, sizeof now);
    now.info.err = jpeg_std_error(&now.errors.base);
    now.errors.base.error_exit = give_up;
    now.errors.base.emit_message = say_nothing;
    now.errors.base.output_message = print_nothing;
    now.errors.message = message;
    const int result = decode(&now, data, bytes, box, bounded, least, lie, size, output, scratch);
    jpeg_destroy_decompress(&now.info); /* what is below the part was not read */
    resize_free(&now.resize);
    free(now.line);
    return result;
}
