/* Hearing of files on whole file systems; see fanotify.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "fanotify.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Newer than some headers. */
#ifndef FAN_REPORT_FD_ERROR
#define FAN_REPORT_FD_ERROR 0x00002000
#endif
#ifndef FAN_MARK_EVICTABLE
#define FAN_MARK_EVICTABLE 0x00000200
#endif
#ifndef FAN_MARK_IGNORE
#define FAN_MARK_IGNORE 0x00000400
#endif

#define NS_PER_SECOND INT64_C(1000000000)

static const uint64_t HEARD = FAN_OPEN | FAN_OPEN_EXEC | FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE;
static const uint64_t NOT_HEARD = FAN_OPEN | FAN_CLOSE_WRITE | FAN_CLOSE_NOWRITE;
static const char DELETED[] = " (deleted)";

/* O_NOATIME: whoever asks is root. */
#define EVENT_FLAGS (O_RDONLY | O_LARGEFILE | O_CLOEXEC | O_NOATIME | O_NONBLOCK)

static void *close_deleted(void *argument)
{
    struct pfs_outside_closer *closer = argument;
    int fds[PFS_OUTSIDE_BATCH];
    ssize_t size;
    while ((size = read(closer->pipe[0], fds, sizeof fds)) > 0) {
        for (size_t i = 0; i < (size_t)size / sizeof *fds; i++)
            close(fds[i]);
        atomic_fetch_sub(&closer->waiting, (int)((size_t)size / sizeof *fds));
    }
    return NULL;
}

/* NULL where there is no thread to be had: then files are closed by whoever takes events. */
static struct pfs_outside_closer *start_closer(void)
{
    struct pfs_outside_closer *closer = calloc(1, sizeof *closer);
    sigset_t all, before;
    if (closer == NULL || pipe2(closer->pipe, O_CLOEXEC) < 0) {
        free(closer);
        return NULL;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&closer->thread, NULL, close_deleted, closer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0)
        return closer;
    close(closer->pipe[0]);
    close(closer->pipe[1]);
    free(closer);
    return NULL;
}

static void end_closer(struct pfs_outside_closer *closer)
{
    if (closer == NULL)
        return;
    close(closer->pipe[1]);
    pthread_join(closer->thread, NULL);
    close(closer->pipe[0]);
    free(closer);
}

static void close_event(struct pfs_outside *outside, const struct pfs_outside_event *event)
{
    struct pfs_outside_closer *closer = event->links == 0 ? outside->closer : NULL;
    if (closer != NULL && atomic_fetch_add(&closer->waiting, 1) < PFS_OUTSIDE_CLOSING_MAX) {
        /* A pipe takes more than that: this does not block. */
        if (write(closer->pipe[1], &event->fd, sizeof event->fd) == (ssize_t)sizeof event->fd)
            return;
    }
    if (closer != NULL)
        atomic_fetch_sub(&closer->waiting, 1);
    close(event->fd);
}

int pfs_outside_open(struct pfs_outside *outside, pid_t own)
{
    /* The best first.  Without FD_ERROR a file that can't be opened is passed over in silence. */
    static const unsigned int more[] = {
        FAN_REPORT_FD_ERROR | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
        FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS,
        0,
    };
    memset(outside, 0, sizeof *outside);
    outside->fd = -1;
    outside->own = own;
    for (size_t i = 0; outside->fd < 0 && i < sizeof more / sizeof *more; i++)
        outside->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK | FAN_CLOEXEC | more[i], EVENT_FLAGS);
    if (outside->fd < 0)
        return errno;
    outside->batch = calloc(PFS_OUTSIDE_BATCH, sizeof *outside->batch);
    if (outside->batch == NULL) {
        pfs_outside_close(outside);
        return ENOMEM;
    }
    outside->closer = start_closer();
    return 0;
}

void pfs_outside_close(struct pfs_outside *outside)
{
    pfs_outside_release(outside);
    end_closer(outside->closer);
    outside->closer = NULL;
    if (outside->fd >= 0)
        close(outside->fd);
    free(outside->batch);
    outside->batch = NULL;
    outside->fd = -1;
}

int pfs_outside_watch(const struct pfs_outside *outside, int directory)
{
    return fanotify_mark(outside->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, HEARD, directory, ".") < 0 ? errno : 0;
}

bool pfs_outside_waits(const struct pfs_outside *outside)
{
    struct pollfd waiting = {.fd = outside->fd, .events = POLLIN};
    return poll(&waiting, 1, 0) > 0 && (waiting.revents & POLLIN) != 0;
}

