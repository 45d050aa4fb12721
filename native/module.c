/* pfs._native: the Python binding of the C code, and two calls of the C library that Python does not offer.
 * Functions and types of the bind_*.c files are added by the slots at the end.
 *
 * Stable ABI of Python 3.11, one binary for every later version.  Decides nothing: arguments in, results out. */
#include "bindings.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "chunker.h"

/* Cut points taken to Python at a time: 8 KiB of stack. */
#define BATCH_CUTS ((size_t)1024)

static int parse_kernel(const char *name, enum pfs_kernel *kernel)
{
    if (strcmp(name, "auto") == 0)
        *kernel = PFS_KERNEL_AUTO;
    else if (strcmp(name, "scalar") == 0)
        *kernel = PFS_KERNEL_SCALAR;
    else if (strcmp(name, "avx2") == 0)
        *kernel = PFS_KERNEL_AVX2;
    else {
        PyErr_Format(PyExc_ValueError, "no kernel is called %s", name);
        return -1;
    }
    if (!pfs_kernel_available(*kernel)) {
        PyErr_Format(PyExc_ValueError, "this machine cannot run the kernel %s", name);
        return -1;
    }
    return 0;
}

static int append_cuts(PyObject *list, const uint64_t *cuts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PyObject *cut = PyLong_FromUnsignedLongLong(cuts[i]);
        int failed = cut == NULL || PyList_Append(list, cut) < 0;
        Py_XDECREF(cut);
        if (failed)
            return -1;
    }
    return 0;
}

/* The buffer stays exported, and so in place, while the interpreter lock is released. */
static PyObject *cut_buffer(const struct pfs_rule *rule, const Py_buffer *view, bool final)
{
    uint64_t cuts[BATCH_CUTS];
    size_t start = 0, count;
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return NULL;
    do {
        Py_BEGIN_ALLOW_THREADS
        count = pfs_cut_points(rule, view->buf, (size_t)view->len, final, start, cuts, BATCH_CUTS);
        Py_END_ALLOW_THREADS
        if (append_cuts(list, cuts, count) < 0) {
            Py_DECREF(list);
            return NULL;
        }
        if (count > 0)
            start = (size_t)cuts[count - 1];
    } while (count == BATCH_CUTS);
    return list;
}

PyDoc_STRVAR(cut_points_doc,
             "cut_points(buffer, min_bytes, max_bytes, final=True, kernel='auto')\n--\n\n"
             "Every cut point of a C-contiguous buffer, as ascending offsets; see native/chunker.h.");

static PyObject *cut_points(PyObject *module, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"buffer", "min_bytes", "max_bytes", "final", "kernel", NULL};
    Py_buffer view;
    Py_ssize_t min_bytes, max_bytes;
    int final = 1;
    const char *kernel = "auto";
    (void)module;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "y*nn|ps:cut_points", names, &view, &min_bytes, &max_bytes,
                                     &final, &kernel))
        return NULL;
    PyObject *list = NULL;
    struct pfs_rule rule = {(size_t)min_bytes, (size_t)max_bytes, PFS_KERNEL_AUTO};
    if (!pfs_rule_valid(&rule))
        PyErr_Format(PyExc_ValueError, "%zd <= min_bytes <= max_bytes <= %zd does not hold for %zd and %zd",
                     (Py_ssize_t)PFS_MIN_BYTES_LEAST, (Py_ssize_t)PFS_MAX_BYTES_MOST, min_bytes, max_bytes);
    else if (parse_kernel(kernel, &rule.kernel) == 0)
        list = cut_buffer(&rule, &view, final != 0);
    PyBuffer_Release(&view);
    return list;
}

PyDoc_STRVAR(kernels_doc, "kernels()\n--\n\nThe names of the kernels that this machine runs, slowest first.");

static PyObject *kernels(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return pfs_kernel_available(PFS_KERNEL_AVX2) ? Py_BuildValue("(ss)", "scalar", "avx2")
                                                 : Py_BuildValue("(s)", "scalar");
}

PyDoc_STRVAR(syncfs_doc,
             "syncfs(fd, /)\n--\n\n"
             "Write back everything of the filesystem that holds fd, as syncfs(2).  Raises OSError.");

static PyObject *sync_filesystem(PyObject *module, PyObject *argument)
{
    (void)module;
    int fd = PyObject_AsFileDescriptor(argument);
    if (fd < 0)
        return NULL;
    int result;
    Py_BEGIN_ALLOW_THREADS
    result = syncfs(fd);
    Py_END_ALLOW_THREADS
    if (result < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_mmap_threshold_doc,
             "set_mmap_threshold(size_bytes, /)\n--\n\n"
             "Have malloc take anything of size_bytes or more from mmap, so that freeing it returns it to the system\n"
             "at once, and trim the heap beyond size_bytes.  Setting it also stops glibc from raising the threshold\n"
             "by itself.  False where malloc has no such setting (musl).");

static PyObject *set_mmap_threshold(PyObject *module, PyObject *argument)
{
    (void)module;
    long size_bytes = PyLong_AsLong(argument);
    if (size_bytes == -1 && PyErr_Occurred())
        return NULL;
    if (size_bytes < 0 || size_bytes > INT_MAX) {
        PyErr_SetString(PyExc_ValueError, "size_bytes is not between 0 and 2^31 - 1");
        return NULL;
    }
#ifdef __GLIBC__
    int done = mallopt(M_MMAP_THRESHOLD, (int)size_bytes) == 1 && mallopt(M_TRIM_THRESHOLD, (int)size_bytes) == 1;
    return PyBool_FromLong(done);
#else
    return PyBool_FromLong(0);
#endif
}

/* Casting through a plain function pointer is how CPython stores a function with keywords; its flags say which. */
static PyMethodDef methods[] = {
    {"cut_points", (PyCFunction)(void (*)(void))cut_points, METH_VARARGS | METH_KEYWORDS, cut_points_doc},
    {"kernels", kernels, METH_NOARGS, kernels_doc},
    {"syncfs", sync_filesystem, METH_O, syncfs_doc},
    {"set_mmap_threshold", set_mmap_threshold, METH_O, set_mmap_threshold_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, pfs_add_processes},
    {Py_mod_exec, pfs_add_closure},
    {Py_mod_exec, pfs_add_fanotify},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "pfs._native", "C parts of pfs; see pfs/_native.pyi.", 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    return PyModuleDef_Init(&definition);
}
