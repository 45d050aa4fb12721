/* Reading /proc; see proc.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A line of stat has 52 numbers and a name of 16 bytes; status goes on after the lines that are wanted. */
#define LINE_BYTES_MAX ((size_t)2048)
#define ARENA_BYTES_FIRST ((size_t)16 << 10)
#define DIRENTS_BYTES ((size_t)8 << 10)
/* As often as a process may be caught within an exec, which takes less than a millisecond unless it waits for a disk. */
#define TRIES_MAX 4
#define TRY_AGAIN_NS 500000

static const char *const part_names[PFS_PARTS] = {
    "cmdline", "exe", "cwd", "environ", "cgroup", "pid_namespace", "fds", "stable",
};

const char *pfs_part_name(enum pfs_part part)
{
    return part_names[part];
}

/* The directory of a thread.  It stands for this thread for ever: once that is gone, everything below fails, whoever
 * gets its number. */
static int open_directory(pid_t tid)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", (int)tid);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Bytes read, at most `size`; -1 with errno set. */
static ssize_t read_file(int directory, const char *name, char *bytes, size_t size)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t used = 0;
    ssize_t count = 0;
    while (used < size) {
        count = read(fd, bytes + used, size - used);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        used += (size_t)count;
    }
    int error = errno;
    close(fd);
    errno = error;
    return count < 0 ? -1 : (ssize_t)used;
}

/* The same with a NUL after it. */
static ssize_t read_line(int directory, const char *name, char line[LINE_BYTES_MAX])
{
    ssize_t size = read_file(directory, name, line, LINE_BYTES_MAX - 1);
    if (size >= 0)
        line[size] = '\0';
    return size;
}

/* The number after `label`, which begins a line; -1 where there is none. */
static long long number_after(const char *text, const char *label)
{
    const char *found = strstr(text, label);
    return found == NULL ? -1 : strtoll(found + strlen(label), NULL, 10);
}

struct status {
    pid_t tgid;
    uid_t uid;
    gid_t gid;
};

/* 0 or an errno.  status takes no lock that execve holds. */
static int read_status(int directory, struct status *status)
{
    char line[LINE_BYTES_MAX];
    if (read_line(directory, "status", line) < 0)
        return errno;
    /* The name, first of all, may hold any text, but its newlines are escaped. */
    long long tgid = number_after(line, "\nTgid:"), uid = number_after(line, "\nUid:"),
              gid = number_after(line, "\nGid:");
    if (tgid <= 0)
        return ESRCH;
    status->tgid = (pid_t)tgid;
    status->uid = (uid_t)uid;
    status->gid = (gid_t)gid;
    return 0;
}

/* Takes `line` apart; comm, where wanted, is left at [comm_start, comm_end) of it.  False: not of the known form. */
static bool parse_stat(const char *line, struct pfs_stat *stat, const char **comm_start, const char **comm_end)
{
    const char *open = strchr(line, '('), *close = strrchr(line, ')');
    if (open == NULL || close == NULL || close < open || close[1] != ' ' || close[2] == '\0')
        return false;
    *comm_start = open + 1;
    *comm_end = close;
    const char *next = close + 3; /* after the state, field 3 */
    for (int field = 4; field <= 28; field++) {
        char *end;
        unsigned long long value = strtoull(next, &end, 10); /* a negative one comes out as its complement */
        if (end == next)
            return false;
        next = end;
        switch (field) {
        case 4: stat->ppid = (pid_t)value; break;
        case 5: stat->group = (pid_t)value; break;
        case 6: stat->session = (pid_t)value; break;
        case 7: stat->tty_nr = (int)value; break;
        case 20: stat->threads = (unsigned)value; break;
        case 22: stat->start_ticks = value; break;
        case 28: stat->start_stack = value; break;
        default: break;
        }
    }
    return true;
}

/* What is known of the thread in `directory`, with the start time of its process. */
static int read_stat(int directory, pid_t tid, pid_t tgid, struct pfs_stat *stat, char line[LINE_BYTES_MAX],
                     const char **comm_start, const char **comm_end)
{
    if (read_line(directory, "stat", line) < 0)
        return errno == ENOENT ? ESRCH : errno;
    if (!parse_stat(line, stat, comm_start, comm_end))
        return ESRCH;
    stat->tgid = tgid;
    if (tid == tgid)
        return 0;
    int leader = open_directory(tgid);
    if (leader < 0)
        return errno == ENOENT ? ESRCH : errno;
    struct pfs_stat of_leader;
    ssize_t size = read_line(leader, "stat", line);
    close(leader);
    if (size < 0 || !parse_stat(line, &of_leader, comm_start, comm_end))
        return ESRCH;
    stat->start_ticks = of_leader.start_ticks;
    return 0;
}

