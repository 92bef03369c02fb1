/* Rotation and changes of colours, as torchvision's transforms v2 compute them on tensors of bytes. */

#include <math.h>
#include <string.h>

#include "native.h"

#define PI 3.14159265358979323846 /* M_PI is not in ISO C */

static inline float clamped(float value, float most) { return value < 0 ? 0 : value > most ? most : value; }

#if HAS_AVX2
#include <immintrin.h>

__attribute__((target("avx2"))) static inline __m128 four(const uint8_t *pixel) {
    int32_t bytes;
    memcpy(&bytes, pixel, sizeof bytes);
    return _mm_cvtepi32_ps(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes)));
}

/* Adds up four pixels of four bytes, times their shares. */
__attribute__((target("avx2"))) static inline void blend_fast(const uint8_t *corner, const uint8_t *below,
                                                              const float shares[4], float sums[4]) {
    __m128 sum = _mm_mul_ps(four(corner), _mm_set1_ps(shares[0]));
    sum = _mm_add_ps(sum, _mm_mul_ps(four(corner + 4), _mm_set1_ps(shares[1])));
    sum = _mm_add_ps(sum, _mm_mul_ps(four(below), _mm_set1_ps(shares[2])));
    sum = _mm_add_ps(sum, _mm_mul_ps(four(below + 4), _mm_set1_ps(shares[3])));
    _mm_storeu_ps(sums, sum);
}
#endif

static inline void blend_plain(const uint8_t *corner, const uint8_t *below, const float shares[4], float sums[4]) {
    for (int i = 0; i < 4; i++) {
        sums[i] = corner[i] * shares[0] + corner[4 + i] * shares[1] + below[i] * shares[2] + below[4 + i] * shares[3];
    }
}

typedef void Blend(const uint8_t *, const uint8_t *, const float[4], float[4]);

/* Turns what `framed` [size + 2, size + 2, 4] has inside its black frame; the fourth byte says where there is a pixel. */
static inline __attribute__((always_inline)) void turn(uint8_t *image, int size, float degrees, const uint8_t *framed,
                                                       Blend *blend) {
    const double angle = degrees * (PI / 180);
    const float cosine = (float)cos(angle), sine = (float)sin(angle), middle = 0.5f * (size - 1);
    const ptrdiff_t wide = size + 2;
    for (int y = 0; y < size; y++) {
        const float down = y - middle;
        uint8_t *to = image + (size_t)y * size * 3;
        for (int x = 0; x < size; x++, to += 3) {
            const float along = x - middle;
            const float at_x = cosine * along - sine * down + middle, at_y = sine * along + cosine * down + middle;
            if (!(at_x > -1 && at_x < size && at_y > -1 && at_y < size)) {
                to[0] = to[1] = to[2] = 0;
                continue;
            }
            int left = (int)(at_x + 1), top = (int)(at_y + 1); /* of the framed image */
            left = left < size ? left : size; /* just below a power of two, the sum is rounded up to size + 1 */
            top = top < size ? top : size;
            const float right = at_x + 1 - left, bottom = at_y + 1 - top;
            const float shares[4] = {(1 - right) * (1 - bottom), right * (1 - bottom), (1 - right) * bottom,
                                     right * bottom};
            const uint8_t *corner = framed + 4 * (top * wide + left);
            float sums[4];
            blend(corner, corner + 4 * wide, shares, sums);
            for (int i = 0; i < 3; i++) to[i] = (uint8_t)(sums[i] * sums[3] + 0.5f);
        }
    }
}

#if HAS_AVX2
__attribute__((target("avx2"))) static void turn_fast(uint8_t *image, int size, float degrees, const uint8_t *framed) {
    turn(image, size, degrees, framed, blend_fast);
}
#endif

/* Turns uint8[size, size, 3] around its middle, counter-clockwise, bilinearly; what lies outside is black, and a pixel
   at the edge is darkened twice, as in `v2.RandomRotation(interpolation=BILINEAR, fill=0)`. */
void rotate(uint8_t *image, int size, float degrees, uint8_t *scratch) {
    const size_t wide = size + 2;
    memset(scratch, 0, wide * wide * 4);
    for (int y = 0; y < size; y++) {
        uint8_t *row = scratch + 4 * ((y + 1) * wide + 1);
        const uint8_t *from = image + (size_t)y * size * 3;
        for (int x = 0; x < size; x++) {
            memcpy(row + 4 * x, from + 3 * x, 3);
            row[4 * x + 3] = 1;
        }
    }
#if HAS_AVX2
    if (__builtin_cpu_supports("avx2")) {
        turn_fast(image, size, degrees, scratch);
        return;
    }
#endif
    turn(image, size, degrees, scratch, blend_plain);
}

/* Colours are changed on planes: bytes of red, green and blue apart, as the compiler makes vectors of them. */
typedef struct {
    uint8_t *restrict red, *restrict green, *restrict blue;
    size_t pixels;
} Planes;

