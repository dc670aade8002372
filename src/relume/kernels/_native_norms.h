/* Sums, mostly of squares, of float32 numbers that lie side by side, in one pass over their memory.
 *
 * A block is summed in float, many lanes side by side, and the blocks in double.
 */
#define BLOCK 1024

#define SUM_OF(word, TARGET, VALUE, TERM)                                              \
    FOR_EVERY_PROCESSOR static double word(const float *RESTRICT x, TARGET, Py_ssize_t numbers)  \
    {                                                                                           \
        double whole = 0;                                                                       \
        for (Py_ssize_t first = 0; first < numbers; first += BLOCK) {                           \
            const Py_ssize_t end = first + SMALLER(BLOCK, numbers - first);                     \
            float total = 0;                                                                    \
            SIMD_SUM(total) for (Py_ssize_t i = first; i < end; i++)                            \
            {                                                                                   \
                const float value = VALUE;                                                      \
                total += TERM;                                                                  \
            }                                                                                   \
            whole += (double)total;                                                             \
        }                                                                                       \
        return whole;                                                                           \
    }

SUM_OF(squares_of, const void *Py_UNUSED(none), x[i], value *value)
SUM_OF(squares_apart, const float *RESTRICT y, x[i] - y[i], value *value)
SUM_OF(squares_copied, float *RESTRICT y, y[i] = x[i], value *value)
SUM_OF(total_of, const void *Py_UNUSED(none), x[i], value)
#undef SUM_OF

enum sum { TOTAL, SQUARES, COPY_SQUARES };

/* From the arguments (address, other address, numbers) to a sum. */
static PyObject *sum_up(PyObject *const *arguments, Py_ssize_t given, enum sum sum)
{
    if (given != 3) {
        PyErr_Format(PyExc_TypeError, "3 arguments are taken; got %zd", given);
        return NULL;
    }
    const float *x = PyLong_AsVoidPtr(arguments[0]);
    void *y = PyLong_AsVoidPtr(arguments[1]);
    const Py_ssize_t numbers = PyLong_AsSsize_t(arguments[2]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (numbers < 0 || (numbers && (!x || (sum == COPY_SQUARES && !y)))) {
        PyErr_SetString(PyExc_ValueError, "an address is null or the length negative");
        return NULL;
    }
    return PyFloat_FromDouble(sum == TOTAL          ? total_of(x, NULL, numbers)
                              : sum == COPY_SQUARES ? squares_copied(x, y, numbers)
                              : y                   ? squares_apart(x, y, numbers)
                                                    : squares_of(x, NULL, numbers));
}

#define SUM(word, sum, signature, text)                                                         \
    PyDoc_STRVAR(word##_doc, signature "\n--\n\n" text);                                        \
    static PyObject *word(PyObject *Py_UNUSED(module), PyObject *const *arguments,              \
                          Py_ssize_t given)                                                     \
    {                                                                                           \
        return sum_up(arguments, given, sum);                                                   \
    }

SUM(total, TOTAL, "total(address, unused, numbers)", "Sum float32 numbers.")
SUM(squares, SQUARES, "squares(address, other, numbers)",
    "Sum the squares of float32 numbers; of their differences from others, unless 0 is given.")
SUM(copy_squares, COPY_SQUARES, "copy_squares(address, target, numbers)",
    "Copy float32 numbers and sum their squares.")
#undef SUM
