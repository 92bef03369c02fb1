/* Antialiased bilinear resizing, bit for bit as Pillow's `Image.resize((size, size), BILINEAR, box=box)`.

   A triangle as wide as two output pixels, and no narrower than two input pixels, is laid over the input at the centre
   of each output pixel; its weights are whole numbers of 2^22 parts; columns come first and are rounded to bytes. */

#include <stdlib.h>
#include <string.h>

#include "native.h"

#if HAS_AVX2
#include <immintrin.h>
#endif

enum { PRECISION = 22, HALF = 1 << (PRECISION - 1) };

static int axis_begin(Axis *axis, double start, double stop, int least, int most, int outputs) {
    const double scale = (stop - start) / outputs, wide = scale < 1 ? 1 : scale;
    const int room = 2 * ((int)wide + (wide > (int)wide)) + 1;
    axis->first = malloc(sizeof(int) * (outputs + 1));
    axis->weights = calloc((size_t)outputs * room, sizeof(int32_t));
    double *shares = malloc(sizeof(double) * room);
    int *counts = malloc(sizeof(int) * outputs);
    if (!axis->first || !axis->weights || !shares || !counts) {
        free(shares);
        free(counts);
        return -1;
    }
    axis->taps = 1;
    for (int i = 0; i < outputs; i++) {
        const double centre = start + (i + 0.5) * scale;
        int first = (int)(centre - wide + 0.5), end = (int)(centre + wide + 0.5);
        first = centre - wide + 0.5 < least ? least : first;
        end = end > most ? most : end;
        if (first >= end) { /* the box ends at a rounding error beyond the image */
            first = first >= most ? most - 1 : first;
            end = first + 1;
        }
        double sum = 0;
        for (int j = 0; j < end - first; j++) {
            const double away = (first + j - centre + 0.5) * (1.0 / wide), near = away < 0 ? -away : away;
            shares[j] = near < 1.0 ? 1.0 - near : 0.0;
            sum += shares[j];
        }
        for (int j = 0; j < end - first; j++) {
            const double share = sum != 0.0 ? shares[j] / sum : 1.0 / (end - first);
            axis->weights[i * room + j] = (int32_t)(0.5 + share * (1 << PRECISION));
        }
        axis->first[i] = first;
        counts[i] = end - first;
        axis->taps = counts[i] > axis->taps ? counts[i] : axis->taps;
    }
    /* Every output gets as many inputs, some of weight 0, so that the loops over them have a fixed length. */
    const int taps = axis->taps;
    for (int i = 0; i < outputs; i++) {
        const int back = axis->first[i] + taps > most ? axis->first[i] + taps - most : 0, count = counts[i];
        axis->first[i] -= back;
        for (int j = 0; j < taps; j++) {
            const int from = j - back;
            shares[j] = from >= 0 && from < count ? axis->weights[i * room + from] : 0;
        }
        for (int j = 0; j < taps; j++) axis->weights[i * taps + j] = (int32_t)shares[j];
    }
    axis->first[outputs] = axis->first[outputs - 1]; /* of a pair with the last */
    free(shares);
    free(counts);
    return 0;
}

#if HAS_AVX2
/* Lays the weights out as [pairs of outputs, taps, 8]; with an odd size, the last output stands twice. */
static int32_t *in_pairs(const Axis *axis, int size) {
    int32_t *pairs = malloc(sizeof(int32_t) * (size + 1) * axis->taps * 4), *to = pairs;
    for (int i = 0; pairs && i < size; i += 2) {
        for (int j = 0; j < axis->taps; j++) {
            for (int k = 0; k < 8; k++) {
                const int output = k < 4 || i + 1 == size ? i : i + 1;
                *to++ = axis->weights[output * axis->taps + j];
            }
        }
    }
    return pairs;
}
#endif

/* Prepares for a box (left, top, right, bottom) of an image of width x height pixels. If `bounded`, no pixel outside
   the box counts, as if it had been cut out before. Returns -1 without memory. */
