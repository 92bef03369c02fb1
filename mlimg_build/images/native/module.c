/* `mlimg_build.images._native`: what Python sees. Every function checks its arrays, and releases the GIL. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <string.h>

#include "native.h"

enum { LARGEST = 16384, BUFFERS = 6 };

/* Buffers that are held until a call ends. */
typedef struct {
    Py_buffer views[BUFFERS];
    int count;
} Held;

static void let_go(Held *held) {
    while (held->count) PyBuffer_Release(&held->views[--held->count]);
}

/* Returns the memory of a C-contiguous, aligned array with this struct format and so many bytes (-1: any), or NULL. */
static void *array(Held *held, PyObject *given, const char *format, Py_ssize_t bytes, int writable, const char *name) {
    Py_buffer *view = &held->views[held->count];
    if (PyObject_GetBuffer(given, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0))) return NULL;
    held->count++;
    const char *found = view->format ? view->format : "B";
    if (strcmp(found, format)) {
        PyErr_Format(PyExc_ValueError, "%s: expected values of '%s', found '%s'", name, format, found);
        return NULL;
    }
    if (bytes >= 0 && view->len != bytes) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd bytes, found %zd", name, bytes, view->len);
        return NULL;
    }
    if ((uintptr_t)view->buf % (size_t)view->itemsize) {
        PyErr_Format(PyExc_ValueError, "%s: its values lie between the places where a processor reads them", name);
        return NULL;
    }
    return view->buf;
}

/* Returns the shape of uint8[n, size, size, 3], or -1. */
static Py_ssize_t squares(const Py_buffer *view, int *size) {
    if (view->ndim != 4 || view->shape[1] != view->shape[2] || view->shape[3] != 3 || view->shape[1] < 1 ||
        view->shape[1] > LARGEST) {
        PyErr_SetString(PyExc_ValueError, "expected uint8[images, size, size, 3]");
        return -1;
    }
    *size = (int)view->shape[1];
    return view->shape[0];
}

/* Whether all of them are finite, and no larger than any change of an image needs. */
static int are_moderate(const float *values, Py_ssize_t count) {
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!(fabsf(values[i]) <= 1e6f)) return 0;
    }
    return 1;
}

static int is_box(const double box[4]) {
    for (int i = 0; i < 4; i++) {
        if (!(box[i] >= 0 && box[i] < 1e6)) return 0;
    }
    return box[2] > box[0] && box[3] > box[1];
}

PyDoc_STRVAR(decode_doc,
             "decode(files, boxes, lies, output, bounded, least)\n--\n\n"
             "Decode a part of each JPEG of `files`, a sequence of bytes, or None to leave its output alone.\n\n"
             "`boxes` float64[n, 4] (left, top, right, bottom as stored), `lies` uint8[n], `output` uint8[n, size, size, 3].\n"
             "Returns (index, message) of each that was not decoded; its output is undefined.");

static PyObject *decode(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *files, *boxes, *lies, *output, *result = NULL, *whole = NULL;
    int bounded, size = 0;
    double least, *box = NULL;
    Held held = {.count = 0};
    Py_buffer *data = NULL;
    char(*messages)[MESSAGE] = NULL;
    Py_ssize_t images = 0, opened = 0;
    if (!PyArg_ParseTuple(args, "OOOOpd", &files, &boxes, &lies, &output, &bounded, &least)) return NULL;
    uint8_t *to = array(&held, output, "B", -1, 1, "output");
    if (!to || (images = squares(&held.views[0], &size)) < 0) goto end;
    const double *given = array(&held, boxes, "d", images * 32, 0, "boxes");
    const uint8_t *lie = given ? array(&held, lies, "B", images, 0, "lies") : NULL;
    if (!lie || !(whole = PySequence_Tuple(files))) goto end; /* a list could be changed by another thread */
    if (PyTuple_GET_SIZE(whole) != images) {
        PyErr_SetString(PyExc_ValueError, "there must be as many files as outputs");
        goto end;
    }
    box = PyMem_Malloc(images ? images * 32 : 1);
    data = PyMem_Calloc(images ? images : 1, sizeof *data);
    messages = PyMem_Calloc(images ? images : 1, sizeof *messages);
    if (!box || !data || !messages) {
        PyErr_NoMemory();
        goto end;
    }
    memcpy(box, given, images * 32); /* what is checked must not change while the GIL is released */
    for (; opened < images; opened++) {
        PyObject *file = PyTuple_GET_ITEM(whole, opened);
        if (file != Py_None && PyObject_GetBuffer(file, &data[opened], PyBUF_SIMPLE)) goto end;
        if (file != Py_None && !is_box(box + 4 * opened)) {
            PyErr_Format(PyExc_ValueError, "box %zd has no pixel", opened);
            opened++;
            goto end;
        }
    }
    Scratch scratch = {NULL, 0};
    Py_BEGIN_ALLOW_THREADS;
    for (Py_ssize_t i = 0; i < images; i++) {
        if (!data[i].obj) continue;
        const size_t bytes = (size_t)size * size * 3;
        if (jpeg_part(data[i].buf, data[i].len, box + 4 * i, bounded, least, lie[i], size, to + i * bytes, &scratch,
                      messages[i]) &&
            !messages[i][0]) {
            messages[i][0] = '?';
        }
    }
    free(scratch.memory);
    Py_END_ALLOW_THREADS;
    result = PyList_New(0);
    for (Py_ssize_t i = 0; result && i < images; i++) {
        if (!messages[i][0]) continue;
        PyObject *failed = Py_BuildValue("nN", i, PyUnicode_DecodeLatin1(messages[i], strlen(messages[i]), NULL));
        if (!failed || PyList_Append(result, failed)) Py_CLEAR(result);
        Py_XDECREF(failed);
    }
end:
    while (opened) {
        if (data[--opened].obj) PyBuffer_Release(&data[opened]);
    }
    PyMem_Free(box);
    PyMem_Free(data);
    PyMem_Free(messages);
    Py_XDECREF(whole);
    let_go(&held);
    return result;
}

