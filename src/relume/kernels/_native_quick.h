/* The short way through steps that are not measured, without a frame of Python; see observe/quick.py.
 *
 * `Shortcut(state, kind, long_way, ...)` is called in the place of `long_way`. In the usual case it
 * does what that would do; in every other, and after any error, it calls it.
 */
#include <structmember.h>

struct quick {
    PyObject_HEAD
    char is_on, is_updating;
    int timed;
    unsigned long thread;
    Py_ssize_t next_step, updates;
    double write_at_s;
    PyObject *leader, *losses, *ended, *others, *step, *stepper, *seams;
};

#define MEMBER(name, type) {#name, type, offsetof(struct quick, name), 0, NULL}
static PyMemberDef QUICK_MEMBERS[] = {
    MEMBER(is_on, T_BOOL),        MEMBER(is_updating, T_BOOL),   MEMBER(timed, T_INT),
    MEMBER(thread, T_ULONG),      MEMBER(next_step, T_PYSSIZET), MEMBER(updates, T_PYSSIZET),
    MEMBER(write_at_s, T_DOUBLE), MEMBER(leader, T_OBJECT),      MEMBER(losses, T_OBJECT),
    MEMBER(ended, T_OBJECT),      MEMBER(others, T_OBJECT),      MEMBER(step, T_OBJECT),
    MEMBER(stepper, T_OBJECT),    MEMBER(seams, T_OBJECT),       {NULL, 0, 0, 0, NULL},
};

