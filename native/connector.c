/* Listening to the proc connector; see connector.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "connector.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Messages taken by one system call. */
#define BATCH_MESSAGES 64
/* One is 76 bytes; whatever is longer is none of ours. */
#define MESSAGE_BYTES_MAX ((size_t)256)
#define EVENTS_FIRST ((size_t)256)
/* Kept between drains: 640 KB. */
#define EVENTS_KEPT_MAX ((size_t)1 << 14)

static pid_t own_thread(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* A descriptor, or a negative errno. */
static int join_group(void)
{
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (fd < 0)
        return -errno;
    const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC};
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* Linux 6.6 takes a filter, too, in a longer message; the short one is understood by all and means everything. */
static int tell(int fd, enum proc_cn_mcast_op operation)
{
    char message[NLMSG_SPACE(sizeof(struct cn_msg) + sizeof(uint32_t))] = {0};
    const uint32_t code = (uint32_t)operation;
    const struct nlmsghdr header = {
        .nlmsg_len = NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof code),
        .nlmsg_type = NLMSG_DONE,
    };
    const struct cn_msg body = {.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC}, .len = sizeof code};
    memcpy(message, &header, sizeof header);
    memcpy(message + NLMSG_HDRLEN, &body, sizeof body);
    memcpy(message + NLMSG_HDRLEN + sizeof body, &code, sizeof code);
    return send(fd, message, header.nlmsg_len, 0) < 0 ? errno : 0;
}

int pfs_connector_rejoin(void)
{
    /* Closing does not count us out, only IGNORE does. */
    int fd = join_group();
    if (fd < 0)
        return -fd;
    int error = tell(fd, PROC_CN_MCAST_LISTEN);
    close(fd);
    return error;
}

bool pfs_connector_parse(const void *message, size_t size, struct pfs_event *event, bool *heard)
{
    struct cn_msg head;
    struct proc_event told;
    const char *bytes = message;
    if (size < NLMSG_HDRLEN + sizeof head + sizeof told)
        return false;
    memcpy(&head, bytes + NLMSG_HDRLEN, sizeof head);
    memcpy(&told, bytes + NLMSG_HDRLEN + sizeof head, sizeof told);
    if (head.id.idx != CN_IDX_PROC || head.id.val != CN_VAL_PROC || head.len < sizeof told)
        return false;
    memset(event, 0, sizeof *event);
    event->time_ns = told.timestamp_ns;
    switch ((uint32_t)told.what) {
    case (uint32_t)PROC_EVENT_FORK:
        event->kind = PFS_EVENT_FORK;
        event->pid = told.event_data.fork.parent_pid;
        event->tgid = told.event_data.fork.parent_tgid;
        event->child_pid = told.event_data.fork.child_pid;
        event->child_tgid = told.event_data.fork.child_tgid;
        return true;
    case (uint32_t)PROC_EVENT_EXEC:
        event->kind = PFS_EVENT_EXEC;
        event->pid = told.event_data.exec.process_pid;
        event->tgid = told.event_data.exec.process_tgid;
        return true;
    case (uint32_t)PROC_EVENT_EXIT:
        event->kind = PFS_EVENT_EXIT;
        event->pid = told.event_data.exit.process_pid;
        event->tgid = told.event_data.exit.process_tgid;
        event->exit_code = told.event_data.exit.exit_code;
        return true;
    case (uint32_t)PROC_EVENT_COMM:
        if (told.event_data.comm.process_pid == own_thread())
            *heard = true;
        return false;
    default:
        return false;
    }
}

static bool make_room(struct pfs_connector *connector)
{
    if (connector->capacity - connector->count >= BATCH_MESSAGES)
        return true;
    size_t capacity = connector->capacity == 0 ? EVENTS_FIRST : connector->capacity * 2;
    struct pfs_event *events = realloc(connector->events, capacity * sizeof *events);
    if (events == NULL)
        return false;
    connector->events = events;
    connector->capacity = capacity;
    return true;
}

/* Port 0 is the kernel; nobody else's messages count. */
static void take_message(struct pfs_connector *connector, const struct sockaddr_nl *sender, const char *message,
                         size_t size)
{
    if (sender->nl_pid == 0 &&
        pfs_connector_parse(message, size, &connector->events[connector->count], &connector->heard))
        connector->count++;
}

/* After a receive that failed: whether there may be more.  ENOBUFS says, once, that messages were lost. */
static bool goes_on(struct pfs_connector *connector)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        connector->overflowed = true;
    return errno == ENOBUFS;
}

