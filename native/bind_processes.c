/* The binding of proc.h, connector.h and request.h: arguments in, results out. */
#include "bindings.h"

#include <errno.h>
#include <poll.h>

#include "connector.h"
#include "proc.h"
#include "request.h"

/* Events taken without giving other threads a turn: 64 cost less than the turn. */
#define EVENTS_AT_ONCE ((size_t)64)
/* Events taken to Python at a time, 640 KB. */
#define EVENTS_BATCH ((size_t)1 << 14)
/* A longer list counts as an overflow: what a second of 40,000 forks leaves. */
#define EVENTS_MAX ((Py_ssize_t)1 << 17)

/* Takes its second argument.  -1 with an exception set where that is NULL, too. */
static int set_item(PyObject *dictionary, const char *name, PyObject *value)
{
    int result = value == NULL ? -1 : PyDict_SetItemString(dictionary, name, value);
    Py_XDECREF(value);
    return result;
}

static PyObject *text_object(const struct pfs_process *process, struct pfs_text text)
{
    return PyBytes_FromStringAndSize(process->arena + text.offset, (Py_ssize_t)text.size);
}

static PyObject *descriptors_object(const struct pfs_process *process)
{
    PyObject *list = PyList_New((Py_ssize_t)process->descriptor_count);
    for (size_t i = 0; list != NULL && i < process->descriptor_count; i++) {
        const struct pfs_descriptor *descriptor = &process->descriptors[i];
        PyObject *item = Py_BuildValue("(iNi)", descriptor->number, text_object(process, descriptor->target),
                                       descriptor->flags);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SetItem(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *failed_object(const struct pfs_process *process)
{
    PyObject *list = PyList_New(0);
    for (int part = 0; list != NULL && part < PFS_PARTS; part++) {
        if ((process->failed >> part & 1) == 0)
            continue;
        PyObject *name = PyUnicode_FromString(pfs_part_name((enum pfs_part)part));
        if (name == NULL || PyList_Append(list, name) < 0)
            Py_CLEAR(list);
        Py_XDECREF(name);
    }
    return list;
}

static PyObject *process_object(const struct pfs_process *process)
{
    const struct pfs_stat *stat = &process->stat;
    PyObject *found = PyDict_New();
    if (found == NULL)
        return NULL;
    if (set_item(found, "tgid", PyLong_FromLong(stat->tgid)) < 0 ||
        set_item(found, "ppid", PyLong_FromLong(stat->ppid)) < 0 ||
        set_item(found, "uid", PyLong_FromUnsignedLong(process->uid)) < 0 ||
        set_item(found, "gid", PyLong_FromUnsignedLong(process->gid)) < 0 ||
        set_item(found, "start_ticks", PyLong_FromUnsignedLongLong(stat->start_ticks)) < 0 ||
        set_item(found, "start_stack", PyLong_FromUnsignedLongLong(stat->start_stack)) < 0 ||
        set_item(found, "sid", PyLong_FromLong(stat->session)) < 0 ||
        set_item(found, "group", PyLong_FromLong(stat->group)) < 0 ||
        set_item(found, "tty_nr", PyLong_FromLong(stat->tty_nr)) < 0 ||
        set_item(found, "threads", PyLong_FromUnsignedLong(stat->threads)) < 0 ||
        set_item(found, "comm", text_object(process, process->comm)) < 0 ||
        set_item(found, "cmdline", text_object(process, process->cmdline)) < 0 ||
        set_item(found, "exe", text_object(process, process->exe)) < 0 ||
        set_item(found, "cwd", text_object(process, process->cwd)) < 0 ||
        set_item(found, "environ", text_object(process, process->environ)) < 0 ||
        set_item(found, "cgroup", text_object(process, process->cgroup)) < 0 ||
        set_item(found, "pid_namespace", PyLong_FromUnsignedLongLong(process->pid_namespace)) < 0 ||
        set_item(found, "read_ns", PyLong_FromUnsignedLongLong(process->read_ns)) < 0 ||
        set_item(found, "fds", descriptors_object(process)) < 0 ||
        set_item(found, "failed", failed_object(process)) < 0)
        Py_CLEAR(found);
    return found;
}

/* None where a process is gone or hidden from us, else an exception. */
static PyObject *not_found(int error)
{
    if (error == ESRCH || error == EACCES || error == EPERM)
        Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static int parse_pid(PyObject *argument, pid_t *pid)
{
    long value = PyLong_AsLong(argument);
    if (value == -1 && PyErr_Occurred())
        return -1;
    /* No process has 0 or less, and nothing else may be asked for under their names. */
    *pid = value > 0 && value <= INT_MAX ? (pid_t)value : 0;
    return 0;
}

PyDoc_STRVAR(proc_read_doc, "proc_read(pid, /)\n--\n\n"
                            "What /proc says of the process of a thread, or None; see native/proc.h.  May block.");

static PyObject *proc_read(PyObject *module, PyObject *argument)
{
    (void)module;
    struct pfs_process process;
    pid_t pid;
    int error;
    if (parse_pid(argument, &pid) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    error = pfs_proc_read(pid, &process);
    Py_END_ALLOW_THREADS
    if (error != 0)
        return not_found(error);
    PyObject *found = process_object(&process);
    pfs_process_free(&process);
    return found;
}

PyDoc_STRVAR(proc_stat_doc, "proc_stat(pid, /)\n--\n\n"
                            "(tgid, ppid, start_ticks, start_stack) of a thread, or None.  May block.");

static PyObject *proc_stat(PyObject *module, PyObject *argument)
{
    (void)module;
    struct pfs_stat stat;
    pid_t pid;
    int error;
    if (parse_pid(argument, &pid) < 0)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    error = pfs_proc_stat(pid, &stat);
    Py_END_ALLOW_THREADS
    if (error != 0)
        return not_found(error);
    return Py_BuildValue("(iiKK)", (int)stat.tgid, (int)stat.ppid, (unsigned long long)stat.start_ticks,
                         (unsigned long long)stat.start_stack);
}

/* ---- Connector ---- */

struct connector_object {
    PyObject_HEAD
    struct pfs_connector connector;
    PyObject *kinds[3]; /* by enum pfs_event_kind */
};

static void connector_dealloc(PyObject *object)
{
    struct connector_object *self = (struct connector_object *)object;
    PyTypeObject *type = Py_TYPE(object);
    pfs_connector_close(&self->connector);
    for (size_t i = 0; i < 3; i++)
        Py_XDECREF(self->kinds[i]);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyObject *connector_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static const char *const names[] = {"fork", "exec", "exit"};
    static char *no_keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, ":Connector", no_keywords))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    struct connector_object *self = (struct connector_object *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->connector.fd = -1;
    for (size_t i = 0; i < 3; i++) {
        self->kinds[i] = PyUnicode_InternFromString(names[i]);
        if (self->kinds[i] == NULL) {
            Py_DECREF(self);
            return NULL;
        }
    }
    errno = pfs_connector_open(&self->connector);
    if (errno != 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *event_object(const struct connector_object *self, const struct pfs_event *event)
{
    PyObject *kind = self->kinds[event->kind];
    unsigned long long time_ns = event->time_ns;
    if (event->kind == PFS_EVENT_FORK)
        return Py_BuildValue("(OiiiiK)", kind, (int)event->pid, (int)event->tgid, (int)event->child_pid,
                             (int)event->child_tgid, time_ns);
    if (event->kind == PFS_EVENT_EXEC)
        return Py_BuildValue("(OiiK)", kind, (int)event->pid, (int)event->tgid, time_ns);
    return Py_BuildValue("(OiiIK)", kind, (int)event->pid, (int)event->tgid, (unsigned)event->exit_code, time_ns);
}

/* Moves the events to the list, as far as that may grow. */
static int move_events(struct connector_object *self, PyObject *list)
{
    struct pfs_connector *connector = &self->connector;
    for (size_t i = 0; i < connector->count; i++) {
        if (PyList_Size(list) >= EVENTS_MAX) {
            connector->overflowed = true;
            break;
        }
        PyObject *event = event_object(self, &connector->events[i]);
        int failed = event == NULL || PyList_Append(list, event) < 0;
        Py_XDECREF(event);
        if (failed)
            return -1;
    }
    connector->count = 0;
    return 0;
}

static PyObject *closed(void)
{
    errno = EBADF;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyDoc_STRVAR(drain_doc, "drain()\n--\n\n"
                        "([event...], overflowed): all that is queued, without blocking.  An event is\n"
                        "('fork', parent_pid, parent_tgid, child_pid, child_tgid, time_ns),\n"
                        "('exec', pid, tgid, time_ns) or ('exit', pid, tgid, exit_code, time_ns), by\n"
                        "CLOCK_MONOTONIC.  overflowed: some were lost.  OSError: none come any more.");

static PyObject *connector_drain(PyObject *object, PyObject *unused)
{
    (void)unused;
    struct connector_object *self = (struct connector_object *)object;
    struct pfs_connector *connector = &self->connector;
    if (connector->fd < 0)
        return closed();
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    enum pfs_drained drained = pfs_connector_drain(connector, EVENTS_AT_ONCE);
    while (move_events(self, list) == 0) {
        if (drained == PFS_DRAINED_EMPTY) {
            int overflowed = connector->overflowed;
            connector->overflowed = false;
            return Py_BuildValue("(NO)", list, overflowed ? Py_True : Py_False);
        }
        if (drained == PFS_DRAINED_FAILED) {
            errno = ENOTCONN;
            PyErr_SetFromErrno(PyExc_OSError);
            break;
        }
        Py_BEGIN_ALLOW_THREADS
        drained = pfs_connector_drain(connector, EVENTS_BATCH);
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(list);
    return NULL;
}

PyDoc_STRVAR(fileno_doc, "fileno()\n--\n\nA descriptor that is readable when there is something to drain.");

static PyObject *connector_fileno(PyObject *object, PyObject *unused)
{
    (void)unused;
    int fd = ((struct connector_object *)object)->connector.fd;
    return fd < 0 ? closed() : PyLong_FromLong(fd);
}

PyDoc_STRVAR(close_doc, "close()\n--\n\nStop listening; a second call does nothing.");

static PyObject *connector_close(PyObject *object, PyObject *unused)
{
    (void)unused;
    pfs_connector_close(&((struct connector_object *)object)->connector);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(connector_doc, "Connector()\n--\n\n"
                            "Hears of each fork, exec and exit on this machine; see native/connector.h.  Owned by one\n"
                            "thread.  OSError where the kernel does not tell us.");

static PyMethodDef connector_methods[] = {
    {"drain", connector_drain, METH_NOARGS, drain_doc},
    {"fileno", connector_fileno, METH_NOARGS, fileno_doc},
    {"close", connector_close, METH_NOARGS, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot connector_slots[] = {
    {Py_tp_new, connector_new},
    {Py_tp_dealloc, connector_dealloc},
    {Py_tp_methods, connector_methods},
    {Py_tp_doc, (void *)connector_doc},
    {0, NULL},
};

static PyType_Spec connector_spec = {
    "pfs._native.Connector", sizeof(struct connector_object), 0, Py_TPFLAGS_DEFAULT, connector_slots,
};

/* ---- Requests ---- */

/* The one type that was found to be pyfuse3's container, held for ever. */
static PyObject *container_type;

/* -1 with an exception set where it is another type, or there is no libfuse. */
static int check_container_type(PyObject *type)
{
    PyObject *size = PyObject_GetAttrString(type, "__basicsize__");
    Py_ssize_t bytes = size == NULL ? -1 : PyLong_AsSsize_t(size);
    Py_XDECREF(size);
    if (bytes == -1 && PyErr_Occurred())
        return -1;
    if (bytes != (Py_ssize_t)(sizeof(PyObject) + pfs_container_bytes())) {
        PyErr_SetString(PyExc_TypeError, "not a request of a pyfuse3 whose layout is known");
        return -1;
    }
    if (!pfs_request_ready()) {
        PyErr_SetString(PyExc_RuntimeError, "libfuse is not loaded");
        return -1;
    }
    Py_XDECREF(container_type);
    container_type = Py_NewRef(type);
    return 0;
}

PyDoc_STRVAR(request_pid_doc,
             "request_pid(container, /)\n--\n\n"
             "The thread that caused the unanswered request in a pyfuse3._Container; 0: not told.\n"
             "TypeError where the layout is another one (only its length is compared), RuntimeError without libfuse.");

static PyObject *request_pid(PyObject *module, PyObject *container)
{
    (void)module;
    PyObject *type = (PyObject *)Py_TYPE(container);
    if (type != container_type && check_container_type(type) < 0)
        return NULL;
    return PyLong_FromLong(pfs_request_pid((const char *)container + sizeof(PyObject)));
}

PyDoc_STRVAR(is_quiet_doc, "is_quiet(*fds)\n--\n\n"
                           "Whether nothing can be read from any of these (at most 8), and none is broken; does not block.");

static PyObject *is_quiet(PyObject *module, PyObject *arguments)
{
    (void)module;
    struct pollfd asked[8];
    Py_ssize_t count = PyTuple_Size(arguments);
    if (count > (Py_ssize_t)(sizeof asked / sizeof *asked)) {
        PyErr_SetString(PyExc_ValueError, "more than 8 descriptors");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        long fd = PyLong_AsLong(PyTuple_GetItem(arguments, i));
        if (fd == -1 && PyErr_Occurred())
            return NULL;
        asked[i] = (struct pollfd){.fd = (int)fd, .events = POLLIN};
    }
    /* Without giving other threads a turn, which costs more than this. */
    return PyBool_FromLong(poll(asked, (nfds_t)count, 0) == 0);
}

static PyMethodDef methods[] = {
    {"is_quiet", is_quiet, METH_VARARGS, is_quiet_doc},
    {"proc_read", proc_read, METH_O, proc_read_doc},
    {"proc_stat", proc_stat, METH_O, proc_stat_doc},
    {"request_pid", request_pid, METH_O, request_pid_doc},
    {NULL, NULL, 0, NULL},
};

int pfs_add_processes(PyObject *module)
{
    if (PyModule_AddFunctions(module, methods) < 0)
        return -1;
    PyObject *type = PyType_FromModuleAndSpec(module, &connector_spec, NULL);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Connector", type);
    Py_XDECREF(type);
    return result;
}
