// SPDX-License-Identifier: Apache-2.0
// Removes unfinished files when a signal ends the program.
#include "host/base/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static int folder_fd;
static const char *const *volatile list;

/* Only calls that signal-safety(7) lists. The interrupted code never goes on, so it cannot race. */
static void on_signal(int number)
{
    for (const char *const *name = list; name && *name; name++) {
        size_t n = strlen(*name);
        unlinkat(folder_fd, *name, n && (*name)[n - 1] == '/' ? AT_REMOVEDIR : 0);
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