int resize_begin(Resize *resize, Scratch *scratch, const double box[4], int width, int height, int bounded,
                 int size) {
    memset(resize, 0, sizeof *resize);
    resize->size = size;
    int ends[4] = {0, 0, width, height};
    if (bounded) {
        for (int side = 0; side < 4; side++) {
            int at = (int)box[side];
            at += side >= 2 && box[side] > at;
            ends[side] = side < 2 ? (at > ends[side] ? at : ends[side]) : (at < ends[side] ? at : ends[side]);
        }
        for (int side = 0; side < 2; side++) { /* a box beyond the image, or so narrow that it is rounded away */
            const int last = (side ? height : width) - 1;
            ends[side] = ends[side] < last ? ends[side] : last;
            ends[side + 2] = ends[side + 2] > ends[side] ? ends[side + 2] : ends[side] + 1;
        }
    }
    if (axis_begin(&resize->x, box[0], box[2], ends[0], ends[2], size) ||
        axis_begin(&resize->y, box[1], box[3], ends[1], ends[3], size)) {
        resize_free(resize);
        return -1;
    }
    resize->left = resize->x.first[0];
    resize->right = resize->x.first[size - 1] + resize->x.taps;
    resize->top = resize->y.first[0];
    resize->bottom = resize->y.first[size - 1] + resize->y.taps;
    int fast = 0;
#if HAS_AVX2
    fast = __builtin_cpu_supports("avx2");
    if (fast) resize->pairs = in_pairs(&resize->x, size);
#endif
    resize->width = 8 * ((size + 1) / 2);
    const size_t bytes = (size_t)(resize->bottom - resize->top) * resize->width;
    if (scratch->bytes < bytes) {
        free(scratch->memory);
        scratch->memory = malloc(bytes);
        scratch->bytes = scratch->memory ? bytes : 0;
    }
    resize->rows = scratch->memory;
    if (!resize->rows || (fast && !resize->pairs)) {
        resize_free(resize);
        return -1;
    }
    return 0;
}

/* A sum as a byte. Rounded up, the weights of thousands of inputs can add up to more than 1; Pillow saturates too. */
static inline uint8_t byte_of(int32_t sum) {
    const int32_t value = sum >> PRECISION;
    return (uint8_t)(value > 255 ? 255 : value);
}

static void plain_row(const Resize *resize, const uint8_t *pixels, uint8_t *output) {
    const int taps = resize->x.taps;
    for (int i = 0; i < resize->size; i++) {
        const uint8_t *input = pixels + 4 * (ptrdiff_t)resize->x.first[i];
        const int32_t *weights = resize->x.weights + (ptrdiff_t)i * taps;
        int32_t sums[4] = {HALF, HALF, HALF, HALF};
        for (int j = 0; j < taps; j++) {
            for (int k = 0; k < 4; k++) sums[k] += input[4 * j + k] * weights[j];
        }
        for (int k = 0; k < 4; k++) output[4 * i + k] = byte_of(sums[k]);
    }
}

#if HAS_AVX2
/* Four bytes; `_mm_loadu_si32` came with GCC 11, and put them into the wrong element until 11.3. */
static inline __attribute__((always_inline, target("avx2"))) __m128i pixel_at(const uint8_t *pixel) {
    int32_t four;
    memcpy(&four, pixel, sizeof four);
    return _mm_cvtsi32_si128(four);
}

static inline __attribute__((always_inline, target("avx2"))) void paired(const Resize *resize, const int taps,
                                                                         const uint8_t *pixels, uint8_t *output) {
    const int32_t *weights = resize->pairs;
    const __m256i half = _mm256_set1_epi32(HALF);
    for (int i = 0; i < resize->size; i += 2) {
        const uint8_t *one = pixels + 4 * (ptrdiff_t)resize->x.first[i];
        const uint8_t *other = pixels + 4 * (ptrdiff_t)resize->x.first[i + 1];
        __m256i sum = half;
        for (int j = 0; j < taps; j++, weights += 8) {
            const __m128i both = _mm_unpacklo_epi32(pixel_at(one + 4 * j), pixel_at(other + 4 * j));
            const __m256i weight = _mm256_loadu_si256((const __m256i *)weights);
            sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(both), weight));
        }
        sum = _mm256_srai_epi32(sum, PRECISION);
        __m128i bytes = _mm_packus_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        _mm_storel_epi64((__m128i *)(output + 4 * i), _mm_packus_epi16(bytes, bytes));
    }
}

__attribute__((target("avx2"))) static void paired_row(const Resize *resize, const uint8_t *pixels, uint8_t *output) {
    switch (resize->x.taps) { /* lengths that the compiler knows */
    case 2:
        paired(resize, 2, pixels, output);
        break;
    case 3:
        paired(resize, 3, pixels, output);
        break;
    case 4:
        paired(resize, 4, pixels, output);
        break;
    case 5:
        paired(resize, 5, pixels, output);
        break;
    default:
        paired(resize, resize->x.taps, pixels, output);
    }
}
#endif

