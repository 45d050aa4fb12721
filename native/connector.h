/* The kernel's proc connector: a message for each fork, exec and exit on this machine, in order.
 *
 * The kernel queues the message of a fork before the child runs and that of an exec before the new program does, so
 * whoever drains the queue first knows of every process image that can be asking anything of it.  Threads are told
 * of as well: pid is the thread, tgid its process.
 *
 * Where: root anywhere, other users since Linux 6.6; in the first pid and network namespaces; CONFIG_PROC_EVENTS.
 *
 * Everything is subscribed to and the rest dropped here, not by the kernel's filter (Linux 6.6): a message that the
 * filters of all listeners drop counts as "nobody listens", and that ends the messages for everybody (send_msg in
 * drivers/connector/cn_proc.c).  A queue that overflows does the same; so after each overflow a message that we cause
 * ourselves (prctl(2) PR_SET_NAME, with the name that is there) must come back, else we subscribe anew.
 *
 * These files know no Python.  One thread at a time uses a connector.  Nothing here blocks.
 */
#ifndef PFS_CONNECTOR_H
#define PFS_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the queue may take, as setsockopt(2) SO_RCVBUF counts (the kernel doubles it; a message takes 768 bytes):
 * 87,000 messages.  Without CAP_NET_ADMIN it is net.core.rmem_max. */
#define PFS_CONNECTOR_QUEUE_BYTES (32 << 20)
enum pfs_event_kind { PFS_EVENT_FORK, PFS_EVENT_EXEC, PFS_EVENT_EXIT };

struct pfs_event {
    enum pfs_event_kind kind;
    uint32_t exit_code; /* of an exit: as in wait(2) */
    pid_t pid;          /* of a fork: the parent's, which is that of its process where a thread was made */
    pid_t tgid;
    pid_t child_pid; /* of a fork */
    pid_t child_tgid;
    uint64_t time_ns; /* CLOCK_MONOTONIC */
};

/* Owned by whoever opened it. */
struct pfs_connector {
    int fd; /* readable when there is something to drain; -1: closed */
    struct pfs_event *events;
    size_t count, capacity;
    bool overflowed; /* messages were lost before the last drain ended */
    bool heard;      /* our own message came back */
};

/* 0, or an errno: EPROTONOSUPPORT and EPERM as socket(2) and bind(2) give them, ECONNREFUSED in another network
 * namespace, EOPNOTSUPP where the kernel is silent, as it is towards other pid namespaces; ENOMEM.  After 0 the
 * caller closes it. */
int pfs_connector_open(struct pfs_connector *connector);
void pfs_connector_close(struct pfs_connector *connector);

enum pfs_drained {
    PFS_DRAINED_EMPTY,  /* the queue is empty */
    PFS_DRAINED_MORE,   /* `count_max` events are there: call again */
    PFS_DRAINED_FAILED, /* no messages come any more: close it */
};

/* Takes what is queued to events[count...), and stops soon after count has reached count_max.  The caller sets count
 * and overflowed back when it has had them. */
enum pfs_drained pfs_connector_drain(struct pfs_connector *connector, size_t count_max);

/* ---- For tests ---- */

/* Puts into `event` what a netlink message of `size` bytes tells; false: nothing that is wanted.  *heard is set where
 * it is the one that this thread caused. */
bool pfs_connector_parse(const void *message, size_t size, struct pfs_event *event, bool *heard);
/* Counts us as a listener once more, whatever the kernel's count is. */
int pfs_connector_rejoin(void);

#endif
