/* Looking into pyfuse3's requests; see request.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#define _FILE_OFFSET_BITS 64
#define FUSE_USE_VERSION 312
#include "request.h"

#include <dlfcn.h>
#include <fuse3/fuse_lowlevel.h>
#include <string.h>
#include <sys/stat.h>

/* class _Container in pyfuse3's handlers.pxi. */
struct container {
    dev_t rdev;
    struct fuse_file_info fi;
    fuse_ino_t ino;
    fuse_ino_t parent;
    fuse_req_t req;
    int flags;
    mode_t mode;
    off_t off;
    size_t size;
    struct stat stat;
    uint64_t fh;
};

typedef const struct fuse_ctx *context_function(fuse_req_t request);

static context_function *context;

size_t pfs_container_bytes(void)
{
    return sizeof(struct container);
}

/* The libfuse that pyfuse3 is linked to, which is loaded by then. */
int pfs_request_ready(void)
{
    if (context == NULL) {
        void *found = dlsym(RTLD_DEFAULT, "fuse_req_ctx");
        if (found == NULL) {
            void *library = dlopen("libfuse3.so.3", RTLD_NOW | RTLD_NOLOAD);
            found = library == NULL ? NULL : dlsym(library, "fuse_req_ctx");
        }
        memcpy(&context, &found, sizeof context); /* ISO C has no cast from an object to a function */
    }
    return context != NULL;
}

pid_t pfs_request_pid(const void *fields)
{
    struct container container;
    memcpy(&container.req, (const char *)fields + offsetof(struct container, req), sizeof container.req);
    return container.req == NULL ? 0 : context(container.req)->pid;
}
