/* Per-unit sums of a strided tensor, in one pass over its memory; see unit_sums.py.
 *
 * A tensor comes as an address, sizes and strides: nothing here knows torch, so that one binary
 * (limited API, abi3) serves every version of it and of Python. One thread; the GIL is kept, since
 * a call lasts microseconds and nobody else may add to the same sums meanwhile.
 *
 * The dimensions are coalesced until the tensor is rows of neighbouring values ("lanes"), of which
 * every lane belongs to one unit. Lanes are added up over at most ROWS_A_FOLD rows in the
 * element's own precision (float at least), then folded into the caller's float64 sums.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

#define RESTRICT __restrict
#define SMALLER(a, b) ((a) < (b) ? (a) : (b))
#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define ALIGNED __attribute__((aligned(64)))
#define SIMD _Pragma("omp simd")
#define SIMD_SUM(total) PRAGMA(omp simd reduction(+ : total))
#define PRAGMA(words) _Pragma(#words)
#else
#define ALWAYS_INLINE static __forceinline
#define ALIGNED __declspec(align(64))
#define SIMD
#define SIMD_SUM(total)
#endif

/* One copy of the hot loops for each generation of vector units, chosen when the module loads. It
 * needs the indirect functions of glibc. */
#define FOR_EVERY_PROCESSOR
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#undef FOR_EVERY_PROCESSOR
#define FOR_EVERY_PROCESSOR __attribute__((target_clones("default", "avx2", "avx512f")))
#endif
#endif

/* Sizes chosen by measurement (benchmarks/kernels.py). */
#define LANES 256          /* neighbouring values in hand at a time */
#define LANES_A_RUN 64     /* the same where they are all of one unit */
#define ROWS_A_FOLD 128    /* bounds the rounding error */
#define ROWS_A_COPY 8      /* copied at a time where values are not neighbours */
#define ROWS_FOR_COLUMNS 8 /* fewer rows of units of short runs go unit by unit */
#define MOST_DIMENSIONS 64

/* What to add, and how many rows of sums it takes (in this order: count, total, square). */
enum work { ABOVE, OUTSIDE, SUMS, SUMS_ABOVE, SUMS_NONZERO, ABSOLUTE, WORKS };
#define COUNTS(work) ((work) != SUMS && (work) != ABSOLUTE)
#define SUMS_UP(work) ((work) == SUMS || (work) == SUMS_ABOVE || (work) == SUMS_NONZERO)

/* Where results go; NULL for what is not asked for. */
struct sums {
    double *count, *total, *square;
    Py_ssize_t units;
};

ALWAYS_INLINE float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

ALWAYS_INLINE uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

ALWAYS_INLINE float from_bfloat16(uint16_t half) { return from_bits((uint32_t)half << 16); }

/* IEEE 754 binary16 but for the sign of zero. No subnormal float is met on the way, so that a mode
 * that flushes them to zero, which torch has, changes no value; no branch: it vectorises. */