PyDoc_STRVAR(resample_doc,
             "resample(pixels, box, lie, output, bounded)\n--\n\n"
             "Resize a part of `pixels` uint8[height, width, 3] to `output` uint8[size, size, 3].");

static PyObject *resample(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *pixels, *output, *result = NULL;
    double box[4];
    unsigned char lie;
    int bounded, failed = 0;
    Held held = {.count = 0};
    Resize resize;
    Scratch scratch = {NULL, 0};
    if (!PyArg_ParseTuple(args, "O(dddd)bOp", &pixels, &box[0], &box[1], &box[2], &box[3], &lie, &output, &bounded)) {
        return NULL;
    }
    const uint8_t *from = array(&held, pixels, "B", -1, 0, "pixels");
    uint8_t *to = from ? array(&held, output, "B", -1, 1, "output") : NULL;
    if (!to) goto end;
    const Py_buffer *given = &held.views[0], *wanted = &held.views[1];
    if (given->ndim != 3 || given->shape[2] != 3 || given->shape[0] < 1 || given->shape[1] < 1 ||
        given->shape[0] > 1000000 || given->shape[1] > 1000000 || wanted->ndim != 3 || wanted->shape[2] != 3 ||
        wanted->shape[0] != wanted->shape[1] || wanted->shape[0] < 1 || wanted->shape[0] > LARGEST || !is_box(box) ||
        !is_inside(box, (double)given->shape[1], (double)given->shape[0])) {
        PyErr_SetString(PyExc_ValueError, "expected uint8[height, width, 3], a box inside it and uint8[size, size, 3]");
        goto end;
    }
    const int height = (int)given->shape[0], width = (int)given->shape[1], size = (int)wanted->shape[0];
    Py_BEGIN_ALLOW_THREADS;
    failed = resize_begin(&resize, &scratch, box, width, height, bounded, size);
    uint8_t *line = failed ? NULL : malloc(4 * (size_t)(resize.right - resize.left));
    if (line) {
        for (int row = resize.top; row < resize.bottom; row++) {
            const uint8_t *source = from + 3 * ((size_t)row * width + resize.left);
            for (int x = 0; x < resize.right - resize.left; x++) {
                memcpy(line + 4 * x, source + 3 * x, 3);
                line[4 * x + 3] = 0;
            }
            resize_row(&resize, row, line);
        }
        failed = resize_end(&resize, lie, to);
        free(line);
    } else {
        failed = -1;
    }
    resize_free(&resize);
    free(scratch.memory);
    Py_END_ALLOW_THREADS;
    result = failed ? PyErr_NoMemory() : Py_NewRef(Py_None);
end:
    let_go(&held);
    return result;
}

PyDoc_STRVAR(augment_doc,
             "augment(images, turned, degrees, changed, orders, factors)\n--\n\n"
             "Rotate uint8[n, size, size, 3] in place where `turned` uint8[n], and change colours where `changed`.\n\n"
             "`degrees` float32[n]; `orders` uint8[n, 4] of brightness 0, contrast 1, saturation 2, hue 3; `factors`\n"
             "float32[n, 4].");

