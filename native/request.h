/* The pid behind a request that pyfuse3 handles but does not tell the caller of: READ and WRITE.
 *
 * pyfuse3 (3.4, 3.5) passes each request to a coroutine in an object called _Container, whose fields after the
 * object's head are known; one is libfuse's request, and fuse_req_ctx(3) knows the rest.
 */
#ifndef PFS_REQUEST_H
#define PFS_REQUEST_H

#include <stddef.h>
#include <sys/types.h>

/* How long the fields are that pfs_request_pid reads: a container of another length is another pyfuse3's. */
size_t pfs_container_bytes(void);

/* Whether libfuse is there to ask; looks for it once.  Call it before anything below. */
int pfs_request_ready(void);

/* The thread that caused the request that a container holds; 0 where the kernel does not tell or there is no request.
 * `fields` is what follows the head of the container, pfs_container_bytes() long; the request must not have been
 * answered yet. */
pid_t pfs_request_pid(const void *fields);

#endif
