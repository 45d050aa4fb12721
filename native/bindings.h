/* What each binding adds to the module pfs._native: one function a file, listed as a slot in module.c. */
#ifndef PFS_BINDINGS_H
#define PFS_BINDINGS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds its functions and types to the module.  0, or -1 with an exception set. */
int pfs_add_processes(PyObject *module);
int pfs_add_closure(PyObject *module);
int pfs_add_fanotify(PyObject *module);

#endif
