/* The binding of fanotify.h: arguments in, results out. */
#include "bindings.h"

#include <errno.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "fanotify.h"

struct outside_object {
    PyObject_HEAD
    struct pfs_outside outside;
    PyObject *ignored; /* a function, or NULL */
};

static void outside_dealloc(PyObject *object)
{
    struct outside_object *self = (struct outside_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    pfs_outside_close(&self->outside);
    Py_XDECREF(self->ignored);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *outside_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"ignored", NULL};
    PyObject *ignored = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:Outside", names, &ignored))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct outside_object *self = (struct outside_object *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->ignored = ignored == Py_None ? NULL : Py_NewRef(ignored);
    errno = pfs_outside_open(&self->outside, getpid());
    if (errno == 0)
        return (PyObject *)self;
    PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(self);
    return NULL;
}

/* Whether the file is one to be ignored; -1 with an exception set. */
static int is_ignored(const struct outside_object *self, PyObject *path)
{
    if (self->ignored == NULL)
        return 0;
    PyObject *said = PyObject_CallFunctionObjArgs(self->ignored, path, NULL);
    int result = said == NULL ? -1 : PyObject_IsTrue(said);
    Py_XDECREF(said);
    return result;
}

/* Of an ignored file only its execution is told. */
static int append_event(struct outside_object *self, const struct pfs_outside_event *event, PyObject *list)
{
    uint64_t mask = event->mask;
    PyObject *item = NULL, *path = PyBytes_FromStringAndSize(event->path, (Py_ssize_t)event->path_bytes);
    int ignored = path == NULL ? -1 : is_ignored(self, path);
    if (ignored > 0) {
        pfs_outside_ignore(&self->outside, event);
        mask &= FAN_OPEN_EXEC;
    }
    if (ignored >= 0 && mask != 0)
        item = Py_BuildValue("(iKOLLKK)", (int)event->pid, (unsigned long long)mask, path, (long long)event->size,
                             (long long)event->mtime_ns, (unsigned long long)event->device,
                             (unsigned long long)event->inode);
    int result = item != NULL ? PyList_Append(list, item) : ignored >= 0 && mask == 0 ? 0 : -1;
    Py_XDECREF(item);
    Py_XDECREF(path);
    return result;
}

static int append_batch(struct outside_object *self, PyObject *list)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < self->outside.count; i++)
        result = append_event(self, &self->outside.batch[i], list);
    pfs_outside_release(&self->outside);
    return result;
}

