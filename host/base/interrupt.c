// SPDX-License-Identifier: Apache-2.0
// Removes unfinished files when a signal ends the program.
#include "host/base/interrupt.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static int folder_fd;
static const char *const *volatile list;

/* getdents64 itself, since readdir allocates. What is not listed because others went is seen by the
 * next look, which ends when nothing could be removed. */
static void empty_folder(const char *name)
{
    static _Alignas(struct dirent64) char entries[4096];
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool any = fd >= 0;
    while (any) {
        long n;
        any = false;
        lseek(fd, 0, SEEK_SET);
        while ((n = syscall(SYS_getdents64, fd, entries, sizeof(entries))) > 0) {
            for (long at = 0; at < n;) {
                const struct dirent64 *e = (const struct dirent64 *)(entries + at);
                any = !unlinkat(fd, e->d_name, 0) || any;
                at += e->d_reclen;
            }
        }
    }
    if (fd >= 0)
        close(fd);
}

/* Only calls that signal-safety(7) lists, or system calls. The interrupted code never goes on, so
 * it cannot race. */
static void on_signal(int number)
{
    for (const char *const *name = list; name && *name; name++) {
        size_t n = strlen(*name);
        bool folder = n && (*name)[n - 1] == '/';
        if (folder)
            empty_folder(*name);
        unlinkat(folder_fd, *name, folder ? AT_REMOVEDIR : 0);
    }
    /* Blocked until the handler returns, deadly then. */
    signal(number, SIG_DFL);
    raise(number);
}

void sh_interrupt_remove(int dir_fd, const char *const *names)
{
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigfillset(&action.sa_mask);
    folder_fd = dir_fd;
    list = names;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        if (sigaction(signals[i], NULL, &old) || old.sa_handler == SIG_IGN)
            continue;
        sigaction(signals[i], &action, NULL);
    }
}

void sh_interrupt_done(void)
{
    list = NULL;
}