/* Takes the next row: 4 bytes a pixel, from column `left` on. */
void resize_row(Resize *resize, int row, const uint8_t *pixels) {
    uint8_t *output = resize->rows + (size_t)(row - resize->top) * resize->width;
    pixels -= 4 * (ptrdiff_t)resize->left;
#if HAS_AVX2
    if (resize->pairs) {
        paired_row(resize, pixels, output);
        return;
    }
#endif
    plain_row(resize, pixels, output);
}

/* Sums `taps` rows of `width` bytes, times their weights. */
static void plain_sum(const uint8_t *rows, size_t width, const int32_t *weights, int taps, uint8_t *output) {
    for (size_t i = 0; i < width; i++) {
        int32_t sum = HALF;
        for (int j = 0; j < taps; j++) sum += rows[j * width + i] * weights[j];
        output[i] = byte_of(sum);
    }
}

#if HAS_AVX2
__attribute__((target("avx2"))) static void fast_sum(const uint8_t *rows, size_t width, const int32_t *weights,
                                                     int taps, uint8_t *output) {
    const __m256i half = _mm256_set1_epi32(HALF);
    size_t i = 0;
    for (; i + 16 <= width; i += 16) {
        __m256i low = half, high = half;
        for (int j = 0; j < taps; j++) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(rows + j * width + i));
            const __m256i weight = _mm256_set1_epi32(weights[j]);
            low = _mm256_add_epi32(low, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(bytes), weight));
            high = _mm256_add_epi32(
                high, _mm256_mullo_epi32(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes)), weight));
        }
        low = _mm256_srai_epi32(low, PRECISION);
        high = _mm256_srai_epi32(high, PRECISION);
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xD8);
        const __m128i sums = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((__m128i *)(output + i), sums);
    }
    for (; i < width; i++) {
        int32_t sum = HALF;
        for (int j = 0; j < taps; j++) sum += rows[j * width + i] * weights[j];
        output[i] = byte_of(sum);
    }
}

/* Drops the fourth byte of each pixel. */
__attribute__((target("avx2"))) static int fast_pixels(const uint8_t *pixels, int size, uint8_t *output) {
    const __m128i kept = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    int x = 0;
    for (; x + 8 <= size; x += 4) { /* each store writes four bytes too many, which the next one mends */
        const __m128i four = _mm_loadu_si128((const __m128i *)(pixels + 4 * x));
        _mm_storeu_si128((__m128i *)(output + 3 * x), _mm_shuffle_epi8(four, kept));
    }
    return x;
}
#endif

/* Writes uint8[size, size, 3] after the last row. Returns -1 without memory. */
int resize_end(Resize *resize, unsigned lie, uint8_t *output) {
    const int size = resize->size;
    const size_t width = resize->width;
    uint8_t *line = malloc(width);
    if (!line) return -1;
    const ptrdiff_t along = (lie & SWAP) ? size * 3 : 3, across = (lie & SWAP) ? 3 : size * 3;
    for (int y = 0; y < size; y++) {
        const uint8_t *rows = resize->rows + (resize->y.first[y] - resize->top) * width;
        const int32_t *weights = resize->y.weights + (ptrdiff_t)y * resize->y.taps;
        uint8_t *to = output + across * (lie & FLIP ? size - 1 - y : y) + along * (lie & MIRROR ? size - 1 : 0);
        const ptrdiff_t step = lie & MIRROR ? -along : along;
        int x = 0;
#if HAS_AVX2
        if (resize->pairs) {
            fast_sum(rows, width, weights, resize->y.taps, line);
            if (step == 3) x = fast_pixels(line, size, to);
        } else
#endif
            plain_sum(rows, width, weights, resize->y.taps, line);
        for (to += x * step; x < size; x++, to += step) memcpy(to, line + 4 * x, 3);
    }
    free(line);
    return 0;
}

void resize_free(Resize *resize) {
    Axis *axes[2] = {&resize->x, &resize->y};
    for (int i = 0; i < 2; i++) {
        free(axes[i]->first);
        free(axes[i]->weights);
    }
    free(resize->pairs);
    memset(resize, 0, sizeof *resize);
}