static PyObject *closed(void)
{
    errno = EBADF;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyDoc_STRVAR(drain_doc,
             "drain(limit, /)\n--\n\n"
             "([(pid, mask, path, size, mtime_ns, dev, ino)...], overflowed): what is queued, without blocking; with\n"
             "`limit` or more events, soon after.  overflowed: some were lost.");

static PyObject *outside_drain(PyObject *object, PyObject *argument)
{
    struct outside_object *self = (struct outside_object *)object;
    struct pfs_outside *outside = &self->outside;
    Py_ssize_t limit = PyLong_AsSsize_t(argument);
    if (limit == -1 && PyErr_Occurred())
        return NULL;
    if (outside->fd < 0)
        return closed();
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    /* The first batch without giving other threads a turn: that may cost more than the batch. */
    bool more = pfs_outside_take(outside);
    while (append_batch(self, list) == 0) {
        if (!more || PyList_Size(list) >= limit) {
            bool lost = outside->lost;
            outside->lost = false;
            return Py_BuildValue("(NO)", list, lost ? Py_True : Py_False);
        }
        Py_BEGIN_ALLOW_THREADS
        more = pfs_outside_take(outside);
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(list);
    return NULL;
}

PyDoc_STRVAR(watch_doc, "watch(fd, /)\n--\n\n"
                        "Hear of the file system of an open directory (O_PATH is enough), too; never of FUSE, which\n"
                        "the caller has to see to.  OSError where that can't be had.");

static PyObject *mark_directory(PyObject *object, PyObject *argument,
                                int mark(const struct pfs_outside *outside, int directory))
{
    const struct pfs_outside *outside = &((struct outside_object *)object)->outside;
    int fd = PyObject_AsFileDescriptor(argument);
    if (fd < 0)
        return NULL;
    if (outside->fd < 0)
        return closed();
    errno = mark(outside, fd);
    if (errno != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

static PyObject *outside_watch(PyObject *object, PyObject *argument)
{
    return mark_directory(object, argument, pfs_outside_watch);
}

PyDoc_STRVAR(leave_out_doc, "leave_out(fd, /)\n--\n\n"
                            "Hear no more of the files in an open directory (O_PATH is enough).  OSError where that\n"
                            "can't be had.");

static PyObject *outside_leave_out(PyObject *object, PyObject *argument)
{
    return mark_directory(object, argument, pfs_outside_leave_out);
}

PyDoc_STRVAR(fileno_doc, "fileno()\n--\n\nA descriptor that is readable when there is something to drain.");

static PyObject *outside_fileno(PyObject *object, PyObject *unused)
{
    (void)unused;
    int fd = ((struct outside_object *)object)->outside.fd;
    return fd < 0 ? closed() : PyLong_FromLong(fd);
}

PyDoc_STRVAR(hurry_doc, "hurry(duration_ns, /)\n--\n\nFor so long from now on `unattended` is in a hurry.");

static PyObject *outside_hurry(PyObject *object, PyObject *argument)
{
    long long duration_ns = PyLong_AsLongLong(argument);
    if (duration_ns == -1 && PyErr_Occurred())
        return NULL;
    pfs_outside_hurry(&((struct outside_object *)object)->outside, duration_ns);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(unattended_doc,
             "unattended(end, usual_ns, hurried_ns, /)\n--\n\n"
             "Wait until something has been queued for so long and nobody has drained meanwhile (True), or until the\n"
             "descriptor `end` is readable (False).  For another thread than that which owns the object.");

static PyObject *outside_unattended(PyObject *object, PyObject *arguments)
{
    struct pfs_outside *outside = &((struct outside_object *)object)->outside;
    int end;
    long long usual_ns, hurried_ns;
    bool waits;
    if (!PyArg_ParseTuple(arguments, "iLL:unattended", &end, &usual_ns, &hurried_ns))
        return NULL;
    if (usual_ns < 0 || hurried_ns < 0) {
        PyErr_SetString(PyExc_ValueError, "a pause is not negative");
        return NULL;
    }
    if (outside->fd < 0)
        return closed();
    const struct pfs_outside_pause pause = {.usual_ns = usual_ns, .hurried_ns = hurried_ns};
    Py_BEGIN_ALLOW_THREADS
    waits = pfs_outside_unattended(outside, end, pause);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(waits);
}

PyDoc_STRVAR(close_doc, "close()\n--\n\nStop listening; a second call does nothing.");

static PyObject *outside_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct outside_object *self = (struct outside_object *)object;
    pfs_outside_close(&self->outside);
    Py_CLEAR(self->ignored);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(outside_doc,
             "Outside(ignored=None)\n--\n\n"
             "Hears of each file that other processes open or write, on file systems to be named by watch; see\n"
             "native/fanotify.h.  ignored(path) says which files are never told, but for their execution.  Owned by\n"
             "one thread.  OSError where the kernel does not tell us.");

static PyMethodDef outside_methods[] = {
    {"drain", outside_drain, METH_O, drain_doc},
    {"watch", outside_watch, METH_O, watch_doc},
    {"leave_out", outside_leave_out, METH_O, leave_out_doc},
    {"fileno", outside_fileno, METH_NOARGS, fileno_doc},
    {"hurry", outside_hurry, METH_O, hurry_doc},
    {"unattended", outside_unattended, METH_VARARGS, unattended_doc},
    {"close", outside_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot outside_slots[] = {
    {Py_tp_new, outside_new},
    {Py_tp_dealloc, outside_dealloc},
    {Py_tp_methods, outside_methods},
    {Py_tp_doc, (void *)outside_doc},
    {0, NULL},
};

static PyType_Spec outside_spec = {
    "pfs._native.Outside", sizeof(struct outside_object), 0, Py_TPFLAGS_DEFAULT, outside_slots,
};

int pfs_add_fanotify(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &outside_spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Outside", type);
    Py_XDECREF(type);
    return result;
}
