/* Sums of squares of float32 numbers that lie side by side, in one pass over their memory.
 *
 * A block is summed in float, many lanes side by side, and the blocks in double.
 */
#define BLOCK 1024

#define SUM_OF_SQUARES(word, TARGET, INPUTS, EACH)                                              \
    FOR_EVERY_PROCESSOR static double word(const float *RESTRICT x, TARGET, Py_ssize_t numbers)  \
    {                                                                                           \
        double whole = 0;                                                                       \
        for (Py_ssize_t first = 0; first < numbers; first += BLOCK) {                           \
            const Py_ssize_t end = first + SMALLER(BLOCK, numbers - first);                     \
            float total = 0;                                                                    \
            SIMD_SUM(total) for (Py_ssize_t i = first; i < end; i++)                            \
            {                                                                                   \
                const float value = INPUTS;                                                     \
                EACH;                                                                           \
                total += value * value;                                                         \
            }                                                                                   \
            whole += (double)total;                                                             \
        }                                                                                       \
        return whole;                                                                           \
    }

SUM_OF_SQUARES(squares_of, const void *Py_UNUSED(none), x[i], (void)0)
SUM_OF_SQUARES(squares_apart, const float *RESTRICT y, x[i] - y[i], (void)0)
SUM_OF_SQUARES(squares_copied, float *RESTRICT y, x[i], y[i] = value)
#undef SUM_OF_SQUARES

/* From the arguments (address, other address, numbers) to a sum of squares. */
static PyObject *sum_squares(PyObject *const *arguments, Py_ssize_t given, int is_copy)
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
    if (numbers < 0 || (numbers && (!x || (is_copy && !y)))) {
        PyErr_SetString(PyExc_ValueError, "an address is null or the length negative");
        return NULL;
    }
    return PyFloat_FromDouble(is_copy ? squares_copied(x, y, numbers)
                              : y     ? squares_apart(x, y, numbers)
                                      : squares_of(x, NULL, numbers));
}

PyDoc_STRVAR(squares_doc, "squares(address, other, numbers)\n--\n\n"
                          "Sum the squares of float32 numbers; of their differences from others, "
                          "unless that address is 0.");

static PyObject *squares(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given)
{
    return sum_squares(arguments, given, 0);
}

PyDoc_STRVAR(copy_squares_doc, "copy_squares(address, target, numbers)\n--\n\n"
                               "Copy float32 numbers and sum their squares.");

static PyObject *copy_squares(PyObject *Py_UNUSED(module), PyObject *const *arguments,
                              Py_ssize_t given)
{
    return sum_squares(arguments, given, 1);
}
