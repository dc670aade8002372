/* The hot loops for one element type; included once per type by _native.c.
 *
 * The includer defines NAME(word) (the word with the type's suffix), STORED (the type in memory),
 * LOAD(stored) (its value), REAL (the type it is summed in) and COUNT (a whole number as wide).
 */

/* Partial results of up to LANES neighbouring values, over at most ROWS_A_FOLD rows. */
struct ALIGNED NAME(lanes) {
    COUNT count[LANES];
    REAL total[LANES];
    REAL square[LANES];
};

ALWAYS_INLINE COUNT NAME(hit)(REAL value, REAL low, REAL high, const int work)
{
    if (work == OUTSIDE) {
        return (COUNT)((value <= low) | (value >= high));
    }
    return (COUNT)(work == SUMS_NONZERO ? value != 0 : value > low);
}

/* Four rows at a time: the lanes are read and written once for four values, which are added
 * pairwise. */
ALWAYS_INLINE void NAME(add_four)(struct NAME(lanes) *RESTRICT lanes, const STORED *RESTRICT row,
                                  Py_ssize_t step, Py_ssize_t width, REAL low, REAL high,
                                  const int work)
{
    const STORED *RESTRICT row1 = row + step, *RESTRICT row2 = row1 + step,
                 *RESTRICT row3 = row2 + step;
#pragma omp simd
    for (Py_ssize_t j = 0; j < width; j++) {
        const REAL a = LOAD(row[j]), b = LOAD(row1[j]), c = LOAD(row2[j]), d = LOAD(row3[j]);
        if (COUNTS(work)) {
            lanes->count[j] += (NAME(hit)(a, low, high, work) + NAME(hit)(b, low, high, work)) +
                               (NAME(hit)(c, low, high, work) + NAME(hit)(d, low, high, work));
        }
        if (SUMS_UP(work)) {
            lanes->total[j] += (a + b) + (c + d);
            lanes->square[j] += (a * a + b * b) + (c * c + d * d);
        }
        if (work == ABSOLUTE) {
            lanes->total[j] += ((REAL)fabs(a) + (REAL)fabs(b)) + ((REAL)fabs(c) + (REAL)fabs(d));
        }
    }
}

ALWAYS_INLINE void NAME(add_one)(struct NAME(lanes) *RESTRICT lanes, const STORED *RESTRICT row,
                                 Py_ssize_t width, REAL low, REAL high, const int work)
{
#pragma omp simd
    for (Py_ssize_t j = 0; j < width; j++) {
        const REAL value = LOAD(row[j]);
        if (COUNTS(work)) {
            lanes->count[j] += NAME(hit)(value, low, high, work);
        }
        if (SUMS_UP(work)) {
            lanes->total[j] += value;
            lanes->square[j] += value * value;
        }
        if (work == ABSOLUTE) {
            lanes->total[j] += (REAL)fabs(value);
        }
    }
}

ALWAYS_INLINE void NAME(add_work)(struct NAME(lanes) *lanes, const STORED *row, Py_ssize_t rows,
                                  Py_ssize_t step, Py_ssize_t width, REAL low, REAL high,
                                  const int work)
{
    for (; rows >= 4; rows -= 4, row += 4 * step) {
        NAME(add_four)(lanes, row, step, width, low, high, work);
    }
    for (; rows > 0; rows--, row += step) {
        NAME(add_one)(lanes, row, width, low, high, work);
    }
}