static int visit_quick(PyObject *self, visitproc visit, void *arg)
{
    const struct quick *quick = (struct quick *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(quick->leader);
    Py_VISIT(quick->losses);
    Py_VISIT(quick->ended);
    Py_VISIT(quick->others);
    Py_VISIT(quick->step);
    Py_VISIT(quick->stepper);
    Py_VISIT(quick->seams);
    return 0;
}

static int clear_quick(PyObject *self)
{
    struct quick *quick = (struct quick *)self;
    Py_CLEAR(quick->leader);
    Py_CLEAR(quick->losses);
    Py_CLEAR(quick->ended);
    Py_CLEAR(quick->others);
    Py_CLEAR(quick->step);
    Py_CLEAR(quick->stepper);
    Py_CLEAR(quick->seams);
    return 0;
}

static void free_object(PyObject *self, inquiry clear)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    clear(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static void free_quick(PyObject *self) { free_object(self, clear_quick); }

static PyType_Slot QUICK_SLOTS[] = {
    {Py_tp_members, QUICK_MEMBERS}, {Py_tp_traverse, visit_quick}, {Py_tp_clear, clear_quick},
    {Py_tp_dealloc, free_quick},    {0, NULL},
};

static PyType_Spec QUICK_SPEC = {
    "relume.kernels._native.QuickState", sizeof(struct quick), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, QUICK_SLOTS,
};

enum kind { BACKWARD, BEFORE_UPDATE, AFTER_UPDATE, KINDS };

/* Attributes that are read each time. */
enum name { DEPTH, SCALE, NUMBER, IS_UPDATING, GROUPS, RATE, ITEM, NUMEL, IS_CPU, NAMES };
static const char *const NAME_TEXTS[NAMES] = {
    "_depth", "gradient_scale", "number", "is_updating", "param_groups",
    "lr",     "item",           "numel",  "is_cpu",
};

struct shortcut {
    PyObject_HEAD
    struct quick *quick;
    PyObject *long_way, *original, *tensor, *task, *clock, *names[NAMES];
    enum kind kind;
};

static int visit_shortcut(PyObject *self, visitproc visit, void *arg)
{
    const struct shortcut *this = (struct shortcut *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT((PyObject *)this->quick);
    Py_VISIT(this->long_way);
    Py_VISIT(this->original);
    Py_VISIT(this->tensor);
    Py_VISIT(this->task);
    Py_VISIT(this->clock);
    return 0;
}

static int clear_shortcut(PyObject *self)
{
    struct shortcut *this = (struct shortcut *)self;
    Py_CLEAR(this->quick);
    Py_CLEAR(this->long_way);
    Py_CLEAR(this->original);
    Py_CLEAR(this->tensor);
    Py_CLEAR(this->task);
    Py_CLEAR(this->clock);
    for (int i = 0; i < NAMES; i++) {
        Py_CLEAR(this->names[i]);
    }
    return 0;
}

static void free_shortcut(PyObject *self) { free_object(self, clear_shortcut); }

static PyObject *make_shortcut(PyTypeObject *type, PyObject *arguments, PyObject *Py_UNUSED(named))
{
    PyObject *quick, *long_way, *original, *tensor, *task, *clock;
    int kind;
    if (!PyArg_ParseTuple(arguments, "OiOOOOO", &quick, &kind, &long_way, &original, &tensor, &task,
                          &clock)) {
        return NULL;
    }
    PyObject *module = PyImport_ImportModule("relume.kernels._native");
    PyObject *state = module ? PyObject_GetAttrString(module, "QuickState") : NULL;
    const int is_state = state ? PyObject_IsInstance(quick, state) : -1;
    Py_XDECREF(state);
    Py_XDECREF(module);
    if (is_state < 1 || kind < 0 || kind >= KINDS) {
        if (is_state >= 0) {
            PyErr_SetString(PyExc_TypeError, "a Shortcut takes a QuickState and a kind");
        }
        return NULL;
    }
    struct shortcut *this =
        (struct shortcut *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!this) {
        return NULL;
    }
    this->kind = (enum kind)kind;
    this->quick = (struct quick *)Py_NewRef(quick);
    this->long_way = Py_NewRef(long_way);
    this->original = Py_NewRef(original);
    this->tensor = Py_NewRef(tensor);
    this->task = Py_NewRef(task);
    this->clock = Py_NewRef(clock);
    for (int i = 0; i < NAMES; i++) {
        this->names[i] = PyUnicode_InternFromString(NAME_TEXTS[i]);
        if (!this->names[i]) {
            Py_DECREF(this);
            return NULL;
        }
    }
    return (PyObject *)this;
}

/* Whether a new reference is this object; it is given back. */
static int is_this(PyObject *found, PyObject *expected)
{
    Py_XDECREF(found);
    return found && found == expected;
}

/* Whether a new reference is this whole number; it is given back. */
static int is_number(PyObject *found, long expected)
{
    const long number = found ? PyLong_AsLong(found) : 0;
    const int is_equal = found && number == expected && !PyErr_Occurred();
    Py_XDECREF(found);
    return is_equal;
}

static PyObject *attribute(const struct shortcut *this, PyObject *of, enum name name)
{
    return of ? PyObject_GetAttr(of, this->names[name]) : NULL;
}

static PyObject *call_method(const struct shortcut *this, PyObject *of, enum name name)
{
    return PyObject_CallMethodObjArgs(of, this->names[name], NULL);
}

static int set_number(const struct shortcut *this, PyObject *of, enum name name, long long number)
{
    PyObject *value = of ? PyLong_FromLongLong(number) : NULL;
    const int is_set = value && !PyObject_SetAttr(of, this->names[name], value);
    Py_XDECREF(value);
    return is_set;
}

/* Note a loss that is about to be differentiated, if it is a plain one. */
static int takes_loss(const struct shortcut *this, PyObject *loss)
{
    const struct quick *quick = this->quick;
    if ((PyObject *)Py_TYPE(loss) != this->tensor || !quick->losses ||
        !is_this(attribute(this, quick->seams, SCALE), Py_None) ||
        !is_number(PyObject_CallNoArgs(this->task), -1) ||
        !is_this(attribute(this, loss, IS_CPU), Py_True) ||
        !is_number(call_method(this, loss, NUMEL), 1)) {
        return 0;
    }
    PyObject *value = call_method(this, loss, ITEM);
    const int is_taken =
        value && PyFloat_CheckExact(value) && !PyList_Append(quick->losses, value);
    Py_XDECREF(value);
    return is_taken;
}

/* Note that the leading optimizer begins to update. */
static int takes_update(const struct shortcut *this, PyObject *optimizer)
{
    struct quick *quick = this->quick;
    if (!quick->leader || !is_number(attribute(this, quick->seams, DEPTH), 0) ||
        !is_this(PyObject_CallNoArgs(quick->leader), optimizer)) {
        return 0;
    }
    if (!set_number(this, quick->seams, DEPTH, 1) ||
        PyObject_SetAttr(quick->step, this->names[IS_UPDATING], Py_True)) {
        return 0;
    }
    quick->is_updating = 1;
    quick->is_on = 0; /* losses of a closure go the long way */
    return 1;
}

/* Return the rate of an optimizer's first group, a new reference; NULL unless it is a float. */
static PyObject *plain_rate(const struct shortcut *this, PyObject *optimizer)
{
    PyObject *groups = attribute(this, optimizer, GROUPS), *rate = NULL;
    if (groups && PyList_Check(groups) && PyList_Size(groups) > 0) {
        PyObject *group = PyList_GetItem(groups, 0);
        rate = PyDict_Check(group) ? PyDict_GetItemWithError(group, this->names[RATE]) : NULL;
        rate = rate && PyFloat_CheckExact(rate) ? Py_NewRef(rate) : NULL;
    }
    Py_XDECREF(groups);
    return rate;
}

/* Whether something is due at the end of a step. */
static int is_due(const struct shortcut *this, long long number)
{
    PyObject *now = PyObject_CallNoArgs(this->clock);
    const double now_s = now ? PyFloat_AsDouble(now) : -1;
    Py_XDECREF(now);
    return number + 1 >= this->quick->next_step || now_s < 0 || now_s >= this->quick->write_at_s;
}

/* Note the end of a step, unless more is due. */
static int ends_update(const struct shortcut *this, PyObject *optimizer)
{
    struct quick *quick = this->quick;
    if (quick->timed || !quick->losses || PyList_Size(quick->losses) != 1 || !quick->others ||
        PyDict_Size(quick->others) || !quick->ended || !quick->stepper ||
        !is_number(attribute(this, quick->seams, DEPTH), 1)) {
        return 0;
    }
    PyObject *counted = attribute(this, quick->stepper, NUMBER);
    const long long number = (counted ? PyLong_AsLongLong(counted) : 0) + 1;
    Py_XDECREF(counted);
    PyObject *rate = counted && !is_due(this, number) ? plain_rate(this, optimizer) : NULL;
    PyObject *noted =
        rate ? Py_BuildValue("LOOO", number, PyList_GetItem(quick->losses, 0), rate, Py_False) : NULL;
    const int is_noted = noted && !PyList_Append(quick->ended, noted) &&
                         set_number(this, quick->stepper, NUMBER, number) &&
                         set_number(this, quick->seams, DEPTH, 0) &&
                         !PyObject_SetAttr(quick->step, this->names[IS_UPDATING], Py_False) &&
                         !PyList_SetSlice(quick->losses, 0, 1, NULL);
    Py_XDECREF(noted);
    Py_XDECREF(rate);
    if (is_noted) {
        quick->updates++;
        quick->is_updating = 0;
        quick->is_on = 1;
    }
    return is_noted;
}

static PyObject *take(PyObject *self, PyObject *arguments, PyObject *named)
{
    const struct shortcut *this = (struct shortcut *)self;
    const struct quick *quick = this->quick;
    const int is_open = this->kind == AFTER_UPDATE ? quick->is_updating : quick->is_on;
    int is_taken = 0;
    if (is_open && quick->thread == PyThread_get_thread_ident() && PyTuple_Size(arguments) > 0) {
        PyObject *first = PyTuple_GetItem(arguments, 0);
        is_taken = this->kind == BACKWARD        ? takes_loss(this, first)
                   : this->kind == BEFORE_UPDATE ? takes_update(this, first)
                                                 : ends_update(this, first);
        PyErr_Clear();
    }
    if (is_taken && this->kind != BACKWARD) {
        return Py_NewRef(Py_None);
    }
    return PyObject_Call(is_taken ? this->original : this->long_way, arguments, named);
}

static PyType_Slot SHORTCUT_SLOTS[] = {
    {Py_tp_new, make_shortcut},       {Py_tp_call, take},
    {Py_tp_traverse, visit_shortcut}, {Py_tp_clear, clear_shortcut},
    {Py_tp_dealloc, free_shortcut},   {0, NULL},
};

static PyType_Spec SHORTCUT_SPEC = {
    "relume.kernels._native.Shortcut", sizeof(struct shortcut), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, SHORTCUT_SLOTS,
};

static int add_types(PyObject *module)
{
    PyType_Spec *specs[] = {&QUICK_SPEC, &SHORTCUT_SPEC};
    const char *const names[] = {"QuickState", "Shortcut"};
    for (int i = 0; i < 2; i++) {
        PyObject *type = PyType_FromSpec(specs[i]);
        if (!type || PyModule_AddObjectRef(module, names[i], type)) {
            Py_XDECREF(type);
            return -1;
        }
        Py_DECREF(type);
    }
    return 0;
}
