/* The binding of closure.h: arguments in, results out. */
#include "bindings.h"

#include <stdlib.h>

#include "closure.h"

/* What fetching needs: the function, and the blocks that it gave, which stay until the walk ends. */
struct fetcher {
    PyObject *function;
    PyObject *blocks; /* list */
    PyThreadState *state; /* of this thread, while the interpreter lock is released */
};

static enum pfs_outcome give_all(struct fetcher *fetcher, struct pfs_walk *walk, enum pfs_block_kind kind,
                                 PyObject *given)
{
    unsigned int first;
    PyObject *blocks;
    if (!PyArg_ParseTuple(given, "IO!", &first, &PyList_Type, &blocks) || PyList_Append(fetcher->blocks, blocks) < 0)
        return PFS_STOPPED;
    Py_ssize_t count = PyList_Size(blocks);
    for (Py_ssize_t i = 0; i < count; i++) {
        char *bytes;
        Py_ssize_t size;
        if (PyBytes_AsStringAndSize(PyList_GetItem(blocks, i), &bytes, &size) < 0)
            return PFS_STOPPED;
        if ((uintptr_t)bytes % sizeof(uint32_t) != 0 || size % (Py_ssize_t)sizeof(uint32_t) != 0)
            return PFS_DAMAGED;
        enum pfs_outcome outcome = pfs_walk_give(walk, kind, first + (uint32_t)i, (const uint32_t *)(const void *)bytes,
                                                 (size_t)size / sizeof(uint32_t));
        if (outcome != PFS_DONE)
            return outcome;
    }
    return PFS_DONE;
}

static enum pfs_outcome fetch(void *context, struct pfs_walk *walk, enum pfs_block_kind kind, uint32_t block)
{
    struct fetcher *fetcher = context;
    enum pfs_outcome outcome = PFS_STOPPED;
    PyEval_RestoreThread(fetcher->state);
    PyObject *given = PyObject_CallFunction(fetcher->function, "iI", (int)kind, (unsigned int)block);
    if (given != NULL)
        outcome = give_all(fetcher, walk, kind, given);
    Py_XDECREF(given);
    fetcher->state = PyEval_SaveThread();
    return outcome;
}

static PyObject *left_out_object(const struct pfs_walk *walk)
{
    PyObject *tuple = PyTuple_New(PFS_LEVELS);
    for (int level = 0; tuple != NULL && level < PFS_LEVELS; level++) {
        PyObject *count = PyLong_FromUnsignedLongLong(pfs_walk_left_out(walk)[level]);
        if (count == NULL || PyTuple_SetItem(tuple, level, count) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static PyObject *answer(const struct pfs_walk *walk)
{
    size_t versions = pfs_walk_version_count(walk), activities = pfs_walk_activity_count(walk);
    PyObject *ids = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(versions * sizeof(uint64_t)));
    PyObject *depths = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(versions * sizeof(uint32_t)));
    PyObject *actors = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(activities * sizeof(uint64_t)));
    PyObject *edges = PyBytes_FromStringAndSize((const char *)pfs_walk_edges(walk),
                                                (Py_ssize_t)(pfs_walk_edge_count(walk) * sizeof(struct pfs_edge)));
    PyObject *left_out = left_out_object(walk);
    PyObject *result = NULL;
    if (ids != NULL && depths != NULL && actors != NULL && edges != NULL && left_out != NULL) {
        pfs_walk_versions(walk, (uint64_t *)(void *)PyBytes_AsString(ids),
                          (uint32_t *)(void *)PyBytes_AsString(depths));
        pfs_walk_activities(walk, (uint64_t *)(void *)PyBytes_AsString(actors));
        result = PyTuple_Pack(5, ids, depths, actors, edges, left_out);
    }
    Py_XDECREF(ids);
    Py_XDECREF(depths);
    Py_XDECREF(actors);
    Py_XDECREF(edges);
    Py_XDECREF(left_out);
    return result;
}

static PyObject *walk_from(struct fetcher *fetcher, const struct pfs_question *question, const Py_buffer *roots)
{
    struct pfs_walk *walk = pfs_walk_begin(question, fetch, fetcher);
    if (walk == NULL)
        return PyErr_NoMemory();
    fetcher->state = PyEval_SaveThread();
    enum pfs_outcome outcome =
        pfs_walk_run(walk, (const uint32_t *)roots->buf, (size_t)roots->len / sizeof(uint32_t));
    PyEval_RestoreThread(fetcher->state);
    PyObject *result = NULL;
    if (outcome == PFS_DONE)
        result = answer(walk);
    else if (outcome == PFS_NO_MEMORY)
        PyErr_NoMemory();
    else if (outcome == PFS_DAMAGED)
        PyErr_SetString(PyExc_ValueError, "the blocks hold no graph");
    pfs_walk_end(walk);
    return result;
}

PyDoc_STRVAR(closure_doc,
             "closure(fetch, roots, down, level_max, depth_max, edges, /)\n--\n\n"
             "A closure over the graph in blocks; see native/closure.h.  fetch(kind, block) gives a number and a\n"
             "list of bytes: the blocks from that number on, the one asked for among them.  roots: u32 numbers of versions.  Returns ids of\n"
             "versions (u64), their depths (u32), ids of activities (u64), edges (I4xQQII: kind, source, target,\n"
             "position, level) and a tuple of how many were left out, by level.  ValueError: the blocks hold no graph.");

static PyObject *closure(PyObject *module, PyObject *arguments)
{
    struct fetcher fetcher = {NULL, NULL, NULL};
    Py_buffer roots;
    int down, edges;
    unsigned int level_max, depth_max;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "Oy*pIIp:closure", &fetcher.function, &roots, &down, &level_max, &depth_max,
                          &edges))
        return NULL;
    PyObject *result = NULL;
    struct pfs_question question = {down != 0, edges != 0, level_max, depth_max};
    if (roots.len % (Py_ssize_t)sizeof(uint32_t) != 0 ||
        (roots.len > 0 && (uintptr_t)roots.buf % sizeof(uint32_t) != 0))
        PyErr_SetString(PyExc_TypeError, "roots are no array of u32");
    else if ((fetcher.blocks = PyList_New(0)) != NULL)
        result = walk_from(&fetcher, &question, &roots);
    Py_XDECREF(fetcher.blocks);
    PyBuffer_Release(&roots);
    return result;
}

static PyMethodDef methods[] = {
    {"closure", closure, METH_VARARGS, closure_doc},
    {NULL, NULL, 0, NULL},
};

int pfs_add_closure(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