/* False: the file can't be named. */
static bool name_file(struct pfs_outside_event *event)
{
    char link[32];
    struct stat found;
    if (fstat(event->fd, &found) < 0)
        return false;
    event->device = found.st_dev;
    event->inode = found.st_ino;
    event->links = found.st_nlink;
    event->size = found.st_size;
    event->mtime_ns = found.st_mtim.tv_sec * NS_PER_SECOND + found.st_mtim.tv_nsec;
    snprintf(link, sizeof link, "/proc/self/fd/%d", event->fd);
    ssize_t size = readlink(link, event->path, sizeof event->path);
    if (size <= 0 || size == (ssize_t)sizeof event->path || event->path[0] != '/')
        return false;
    event->path_bytes = (size_t)size;
    const size_t suffix = sizeof DELETED - 1;
    if (event->links == 0 && event->path_bytes > suffix &&
        memcmp(event->path + event->path_bytes - suffix, DELETED, suffix) == 0)
        event->path_bytes -= suffix;
    return true;
}

static void take_event(struct pfs_outside *outside, const struct fanotify_event_metadata *told)
{
    /* An error other than these is that of a file nobody can read any more. */
    if ((told->mask & FAN_Q_OVERFLOW) != 0 || told->fd == -EMFILE || told->fd == -ENFILE || told->fd == -ENOMEM)
        outside->lost = true;
    if (told->fd < 0)
        return;
    struct pfs_outside_event *event = &outside->batch[outside->count];
    event->mask = told->mask & HEARD;
    event->pid = told->pid;
    event->fd = told->fd;
    event->links = 1;
    bool is_named = name_file(event);
    if (told->pid != outside->own && told->pid > 0 && is_named)
        outside->count++;
    else
        close_event(outside, event);
}

bool pfs_outside_take(struct pfs_outside *outside)
{
    struct fanotify_event_metadata told[PFS_OUTSIDE_BATCH];
    if (!pfs_outside_waits(outside))
        return false;
    atomic_fetch_add(&outside->takes, 1);
    ssize_t size = read(outside->fd, told, sizeof told);
    if (size < 0) {
        /* One that could not be opened; the kernel has dropped it. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            outside->lost = true;
        return true;
    }
    const struct fanotify_event_metadata *next = told;
    for (; FAN_EVENT_OK(next, size); next = FAN_EVENT_NEXT(next, size))
        take_event(outside, next);
    return true;
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

void pfs_outside_hurry(struct pfs_outside *outside, int64_t duration_ns)
{
    atomic_store(&outside->hurried_ns, monotonic_ns() + duration_ns);
}

bool pfs_outside_unattended(struct pfs_outside *outside, int end, struct pfs_outside_pause pause)
{
    struct pollfd asked[] = {{.fd = end, .events = POLLIN}, {.fd = outside->fd, .events = POLLIN}};
    for (;;) {
        /* EINTR: nothing has come. */
        if (poll(asked, 2, -1) < 0)
            continue;
        unsigned int takes = atomic_load(&outside->takes);
        bool hurried = monotonic_ns() < atomic_load(&outside->hurried_ns);
        int64_t ns = hurried ? pause.hurried_ns : pause.usual_ns;
        struct timespec duration = {.tv_sec = ns / NS_PER_SECOND, .tv_nsec = ns % NS_PER_SECOND};
        if (asked[0].revents != 0 || ppoll(asked, 1, &duration, NULL) > 0)
            return false;
        if (atomic_load(&outside->takes) == takes && pfs_outside_waits(outside))
            return true;
    }
}

void pfs_outside_ignore(const struct pfs_outside *outside, const struct pfs_outside_event *event)
{
    /* Evictable: it keeps no inode in memory.  The mask survives no change of the file.  Another name of it may be one
     * that counts. */
    if (event->links > 1)
        return;
    fanotify_mark(outside->fd, FAN_MARK_ADD | FAN_MARK_INODE | FAN_MARK_IGNORED_MASK | FAN_MARK_EVICTABLE, NOT_HEARD,
                  event->fd, NULL);
}

int pfs_outside_leave_out(const struct pfs_outside *outside, int directory)
{
    const unsigned int flags = FAN_MARK_ADD | FAN_MARK_IGNORE | FAN_MARK_IGNORED_SURV_MODIFY;
    return fanotify_mark(outside->fd, flags, HEARD | FAN_EVENT_ON_CHILD, directory, ".") < 0 ? errno : 0;
}

void pfs_outside_release(struct pfs_outside *outside)
{
    for (size_t i = 0; i < outside->count; i++)
        close_event(outside, &outside->batch[i]);
    outside->count = 0;
}