static PyObject *augment(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *images, *turned, *degrees, *changed, *orders, *factors, *result = NULL;
    Held held = {.count = 0};
    int size = 0;
    Py_ssize_t count = 0;
    if (!PyArg_ParseTuple(args, "OOOOOO", &images, &turned, &degrees, &changed, &orders, &factors)) return NULL;
    uint8_t *at = array(&held, images, "B", -1, 1, "images");
    if (!at || (count = squares(&held.views[0], &size)) < 0) goto end;
    const uint8_t *turn = array(&held, turned, "B", count, 0, "turned");
    const float *angle = turn ? array(&held, degrees, "f", 4 * count, 0, "degrees") : NULL;
    const uint8_t *change = angle ? array(&held, changed, "B", count, 0, "changed") : NULL;
    const uint8_t *order = change ? array(&held, orders, "B", 4 * count, 0, "orders") : NULL;
    const float *factor = order ? array(&held, factors, "f", 16 * count, 0, "factors") : NULL;
    if (!factor) goto end;
    if (!are_moderate(angle, count) || !are_moderate(factor, 4 * count)) {
        PyErr_SetString(PyExc_ValueError, "degrees and factors must be finite, and at most 1e6");
        goto end;
    }
    uint8_t *scratch = malloc((size_t)(size + 2) * (size + 2) * 4);
    if (scratch) {
        Py_BEGIN_ALLOW_THREADS;
        for (Py_ssize_t i = 0; i < count; i++) {
            uint8_t *image = at + (size_t)i * size * size * 3;
            if (turn[i]) rotate(image, size, angle[i], scratch);
            if (change[i]) {
                change_colours(image, (size_t)size * size, order + 4 * i, factor + 4 * i, scratch);
            }
        }
        Py_END_ALLOW_THREADS;
        result = Py_NewRef(Py_None);
    } else {
        PyErr_NoMemory();
    }
    free(scratch);
end:
    let_go(&held);
    return result;
}

/* Reads the header of a JPEG up to its scan: the size in its frame, and whether it has an Exif block. 0 if that is
   unusual: two frames, none, or bytes between segments. */
static int frame(const uint8_t *data, size_t bytes, int32_t found[3]) {
    found[0] = found[1] = found[2] = 0;
    if (bytes < 4 || data[0] != 0xFF || data[1] != 0xD8) return 0;
    for (size_t at = 2; at + 4 <= bytes;) {
        if (data[at] != 0xFF) return 0;
        const uint8_t marker = data[at + 1];
        if (marker == 0xFF) { /* filling */
            at++;
            continue;
        }
        if (marker == 0x01 || (marker >= 0xD0 && marker <= 0xD9) || marker == 0) return 0;
        const size_t length = (size_t)data[at + 2] << 8 | data[at + 3], next = at + 2 + length;
        if (length < 2 || next > bytes) return 0;
        if (marker == 0xE1 && length >= 8 && !memcmp(data + at + 4, "Exif\0\0", 6)) found[2] = 1;
        if (marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC && length >= 8) {
            if (found[0]) return 0;
            found[0] = data[at + 7] << 8 | data[at + 8];
            found[1] = data[at + 5] << 8 | data[at + 6];
        }
        if (marker == 0xDA) return found[0] > 0 && found[1] > 0;
        at = next;
    }
    return 0;
}

PyDoc_STRVAR(frames_doc,
             "frames(files)\n--\n\n"
             "Return (width, height, whether there is an Exif block) of each JPEG of a sequence of bytes; None for a file\n"
             "that is none, or whose header is unusual.");

static PyObject *frames(PyObject *self, PyObject *files) {
    (void)self;
    PyObject *whole = PySequence_Tuple(files);
    if (!whole) return NULL;
    const Py_ssize_t count = PyTuple_GET_SIZE(whole);
    PyObject *result = PyList_New(count);
    for (Py_ssize_t i = 0; result && i < count; i++) {
        Py_buffer view;
        int32_t found[3];
        if (PyObject_GetBuffer(PyTuple_GET_ITEM(whole, i), &view, PyBUF_SIMPLE)) {
            Py_CLEAR(result);
            break;
        }
        PyObject *one = frame(view.buf, view.len, found)
                            ? Py_BuildValue("iiO", found[0], found[1], found[2] ? Py_True : Py_False)
                            : Py_NewRef(Py_None);
        PyBuffer_Release(&view);
        if (!one) {
            Py_CLEAR(result);
            break;
        }
        PyList_SET_ITEM(result, i, one);
    }
    Py_DECREF(whole);
    return result;
}

static PyMethodDef methods[] = {
    {"augment", augment, METH_VARARGS, augment_doc},
    {"decode", decode, METH_VARARGS, decode_doc},
    {"frames", frames, METH_O, frames_doc},
    {"resample", resample, METH_VARARGS, resample_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_native", "Parts of images: decoded, resized and changed without the GIL.", 0, methods,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