FAST static void brighten(Planes at, float factor) {
    uint8_t *planes[3] = {at.red, at.green, at.blue};
    for (int channel = 0; channel < 3; channel++) {
        uint8_t *plane = planes[channel];
        for (size_t i = 0; i < at.pixels; i++) plane[i] = (uint8_t)(int)clamped(plane[i] * factor, 255);
    }
}

static inline int grey(uint8_t red, uint8_t green, uint8_t blue) { /* rounded down */
    return (int)(red * 0.2989f + green * 0.587f + blue * 0.114f);
}

FAST static void contrast(Planes at, float factor) {
    const uint8_t *restrict red = at.red, *restrict green = at.green, *restrict blue = at.blue;
    int64_t sum = 0;
    for (size_t start = 0; start < at.pixels; start += 4096) { /* so that 32 bits suffice inside */
        const size_t stop = start + 4096 < at.pixels ? start + 4096 : at.pixels;
        int32_t part = 0;
        for (size_t i = start; i < stop; i++) part += grey(red[i], green[i], blue[i]);
        sum += part;
    }
    const float mean = (float)((double)sum / at.pixels), added = mean * (float)(1.0 - (double)factor);
    uint8_t *planes[3] = {at.red, at.green, at.blue};
    for (int channel = 0; channel < 3; channel++) {
        uint8_t *plane = planes[channel];
        for (size_t i = 0; i < at.pixels; i++) plane[i] = (uint8_t)(int)clamped(plane[i] * factor + added, 255);
    }
}

FAST static void saturate(Planes at, float factor) {
    const float rest = (float)(1.0 - (double)factor);
    uint8_t *restrict red = at.red, *restrict green = at.green, *restrict blue = at.blue;
    for (size_t i = 0; i < at.pixels; i++) {
        const float added = grey(red[i], green[i], blue[i]) * rest;
        red[i] = (uint8_t)(int)clamped(red[i] * factor + added, 255);
        green[i] = (uint8_t)(int)clamped(green[i] * factor + added, 255);
        blue[i] = (uint8_t)(int)clamped(blue[i] * factor + added, 255);
    }
}

static inline uint8_t channel_of(float sixths, float offset, float most, float range) {
    float at = sixths + offset;
    at = at >= 6 ? at - 6 : at;
    const float other = 4 - at, near = at < other ? at : other;
    return (uint8_t)(int)(clamped(most - range * clamped(near, 1), 255) * (255.999f / 255));
}

/* Turns the hue by a share of the circle. A channel is most - range * ramp(hue), where the ramp rises from 0 to 1 over a
   sixth of the circle, stays there for two sixths and falls again. */
FAST static void turn_hue(Planes planes, float share) {
    uint8_t *restrict reds = planes.red, *restrict greens = planes.green, *restrict blues = planes.blue;
    const float turned = 6 * share + 12;
    for (size_t i = 0; i < planes.pixels; i++) {
        const float red = reds[i], green = greens[i], blue = blues[i];
        const float upper = red > green ? red : green, lower = red < green ? red : green;
        const float most = upper > blue ? upper : blue, least = lower < blue ? lower : blue, range = most - least;
        const float over = 1.0f / (range > 0 ? range : 1.0f);
        const float as_red = (green - blue) * over, as_green = 2 + (blue - red) * over;
        const float as_blue = 4 + (red - green) * over;
        float sixths = (most == red ? as_red : most == green ? as_green : as_blue) + turned;
        sixths -= 6 * (float)(int)(sixths * (1.0f / 6));
        reds[i] = channel_of(sixths, 5, most, range);
        greens[i] = channel_of(sixths, 3, most, range);
        blues[i] = channel_of(sixths, 1, most, range);
    }
}

/* Applies brightness (0), contrast (1), saturation (2) and hue (3) in the given order; factors[k] is that of k.
   `scratch` has room for `pixels` * 3 bytes. */
void change_colours(uint8_t *image, size_t pixels, const uint8_t order[4], const float factors[4], uint8_t *scratch) {
    const Planes at = {scratch, scratch + pixels, scratch + 2 * pixels, pixels};
    for (size_t i = 0; i < pixels; i++) {
        at.red[i] = image[3 * i];
        at.green[i] = image[3 * i + 1];
        at.blue[i] = image[3 * i + 2];
    }
    for (int i = 0; i < 4; i++) {
        switch (order[i]) {
        case 0:
            brighten(at, factors[0]);
            break;
        case 1:
            contrast(at, factors[1]);
            break;
        case 2:
            saturate(at, factors[2]);
            break;
        case 3:
            turn_hue(at, factors[3]);
            break;
        }
    }
    for (size_t i = 0; i < pixels; i++) {
        image[3 * i] = at.red[i];
        image[3 * i + 1] = at.green[i];
        image[3 * i + 2] = at.blue[i];
    }
}
