/* Hearing of files that are opened and written on whole file systems, by fanotify(7).
 *
 * The kernel queues the event before open(2), execve(2) or close(2) returns, so whoever drains the queue when a
 * process makes a request knows of all that it has opened before.  Events of one process about one file that are
 * drained together are one event with several bits: their order among others is that of the first.
 *
 * Taking an event opens its file for us.  That must not wait: O_NONBLOCK keeps us from waiting for a lease, and the
 * caller leaves out FUSE (a daemon would wait for itself; asking the kernel whether it is FUSE waits as well), network
 * file systems, and disks that are files of ours.  An event keeps its file, and so the mount, busy until it is taken.
 * Where that file has been deleted meanwhile we may be the last to hold it, and closing it frees its blocks, which can
 * take milliseconds: a thread of our own does that.
 *
 * Needs CAP_SYS_ADMIN in the first user namespace; Linux 5.1, and 5.19 for `ignore`, 6.0 for `leave_out`.
 * These files know no Python.  One thread at a time uses an object, but for pfs_outside_unattended. */
#ifndef PFS_FANOTIFY_H
#define PFS_FANOTIFY_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Events, and so open files, taken by one system call. */
#define PFS_OUTSIDE_BATCH 64
/* Deleted files that wait to be closed; beyond that whoever takes events waits, too. */
#define PFS_OUTSIDE_CLOSING_MAX 256

/* One event; its bits are those of fanotify(7): FAN_OPEN, FAN_OPEN_EXEC, FAN_CLOSE_WRITE, FAN_CLOSE_NOWRITE. */
struct pfs_outside_event {
    uint64_t mask;
    uint64_t device, inode;
    int64_t size, mtime_ns; /* when the event is taken, not when it happened */
    uint64_t links;         /* 0: the file is deleted */
    pid_t pid;              /* of the process, in our pid namespace */
    int fd;                 /* of the file, until pfs_outside_release */
    size_t path_bytes;
    char path[PATH_MAX]; /* no NUL; the last one it had where it is deleted */
};

/* Owned by whoever opened it. */
struct pfs_outside {
    int fd;                          /* readable when there is something to take; -1: closed */
    pid_t own;                       /* whose events are dropped */
    bool lost;                       /* events were lost */
    struct pfs_outside_event *batch; /* PFS_OUTSIDE_BATCH of them */
    size_t count;                    /* that are taken and not released */
    atomic_uint takes;               /* calls of pfs_outside_take */
    _Atomic int64_t hurried_ns;      /* until when somebody is in a hurry, by CLOCK_MONOTONIC */
    struct pfs_outside_closer {
        pthread_t thread;
        int pipe[2]; /* descriptors for it */
        atomic_int waiting;
    } *closer;
};

/* 0, or an errno: EPERM, ENOSYS ... as fanotify_init(2), ENOMEM.  After 0 the caller closes it. */
int pfs_outside_open(struct pfs_outside *outside, pid_t own);
void pfs_outside_close(struct pfs_outside *outside);

/* Hears of the file system of a directory from now on, which may be open with O_PATH.  0, or an errno as
 * fanotify_mark(2). */
int pfs_outside_watch(const struct pfs_outside *outside, int directory);

/* Whether something is queued.  Does not block. */
bool pfs_outside_waits(const struct pfs_outside *outside);

/* Takes what is queued, up to PFS_OUTSIDE_BATCH, to batch[0...count).  False: nothing was queued.  What was taken
 * before must be released. */
bool pfs_outside_take(struct pfs_outside *outside);

/* How long events may wait for somebody who takes them. */
struct pfs_outside_pause {
    int64_t usual_ns, hurried_ns;
};

/* Until when pfs_outside_unattended is in a hurry: for so long from now on.  From any thread. */
void pfs_outside_hurry(struct pfs_outside *outside, int64_t duration_ns);

/* Blocks until something has been queued for as long as `pause` says and nobody has taken anything meanwhile (true), or
 * until `end` is readable (false).  Beside the thread that uses the object, which closes it afterwards. */
bool pfs_outside_unattended(struct pfs_outside *outside, int end, struct pfs_outside_pause pause);

/* Hears no more of the file of an event being opened or closed, until it changes or the kernel forgets it; execve is
 * told all the same.  Nothing where the kernel can't. */
void pfs_outside_ignore(const struct pfs_outside *outside, const struct pfs_outside_event *event);

/* Hears no more of files in an open directory (O_PATH is enough), whatever becomes of them; not of those below its own
 * directories.  0, or an errno as fanotify_mark(2): EINVAL before Linux 6.0. */
int pfs_outside_leave_out(const struct pfs_outside *outside, int directory);

/* Closes the files of the batch. */
void pfs_outside_release(struct pfs_outside *outside);

#endif
