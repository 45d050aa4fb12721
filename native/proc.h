/* What /proc says of one process: who it is, what it runs, what it has open.
 *
 * A thread id is as good as a process id everywhere: everything but the start time is read by way of that thread, so
 * that a process whose first thread has ended is still described.  Field numbers are proc(5)'s.
 *
 * These calls block: while the process is in execve(2) or another of its threads waits in mmap(2), for as long as
 * that takes.  Never call them from the thread that such a process may be waiting for.
 *
 * These files know no Python.  Nothing here keeps state; any number of threads may call at once.
 */
#ifndef PFS_PROC_H
#define PFS_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PFS_CMDLINE_BYTES_MAX ((size_t)128 << 10)
#define PFS_ENVIRON_BYTES_MAX ((size_t)64 << 10)
#define PFS_CGROUP_BYTES_MAX ((size_t)4 << 10)
#define PFS_LINK_BYTES_MAX ((size_t)4 << 10) /* PATH_MAX */
/* The lowest ones; a process may have a million open. */
#define PFS_DESCRIPTORS_MAX ((size_t)256)

/* Tells one process image from another: (start_ticks, start_stack) of a process id. */
struct pfs_stat {
    pid_t tgid;
    pid_t ppid;
    uint64_t start_ticks; /* field 22, of the process: the same before and after exec */
    uint64_t start_stack; /* field 28: another one after each exec; 0 where it is hidden from us, or all is over */
    pid_t group;          /* field 5 */
    pid_t session;        /* field 6 */
    int tty_nr;           /* field 7; 0: no terminal */
    unsigned threads;     /* field 20 */
};

/* Bytes within pfs_process.arena. */
struct pfs_text {
    size_t offset;
    size_t size;
};

struct pfs_descriptor {
    int number;
    int flags;              /* those of open(2), for 0 to 2 and for pipes; 0 for all others */
    struct pfs_text target; /* "/a/file", "pipe:[123]", "socket:[123]" ... */
};

/* Parts that can fail on their own; bit n of pfs_process.failed stands for part n. */
enum pfs_part {
    PFS_PART_CMDLINE,
    PFS_PART_EXE,
    PFS_PART_CWD,
    PFS_PART_ENVIRON,
    PFS_PART_CGROUP,
    PFS_PART_PID_NAMESPACE,
    PFS_PART_FDS,
    PFS_PART_STABLE, /* it was within an exec each time it was read: the parts may be of two images */
    PFS_PARTS
};

struct pfs_process {
    struct pfs_stat stat;
    uid_t uid; /* the real ones: for whom it runs */
    gid_t gid;
    struct pfs_text comm;    /* field 2, of the first thread where that is alive */
    struct pfs_text cmdline; /* arguments, each ended by NUL; cut at PFS_CMDLINE_BYTES_MAX */
    struct pfs_text exe;
    struct pfs_text cwd;
    struct pfs_text environ; /* NAME=value, each ended by NUL; cut at PFS_ENVIRON_BYTES_MAX */
    struct pfs_text cgroup;  /* lines; cut at PFS_CGROUP_BYTES_MAX */
    uint64_t pid_namespace;  /* inode number; 0: failed */
    uint64_t read_ns;        /* when the last of it was read, CLOCK_MONOTONIC */
    struct pfs_descriptor *descriptors; /* ascending, at most PFS_DESCRIPTORS_MAX */
    size_t descriptor_count;
    unsigned failed;
    char *arena;
    size_t arena_used, arena_size;
};

/* The name of a part, as its file in /proc is called. */
const char *pfs_part_name(enum pfs_part part);

/* 0, or an errno: ESRCH where there is no such process (any more). */
int pfs_proc_stat(pid_t tid, struct pfs_stat *stat);

/* 0, or an errno: ESRCH as above, ENOMEM.  After 0 the caller frees it with pfs_process_free; a part that failed is
 * empty. */
int pfs_proc_read(pid_t tid, struct pfs_process *process);
void pfs_process_free(struct pfs_process *process);

#endif