ALWAYS_INLINE float from_float16(uint16_t half)
{
    const uint32_t bits = half, sign = (bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    const uint32_t rebiased = 112u + 112u * (rest >= 0x7c00u); /* twice for inf and nan */
    const uint32_t normal = sign | ((rest << 13) + (rebiased << 23));
    const uint32_t one_half = sign | 0x3f000000u, is_subnormal = 0u - (rest < 0x0400u);
    const uint32_t subnormal = to_bits(from_bits(one_half | rest) - from_bits(one_half));
    return from_bits((subnormal & is_subnormal) | (normal & ~is_subnormal));
}

#define NAME(word) word##_float32
#define STORED float
#define LOAD(stored) (stored)
#define REAL float
#define COUNT int32_t
#include "_native_lanes.h"

#define NAME(word) word##_float64
#define STORED double
#define LOAD(stored) (stored)
#define REAL double
#define COUNT int64_t
#include "_native_lanes.h"

#define NAME(word) word##_float16
#define STORED uint16_t
#define LOAD(stored) from_float16(stored)
#define REAL float
#define COUNT int32_t
#include "_native_lanes.h"

#define NAME(word) word##_bfloat16
#define STORED uint16_t
#define LOAD(stored) from_bfloat16(stored)
#define REAL float
#define COUNT int32_t
#include "_native_lanes.h"

/* Element types in the order of their codes. */
static const struct element {
    Py_ssize_t size;
    void (*add)(void *, const void *, Py_ssize_t, Py_ssize_t, Py_ssize_t, int, double, double);
    void (*clear)(void *, Py_ssize_t);
    void (*fold)(void *, Py_ssize_t, Py_ssize_t, Py_ssize_t, const struct sums *);
    void (*gather)(void *, const void *, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t);
} ELEMENTS[] = {
    {4, add_float32, clear_float32, fold_float32, gather_float32},
    {8, add_float64, clear_float64, fold_float64, gather_float64},
    {2, add_float16, clear_float16, fold_float16, gather_float16},
    {2, add_bfloat16, clear_bfloat16, fold_bfloat16, gather_bfloat16},
};

struct dimension {
    Py_ssize_t size, step; /* the step is in elements */
};

union any_lanes {
    struct lanes_float32 single;
    struct lanes_float64 wide;
};

/* What one call does. */
struct task {
    const struct element *element;
    enum work work;
    double low, high;
    struct sums sums;
    union any_lanes *lanes;
    const struct dimension *outer; /* what the rows are repeated over */
    int outer_count;
};

/* Rows of `width` values `lane_step` apart, of which `run` neighbours make a unit. */
struct rows {
    const char *data;
    Py_ssize_t width, lane_step, run;
    struct dimension along;
};

/* Add rows to the lanes; where their values are not neighbours, by way of a copy. */
static void add_rows(const struct task *task, const char *data, struct dimension along,
                     Py_ssize_t width, Py_ssize_t lane_step)
{
    const struct element *element = task->element;
    if (lane_step == 1 || width == 1) {
        element->add(task->lanes, data, along.size, along.step, width, task->work, task->low,
                     task->high);
        return;
    }
    double copy[ROWS_A_COPY * LANES];
    for (Py_ssize_t i = 0; i < along.size; i += ROWS_A_COPY) {
        const Py_ssize_t many = SMALLER(ROWS_A_COPY, along.size - i);
        element->gather(copy, data + i * along.step * element->size, many, along.step, width,
                        lane_step);
        element->add(task->lanes, copy, many, width, width, task->work, task->low, task->high);
    }
}

/* Move to the next place of the outer dimensions; false after the last. */
static int move_on(const struct task *task, Py_ssize_t *index, const char **data)
{
    for (int i = task->outer_count - 1; i >= 0; i--) {
        const struct dimension *dimension = &task->outer[i];
        *data += dimension->step * task->element->size;
        if (++index[i] < dimension->size) {
            return 1;
        }
        *data -= dimension->size * dimension->step * task->element->size;
        index[i] = 0;
    }
    return 0;
}

/* Add up to LANES lanes of all rows, from the lane `first` of a row on. */
static void add_lanes(const struct task *task, const struct rows *rows, Py_ssize_t first,
                      Py_ssize_t width)
{
    const struct element *element = task->element;
    const char *data = rows->data + first * rows->lane_step * element->size;
    Py_ssize_t index[MOST_DIMENSIONS], used = 0;
    memset(index, 0, (size_t)task->outer_count * sizeof *index);
    element->clear(task->lanes, width);
    do {
        for (Py_ssize_t row = 0; row < rows->along.size;) {
            const Py_ssize_t many = SMALLER(ROWS_A_FOLD - used, rows->along.size - row);
            const struct dimension part = {many, rows->along.step};
            add_rows(task, data + row * part.step * element->size, part, width, rows->lane_step);
            row += many;
            used += many;
            if (used == ROWS_A_FOLD) {
                element->fold(task->lanes, first, width, rows->run, &task->sums);
                element->clear(task->lanes, width);
                used = 0;
            }
        }
    } while (move_on(task, index, &data));
    if (used) {
        element->fold(task->lanes, first, width, rows->run, &task->sums);
    }
}

static void add_all(const struct task *task, const struct rows *rows)
{
    for (Py_ssize_t first = 0; first < rows->width; first += LANES) {
        add_lanes(task, rows, first, SMALLER(LANES, rows->width - first));
    }
}

/* Take `many` rows that touch as one; those that are left at the end are one narrower row. */
static void add_widened(const struct task *task, const struct rows *rows, Py_ssize_t many)
{
    const struct dimension along = rows->along;
    const Py_ssize_t left = along.size % many;
    struct rows wide = *rows;
    wide.width *= many;
    wide.along = (struct dimension){along.size / many, along.step * many};
    add_all(task, &wide);
    if (left) {
        wide.data += (along.size - left) * along.step * task->element->size;
        wide.width = rows->width * left;
        wide.along = (struct dimension){1, 0};
        add_all(task, &wide);
    }
}

/* Rows of several units. Narrow rows that touch are widened. */
static void add_columns(const struct task *task, const struct rows *rows)
{
    const Py_ssize_t many = SMALLER(LANES / rows->width, rows->along.size);
    if (many > 1 && rows->along.step == rows->width * rows->lane_step) {
        add_widened(task, rows, many);
    } else {
        add_all(task, rows);
    }
}

/* One unit after the other: its innermost dimension is cut into about four rows or more. */
static void add_units(const struct task *task, const char *data, struct dimension units,
                      struct dimension inner)
{
    const Py_ssize_t quarter = inner.size / 64 * 16;
    const Py_ssize_t width = quarter ? SMALLER(LANES_A_RUN, quarter) : inner.size;
    struct task one = *task;
    one.sums.units = 1;
    for (Py_ssize_t unit = 0; unit < units.size; unit++) {
        const struct rows rows = {data + unit * units.step * task->element->size, 1, inner.step,
                                  PY_SSIZE_T_MAX, inner};
        one.sums.count = task->sums.count ? task->sums.count + unit : NULL;
        one.sums.total = task->sums.total ? task->sums.total + unit : NULL;
        one.sums.square = task->sums.square ? task->sums.square + unit : NULL;
        add_widened(&one, &rows, width);
    }
}

/* Sort dimensions by falling step (repeated ones, of step 0, first) and merge what can be walked
 * as one; return how many are left. */
static int coalesce(struct dimension *dimensions, int count)
{
    for (int i = 1; i < count; i++) {
        const struct dimension moved = dimensions[i];
        int j = i;
        for (; j && dimensions[j - 1].step && (!moved.step || dimensions[j - 1].step < moved.step);
             j--) {
            dimensions[j] = dimensions[j - 1];
        }
        dimensions[j] = moved;
    }
    int left = 0;
    for (int i = 0; i < count; i++) {
        const struct dimension next = dimensions[i];
        if (left && dimensions[left - 1].step == next.step * next.size) {
            dimensions[left - 1].size *= next.size;
            dimensions[left - 1].step = next.step;
        } else {
            dimensions[left++] = next;
        }
    }
    return left;
}

/* Choose how to walk: units side by side, units of short runs side by side, or unit by unit. */
static void add_tensor(struct task *task, const char *data, struct dimension units,
                       struct dimension *others, int count)
{
    union any_lanes lanes;
    task->lanes = &lanes;
    task->outer = others;
    count = coalesce(others, count);
    const struct dimension none = {1, 0};
    const struct dimension inner = count ? others[count - 1] : none;
    const struct dimension next = count > 1 ? others[count - 2] : none;
    task->outer_count = count > 1 ? count - 1 : 0;
    if (units.size > 1 && units.step && (!inner.step || units.step <= inner.step)) {
        const struct rows rows = {data, units.size, units.step, 1, inner};
        add_columns(task, &rows);
    } else if (units.size > 1 && units.step == inner.size * inner.step &&
               next.size >= ROWS_FOR_COLUMNS) {
        const struct rows rows = {data, units.size * inner.size, inner.step, inner.size, next};
        task->outer_count--;
        add_columns(task, &rows);
    } else {
        add_units(task, data, units, inner);
    }
}

/* Read sizes and strides: those of the unit axis, and all others longer than 1. Return the number
 * of values, or -1 with an exception set. */
static Py_ssize_t read_dimensions(PyObject *shape, PyObject *strides, Py_ssize_t axis,
                                  struct dimension *units, struct dimension *others, int *left)
{
    if (!PyTuple_Check(shape) || !PyTuple_Check(strides)) {
        PyErr_SetString(PyExc_TypeError, "shape and strides must be tuples");
        return -1;
    }
    const Py_ssize_t count = PyTuple_Size(shape);
    if (PyTuple_Size(strides) != count || count > MOST_DIMENSIONS) {
        PyErr_Format(PyExc_ValueError,
                     "shape and strides must have one length up to %d; got %zd and %zd",
                     MOST_DIMENSIONS, count, PyTuple_Size(strides));
        return -1;
    }
    if (axis < -count || axis >= count) {
        PyErr_Format(PyExc_ValueError, "the unit axis %zd is not one of %zd axes", axis, count);
        return -1;
    }
    Py_ssize_t values = 1;
    for (Py_ssize_t i = 0; i < count; i++) {
        const struct dimension one = {PyLong_AsSsize_t(PyTuple_GetItem(shape, i)),
                                      PyLong_AsSsize_t(PyTuple_GetItem(strides, i))};
        if ((one.size == -1 || one.step == -1) && PyErr_Occurred()) {
            return -1;
        }
        if (one.size < 0 || one.step < 0 || (one.size && values > PY_SSIZE_T_MAX / one.size)) {
            PyErr_Format(PyExc_ValueError, "axis %zd cannot have size %zd and stride %zd", i,
                         one.size, one.step);
            return -1;
        }
        values *= one.size;
        if (i == axis || i == axis + count) {
            *units = one;
        } else if (one.size != 1) {
            others[(*left)++] = one;
        }
    }
    return values;
}

/* Point into the caller's sums; -1 with an exception set unless they are exactly as large as the
 * work needs. */
static int take_sums(const Py_buffer *buffer, Py_ssize_t units, struct task *task)
{
    const int kinds = COUNTS(task->work) + (SUMS_UP(task->work) ? 2 : task->work == ABSOLUTE);
    const Py_ssize_t numbers = buffer->len / (Py_ssize_t)sizeof(double);
    if (strcmp(buffer->format, "d") != 0 || units > numbers || kinds * units != numbers) {
        PyErr_Format(PyExc_ValueError,
                     "the sums must be %d x %zd float64; got %zd bytes of format '%s'", kinds,
                     units, buffer->len, buffer->format);
        return -1;
    }
    double *next = buffer->buf;
    task->sums.units = units;
    if (COUNTS(task->work)) {
        task->sums.count = next;
        next += units;
    }
    if (SUMS_UP(task->work) || task->work == ABSOLUTE) {
        task->sums.total = next;
        next += units;
    }
    if (SUMS_UP(task->work)) {
        task->sums.square = next;
    }
    return 0;
}

static PyObject *add(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given)
{
    if (given != 9) {
        PyErr_Format(PyExc_TypeError, "add takes 9 arguments; got %zd", given);
        return NULL;
    }
    const Py_ssize_t work = PyLong_AsSsize_t(arguments[1]);
    const void *data = PyLong_AsVoidPtr(arguments[2]);
    const Py_ssize_t element = PyLong_AsSsize_t(arguments[3]);
    const Py_ssize_t axis = PyLong_AsSsize_t(arguments[6]);
    const double low = PyFloat_AsDouble(arguments[7]), high = PyFloat_AsDouble(arguments[8]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (work < 0 || work >= WORKS || element < 0 ||
        element >= (Py_ssize_t)(sizeof ELEMENTS / sizeof *ELEMENTS)) {
        PyErr_Format(PyExc_ValueError, "unknown work %zd or element type %zd", work, element);
        return NULL;
    }
    struct dimension units = {0, 0}, others[MOST_DIMENSIONS];
    int count = 0;
    const Py_ssize_t values =
        read_dimensions(arguments[4], arguments[5], axis, &units, others, &count);
    if (values < 0) {
        return NULL;
    }
    if (values && !data) {
        PyErr_SetString(PyExc_ValueError, "the address is null");
        return NULL;
    }
    struct task task = {.element = &ELEMENTS[element], .work = (enum work)work, .low = low,
                        .high = high};
    Py_buffer buffer;
    if (PyObject_GetBuffer(arguments[0], &buffer, PyBUF_WRITABLE | PyBUF_ND | PyBUF_FORMAT)) {
        return NULL;
    }
    const int refused = take_sums(&buffer, units.size, &task);
    if (!refused && values) {
        add_tensor(&task, data, units, others, count);
    }
    PyBuffer_Release(&buffer);
    return refused ? NULL : PyLong_FromSsize_t(values ? values / units.size : 0);
}

#include "_native_norms.h"
#include "_native_quick.h"

PyDoc_STRVAR(add_doc,
             "add(sums, work, address, element, shape, strides, axis, low, high)\n--\n\n"
             "Add one tensor's per-unit statistics into float64 sums; return the positions.");

static PyMethodDef METHODS[] = {
    {"add", (PyCFunction)(void (*)(void))add, METH_FASTCALL, add_doc},
    {"total", (PyCFunction)(void (*)(void))total, METH_FASTCALL, total_doc},
    {"squares", (PyCFunction)(void (*)(void))squares, METH_FASTCALL, squares_doc},
    {"copy_squares", (PyCFunction)(void (*)(void))copy_squares, METH_FASTCALL, copy_squares_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, add_types}, {0, NULL}};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, .m_name = "_native", .m_size = 0, .m_methods = METHODS,
    .m_slots = SLOTS,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&MODULE); }