/* Nearly always there is nothing, and this is the cheapest way to learn it.  The results are take_batch's. */
static bool take_one(struct pfs_connector *connector)
{
    char message[MESSAGE_BYTES_MAX];
    struct sockaddr_nl sender;
    socklen_t sender_size = sizeof sender;
    ssize_t size = recvfrom(connector->fd, message, sizeof message, MSG_DONTWAIT, (struct sockaddr *)&sender,
                            &sender_size);
    if (size < 0)
        return goes_on(connector);
    take_message(connector, &sender, message, (size_t)size);
    return true;
}

/* False: the queue is empty.  There is room for BATCH_MESSAGES. */
static bool take_batch(struct pfs_connector *connector)
{
    char messages[BATCH_MESSAGES][MESSAGE_BYTES_MAX];
    struct sockaddr_nl senders[BATCH_MESSAGES];
    struct iovec vectors[BATCH_MESSAGES];
    struct mmsghdr headers[BATCH_MESSAGES];
    for (size_t i = 0; i < BATCH_MESSAGES; i++) {
        vectors[i] = (struct iovec){messages[i], MESSAGE_BYTES_MAX};
        headers[i] = (struct mmsghdr){.msg_hdr = {.msg_name = &senders[i],
                                                  .msg_namelen = sizeof senders[i],
                                                  .msg_iov = &vectors[i],
                                                  .msg_iovlen = 1}};
    }
    int count = recvmmsg(connector->fd, headers, BATCH_MESSAGES, MSG_DONTWAIT, NULL);
    if (count < 0)
        return goes_on(connector);
    for (size_t i = 0; i < (size_t)count; i++)
        take_message(connector, &senders[i], messages[i], headers[i].msg_len);
    return true;
}

static enum pfs_drained take_all(struct pfs_connector *connector, size_t count_max)
{
    if (!take_one(connector))
        return PFS_DRAINED_EMPTY;
    for (;;) {
        if (connector->count >= count_max)
            return PFS_DRAINED_MORE;
        if (!make_room(connector)) {
            connector->overflowed = true;
            connector->count = 0; /* the queue must become empty, even so */
        }
        if (!take_batch(connector))
            return PFS_DRAINED_EMPTY;
    }
}

/* Causes a message of our own, which is queued when this returns, and looks for it. */
static bool hears_itself(struct pfs_connector *connector)
{
    char name[16];
    connector->heard = false;
    if (prctl(PR_GET_NAME, name) < 0 || prctl(PR_SET_NAME, name) < 0)
        return false;
    take_all(connector, SIZE_MAX);
    return connector->heard;
}

int pfs_connector_open(struct pfs_connector *connector)
{
    memset(connector, 0, sizeof *connector);
    connector->fd = join_group();
    if (connector->fd < 0)
        return -connector->fd;
    const int size = PFS_CONNECTOR_QUEUE_BYTES;
    if (setsockopt(connector->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(connector->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    int error = !make_room(connector) ? ENOMEM : tell(connector->fd, PROC_CN_MCAST_LISTEN);
    if (error == 0 && !hears_itself(connector))
        error = EOPNOTSUPP;
    if (error != 0)
        pfs_connector_close(connector);
    return error;
}

void pfs_connector_close(struct pfs_connector *connector)
{
    if (connector->fd >= 0) {
        tell(connector->fd, PROC_CN_MCAST_IGNORE);
        close(connector->fd);
    }
    free(connector->events);
    memset(connector, 0, sizeof *connector);
    connector->fd = -1;
}

enum pfs_drained pfs_connector_drain(struct pfs_connector *connector, size_t count_max)
{
    if (connector->count == 0 && connector->capacity > EVENTS_KEPT_MAX) {
        struct pfs_event *events = realloc(connector->events, EVENTS_FIRST * sizeof *events);
        if (events != NULL) {
            connector->events = events;
            connector->capacity = EVENTS_FIRST;
        }
    }
    if (!make_room(connector))
        connector->count = 0, connector->overflowed = true;
    enum pfs_drained drained = take_all(connector, count_max);
    if (drained == PFS_DRAINED_MORE || !connector->overflowed)
        return drained;
    if (hears_itself(connector))
        return PFS_DRAINED_EMPTY;
    return pfs_connector_rejoin() == 0 && hears_itself(connector) ? PFS_DRAINED_EMPTY : PFS_DRAINED_FAILED;
}
