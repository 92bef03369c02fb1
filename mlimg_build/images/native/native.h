/* What the files of the extension share. */

#ifndef MLIMG_NATIVE_H
#define MLIMG_NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* Each hot loop is compiled for AVX2 as well, and the processor's own variant is chosen when it runs. Both compute the
   same: in whole numbers, or in floats without fused operations (-ffp-contract=off). MLIMG_PLAIN leaves AVX2 out, for
   tests of that. The choice needs glibc, whose headers define __GLIBC__. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute) && !defined(MLIMG_PLAIN)
#if __has_attribute(target_clones)
#define FAST __attribute__((target_clones("avx2", "default")))
#define HAS_AVX2 1
#endif
#endif
#ifndef FAST
#define FAST
#define HAS_AVX2 0
#endif

enum { MESSAGE = 256 };

/* What is refused, as in `formats/jpeg.py`: more pixels, whose coefficients a file of several scans keeps in memory, and
   more scans, each of which takes the time of a whole image and hardly a byte. */
enum { MOST_PIXELS = 100000000, MOST_SCANS = 500 };

/* How an image lies in its output: first mirrored left to right and top to bottom, then its axes swapped. */
enum { MIRROR = 1, FLIP = 2, SWAP = 4 };

/* One axis of a resize: output i is the sum of `taps` inputs from `first[i]` on, times weights[i * taps ...]. */
typedef struct {
    int taps, *first;
    int32_t *weights; /* of 2^22 parts */
} Axis;

/* Memory that one image after the other uses: what is new for each of them, the system fills with zeros first. */
typedef struct {
    uint8_t *memory;
    size_t bytes;
} Scratch;

/* An antialiased resize of a part of an image with four bytes a pixel to `size` x `size` pixels of three bytes.
   Rows are given in order, from `top` to `bottom` (not included), each from column `left` to `right`. */
typedef struct {
    Axis x, y;
    int32_t *pairs; /* the weights of x as two outputs at a time take them; NULL without AVX2 */
    int size, left, right, top, bottom;
    size_t width;  /* of a resized row, in bytes: `size` pixels and one more if they are odd */
    uint8_t *rows; /* [bottom - top, width], of the scratch */
} Resize;

/* Whether a box begins inside an image and ends no more than a rounding error outside: if most of it lay there, each
   output would be a sum over all pixels. */
static inline int is_inside(const double box[4], double width, double height) {
    return box[0] < width && box[1] < height && box[2] <= width + 1 && box[3] <= height + 1;
}

int resize_begin(Resize *resize, Scratch *scratch, const double box[4], int width, int height, int bounded,
                 int size);
void resize_row(Resize *resize, int row, const uint8_t *pixels);
int resize_end(Resize *resize, unsigned lie, uint8_t *output);
void resize_free(Resize *resize);

/* Decodes the part of a JPEG that `box` needs, and resizes it; 0, or -1 with a message. */
int jpeg_part(const uint8_t *data, size_t bytes, const double box[4], int bounded, double least, unsigned lie, int size,
              uint8_t *output, Scratch *scratch, char *message);

void rotate(uint8_t *image, int size, float degrees, uint8_t *scratch);
void change_colours(uint8_t *image, size_t pixels, const uint8_t order[4], const float factors[4],
                    uint8_t *scratch);

#endif
