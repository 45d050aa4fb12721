/* Reads every process there is, listens to what happens meanwhile, and takes messages apart that no kernel sends.
 * Prints what test_processes_c.py compares; for the sanitizers. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connector.h"
#include "proc.h"

static int check_text(const struct pfs_process *process, struct pfs_text text, size_t size_max)
{
    return text.size <= size_max && text.offset + text.size <= process->arena_used &&
           process->arena_used <= process->arena_size;
}

static int check_process(const struct pfs_process *process)
{
    int good = check_text(process, process->cmdline, PFS_CMDLINE_BYTES_MAX) &&
               check_text(process, process->environ, PFS_ENVIRON_BYTES_MAX) &&
               check_text(process, process->cgroup, PFS_CGROUP_BYTES_MAX) &&
               check_text(process, process->exe, PFS_LINK_BYTES_MAX) &&
               check_text(process, process->cwd, PFS_LINK_BYTES_MAX) && check_text(process, process->comm, 64) &&
               process->descriptor_count <= PFS_DESCRIPTORS_MAX && process->failed < 1u << PFS_PARTS;
    for (size_t i = 0; i < process->descriptor_count; i++)
        good = good && check_text(process, process->descriptors[i].target, PFS_LINK_BYTES_MAX) &&
               (i == 0 || process->descriptors[i - 1].number < process->descriptors[i].number);
    return good;
}

static int read_everybody(void)
{
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    int good = directory != NULL, seen = 0;
    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        struct pfs_process process;
        struct pfs_stat stat;
        if (pid <= 0 || pfs_proc_read(pid, &process) != 0)
            continue;
        seen++;
        good = good && check_process(&process);
        if (pfs_proc_stat(pid, &stat) == 0)
            good = good && stat.start_ticks == process.stat.start_ticks;
        pfs_process_free(&process);
    }
    if (directory != NULL)
        closedir(directory);
    return good && seen > 0;
}

static int listen_to_children(void)
{
    struct pfs_connector connector;
    int error = pfs_connector_open(&connector);
    if (error != 0)
        return error == EPERM || error == EPROTONOSUPPORT || error == EOPNOTSUPP || error == ECONNREFUSED;
    size_t exits = 0;
    for (int i = 0; i < 300; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(7);
        waitpid(pid, NULL, 0);
    }
    enum pfs_drained drained;
    int good = pfs_connector_rejoin() == 0; /* once more changes nothing */
    do {
        drained = pfs_connector_drain(&connector, 100);
        for (size_t i = 0; i < connector.count; i++)
            exits += connector.events[i].kind == PFS_EVENT_EXIT && connector.events[i].exit_code == 7 << 8;
        connector.count = 0;
    } while (drained == PFS_DRAINED_MORE);
    connector.overflowed = true; /* as if: it listens to itself, and goes on */
    good = good && pfs_connector_drain(&connector, 100) == PFS_DRAINED_EMPTY && connector.heard;
    pfs_connector_close(&connector);
    pfs_connector_close(&connector);
    return good && drained == PFS_DRAINED_EMPTY && exits >= 300;
}

static int parse_nonsense(void)
{
    unsigned state = 1, wanted = 0;
    bool heard = false;
    for (size_t size = 0; size < 128; size++)
        for (int round = 0; round < 200; round++) {
            unsigned char *message = malloc(size + 1); /* exactly as long, for the sanitizer */
            struct pfs_event event;
            for (size_t i = 0; i < size; i++)
                message[i] = (unsigned char)((state = state * 1103515245u + 12345u) >> 16);
            if (size > 40) { /* as from the proc connector */
                const unsigned id[2] = {1, 1};
                memcpy(message + 16, id, sizeof id);
                memset(message + 36, 0, 4);
                message[36] = (unsigned char)(1 << round % 8);
            }
            wanted += pfs_connector_parse(message, size, &event, &heard);
            free(message);
        }
    return wanted > 0;
}

int main(void)
{
    printf("read %d\nheard %d\nparsed %d\n", read_everybody(), listen_to_children(), parse_nonsense());
    return 0;
}