/* Add rows of neighbouring values; the step from row to row is in elements. */
FOR_EVERY_PROCESSOR static void NAME(add)(void *lanes, const void *row, Py_ssize_t rows,
                                          Py_ssize_t step, Py_ssize_t width, int work, double low,
                                          double high)
{
    const REAL below = (REAL)low, above = (REAL)high;
    switch (work) {
    case ABOVE:
        NAME(add_work)(lanes, row, rows, step, width, below, above, ABOVE);
        break;
    case OUTSIDE:
        NAME(add_work)(lanes, row, rows, step, width, below, above, OUTSIDE);
        break;
    case SUMS:
        NAME(add_work)(lanes, row, rows, step, width, below, above, SUMS);
        break;
    case SUMS_ABOVE:
        NAME(add_work)(lanes, row, rows, step, width, below, above, SUMS_ABOVE);
        break;
    case SUMS_NONZERO:
        NAME(add_work)(lanes, row, rows, step, width, below, above, SUMS_NONZERO);
        break;
    default:
        NAME(add_work)(lanes, row, rows, step, width, below, above, ABSOLUTE);
    }
}

static void NAME(clear)(void *any_lanes, Py_ssize_t width)
{
    struct NAME(lanes) *lanes = any_lanes;
    memset(lanes->count, 0, (size_t)width * sizeof *lanes->count);
    memset(lanes->total, 0, (size_t)width * sizeof *lanes->total);
    memset(lanes->square, 0, (size_t)width * sizeof *lanes->square);
}

/* Add the lanes, which lie side by side in memory, to the units they belong to; what they held is
 * lost. `run` neighbours make a unit, and after the last unit the first one comes again. */
#define FOLD(word, TYPE)                                                                          \
    FOR_EVERY_PROCESSOR static void NAME(word)(TYPE *RESTRICT lanes, Py_ssize_t first,            \
                                               Py_ssize_t width, Py_ssize_t run,                  \
                                               Py_ssize_t units, double *RESTRICT sums)           \
    {                                                                                             \
        Py_ssize_t unit = first / run % units, skipped = first % run, many;                       \
        for (Py_ssize_t j = 0; j < width; j += many) {                                            \
            TYPE *RESTRICT next = lanes + j;                                                      \
            if (run == 1) {                                                                       \
                many = SMALLER(units - unit, width - j);                                          \
                SIMD for (Py_ssize_t k = 0; k < many; k++) sums[unit + k] += (double)next[k];     \
                unit = 0;                                                                         \
            } else {                                                                              \
                many = SMALLER(run - skipped, width - j);                                         \
                for (Py_ssize_t left = many, half; left > 1; left -= half) {                      \
                    half = left / 2;                                                              \
                    SIMD for (Py_ssize_t k = 0; k < half; k++) next[k] += next[left - half + k];  \
                }                                                                                 \
                sums[unit] += (double)next[0];                                                    \
                skipped = 0;                                                                      \
                unit = unit + 1 == units ? 0 : unit + 1;                                          \
            }                                                                                     \
        }                                                                                         \
    }

FOLD(fold_counts, COUNT)
FOLD(fold_reals, REAL)
#undef FOLD

static void NAME(fold)(void *any_lanes, Py_ssize_t first, Py_ssize_t width, Py_ssize_t run,
                       const struct sums *sums)
{
    struct NAME(lanes) *lanes = any_lanes;
    if (sums->count) {
        NAME(fold_counts)(lanes->count, first, width, run, sums->units, sums->count);
    }
    if (sums->total) {
        NAME(fold_reals)(lanes->total, first, width, run, sums->units, sums->total);
    }
    if (sums->square) {
        NAME(fold_reals)(lanes->square, first, width, run, sums->units, sums->square);
    }
}

/* Copy rows whose values do not lie side by side; steps are in elements. */
static void NAME(gather)(void *target, const void *source, Py_ssize_t rows, Py_ssize_t step,
                         Py_ssize_t width, Py_ssize_t lane_step)
{
    STORED *RESTRICT out = target;
    for (Py_ssize_t i = 0; i < rows; i++) {
        const STORED *in = (const STORED *)source + i * step;
        for (Py_ssize_t j = 0; j < width; j++) {
            *out++ = in[j * lane_step];
        }
    }
}

#undef NAME
#undef STORED
#undef LOAD
#undef REAL
#undef COUNT