int pfs_proc_stat(pid_t tid, struct pfs_stat *stat)
{
    char line[LINE_BYTES_MAX];
    const char *comm_start, *comm_end;
    struct status status;
    int directory = open_directory(tid);
    if (directory < 0)
        return errno == ENOENT ? ESRCH : errno;
    int error = read_status(directory, &status);
    if (error == 0)
        error = read_stat(directory, tid, status.tgid, stat, line, &comm_start, &comm_end);
    close(directory);
    return error == ENOENT ? ESRCH : error;
}

/* ---- The parts ---- */

/* Room for `size` more bytes; NULL: no memory. */
static char *reserve(struct pfs_process *process, size_t size)
{
    if (process->arena_size - process->arena_used < size) {
        size_t wanted = process->arena_size * 2 > process->arena_used + size ? process->arena_size * 2
                                                                              : process->arena_used + size;
        if (wanted < ARENA_BYTES_FIRST)
            wanted = ARENA_BYTES_FIRST;
        char *arena = realloc(process->arena, wanted);
        if (arena == NULL)
            return NULL;
        process->arena = arena;
        process->arena_size = wanted;
    }
    return process->arena + process->arena_used;
}

static struct pfs_text take(struct pfs_process *process, size_t size)
{
    struct pfs_text text = {process->arena_used, size};
    process->arena_used += size;
    return text;
}

static void fail(struct pfs_process *process, enum pfs_part part)
{
    process->failed |= 1u << part;
}

/* In these functions the result is 0 or ENOMEM; every other failure is noted and leaves the part empty. */

static int read_text(struct pfs_process *process, int directory, enum pfs_part part, struct pfs_text *text,
                     size_t size_max)
{
    int fd = openat(directory, part_names[part], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail(process, part);
        return 0;
    }
    size_t used = 0;
    int error = 0;
    while (used < size_max) {
        size_t room = size_max - used < LINE_BYTES_MAX ? size_max - used : LINE_BYTES_MAX;
        char *bytes = reserve(process, used + room);
        if (bytes == NULL) {
            error = ENOMEM;
            break;
        }
        ssize_t count = read(fd, bytes + used, room);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            fail(process, part);
            used = 0;
        }
        if (count <= 0)
            break;
        used += (size_t)count;
    }
    close(fd);
    *text = take(process, used);
    return error;
}

static int read_link(struct pfs_process *process, int directory, const char *name, struct pfs_text *text, bool *failed)
{
    char *bytes = reserve(process, PFS_LINK_BYTES_MAX);
    if (bytes == NULL)
        return ENOMEM;
    ssize_t size = readlinkat(directory, name, bytes, PFS_LINK_BYTES_MAX);
    *failed = size < 0;
    *text = take(process, size < 0 ? 0 : (size_t)size);
    return 0;
}

static int read_link_part(struct pfs_process *process, int directory, enum pfs_part part, struct pfs_text *text)
{
    bool failed = false;
    int error = read_link(process, directory, part_names[part], text, &failed);
    if (failed)
        fail(process, part);
    return error;
}

static void read_namespace(struct pfs_process *process, int directory)
{
    char link[64];
    ssize_t size = readlinkat(directory, "ns/pid", link, sizeof link - 1);
    if (size > 0) {
        link[size] = '\0';
        const char *number = strchr(link, '[');
        if (number != NULL)
            process->pid_namespace = strtoull(number + 1, NULL, 10);
    }
    if (process->pid_namespace == 0)
        fail(process, PFS_PART_PID_NAMESPACE);
}

/* The flags of an open file; 0 where they can't be read. */
static int read_flags(int directory, const char *number)
{
    char line[LINE_BYTES_MAX], name[32];
    snprintf(name, sizeof name, "fdinfo/%.16s", number);
    if (read_line(directory, name, line) < 0)
        return 0;
    const char *found = strstr(line, "flags:");
    return found == NULL ? 0 : (int)strtol(found + strlen("flags:"), NULL, 8);
}

static int add_descriptor(struct pfs_process *process, int directory, int fds, const char *name)
{
    bool failed = false;
    struct pfs_descriptor *descriptor = &process->descriptors[process->descriptor_count];
    int error = read_link(process, fds, name, &descriptor->target, &failed);
    if (error != 0 || failed) /* closed in between */
        return error;
    descriptor->number = atoi(name);
    descriptor->flags = 0;
    const char *target = process->arena + descriptor->target.offset;
    if (descriptor->number <= 2 || (descriptor->target.size > 5 && memcmp(target, "pipe:", 5) == 0))
        descriptor->flags = read_flags(directory, name);
    process->descriptor_count++;
    return 0;
}

/* The kernel lists descriptors in ascending order. */
static int list_descriptors(struct pfs_process *process, int directory, int fds)
{
    union {
        char bytes[DIRENTS_BYTES];
        struct dirent64 aligned;
    } entries;
    for (;;) {
        long count = syscall(SYS_getdents64, fds, entries.bytes, sizeof entries.bytes);
        if (count < 0)
            fail(process, PFS_PART_FDS);
        if (count <= 0)
            return 0;
        for (long at = 0; at < count;) {
            const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries.bytes + at);
            at += entry->d_reclen;
            if (entry->d_name[0] == '.')
                continue;
            if (process->descriptor_count == PFS_DESCRIPTORS_MAX)
                return 0;
            int error = add_descriptor(process, directory, fds, entry->d_name);
            if (error != 0)
                return error;
        }
    }
}

static int read_descriptors(struct pfs_process *process, int directory)
{
    if (process->descriptors == NULL)
        process->descriptors = malloc(PFS_DESCRIPTORS_MAX * sizeof *process->descriptors);
    if (process->descriptors == NULL)
        return ENOMEM;
    int fds = openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fds < 0) {
        fail(process, PFS_PART_FDS);
        return 0;
    }
    int error = list_descriptors(process, directory, fds);
    close(fds);
    return error;
}

static int read_parts(struct pfs_process *process, int directory)
{
    int error = read_text(process, directory, PFS_PART_CMDLINE, &process->cmdline, PFS_CMDLINE_BYTES_MAX);
    if (error == 0)
        error = read_link_part(process, directory, PFS_PART_EXE, &process->exe);
    if (error == 0)
        error = read_link_part(process, directory, PFS_PART_CWD, &process->cwd);
    if (error == 0)
        error = read_text(process, directory, PFS_PART_ENVIRON, &process->environ, PFS_ENVIRON_BYTES_MAX);
    if (error == 0)
        error = read_text(process, directory, PFS_PART_CGROUP, &process->cgroup, PFS_CGROUP_BYTES_MAX);
    if (error != 0)
        return error;
    read_namespace(process, directory);
    return read_descriptors(process, directory);
}

/* Within an exec the program is the new one, the stack is at 0 or at a first place, and there are no arguments yet;
 * last of all the stack gets its place.  (setup_arg_pages and load_elf_binary in Linux.) */
static bool is_of_one_image(const struct pfs_process *process, int directory)
{
    char line[LINE_BYTES_MAX];
    const char *comm_start, *comm_end;
    struct pfs_stat after;
    if ((process->failed >> PFS_PART_EXE & 1) != 0) /* hidden from us, or over: nothing to compare */
        return true;
    if (read_line(directory, "stat", line) < 0 || !parse_stat(line, &after, &comm_start, &comm_end))
        return true; /* gone since: what was read stands */
    if (after.start_stack == 0)
        return process->stat.start_stack != 0; /* over since */
    return after.start_stack == process->stat.start_stack && process->cmdline.size != 0;
}

/* Everything, once; *stable tells whether it is all of one image. */
static int read_once(struct pfs_process *process, int directory, pid_t tid, bool *stable)
{
    char line[LINE_BYTES_MAX];
    const char *comm_start, *comm_end;
    struct status status;
    int error = read_status(directory, &status);
    if (error == 0)
        error = read_stat(directory, tid, status.tgid, &process->stat, line, &comm_start, &comm_end);
    if (error != 0)
        return error;
    process->uid = status.uid;
    process->gid = status.gid;
    size_t comm_size = (size_t)(comm_end - comm_start);
    char *comm = reserve(process, comm_size);
    if (comm == NULL)
        return ENOMEM;
    memcpy(comm, comm_start, comm_size);
    process->comm = take(process, comm_size);
    error = read_parts(process, directory);
    if (error != 0)
        return error;
    *stable = is_of_one_image(process, directory);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* here: whoever is told may have to wait for the interpreter */
    process->read_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return 0;
}

int pfs_proc_read(pid_t tid, struct pfs_process *process)
{
    memset(process, 0, sizeof *process);
    int directory = open_directory(tid);
    if (directory < 0)
        return errno == ENOENT ? ESRCH : errno;
    bool stable = false;
    int error = 0;
    for (int tries = 0; tries < TRIES_MAX && !stable && error == 0; tries++) {
        if (tries > 0)
            nanosleep(&(struct timespec){.tv_nsec = TRY_AGAIN_NS}, NULL);
        process->arena_used = process->descriptor_count = 0;
        process->pid_namespace = 0;
        process->failed = 0;
        error = read_once(process, directory, tid, &stable);
    }
    close(directory);
    if (error != 0) {
        pfs_process_free(process);
        return error == ENOENT ? ESRCH : error;
    }
    if (!stable)
        fail(process, PFS_PART_STABLE);
    return 0;
}

void pfs_process_free(struct pfs_process *process)
{
    free(process->arena);
    free(process->descriptors);
    process->arena = NULL;
    process->descriptors = NULL;
    process->arena_size = process->arena_used = process->descriptor_count = 0;
}
