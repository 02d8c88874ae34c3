// SPDX-License-Identifier: Apache-2.0
// How a child ended, in words.
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static const char *status(int s)
{
    static char text[64];
    if (WIFEXITED(s))
        snprintf(text, sizeof(text), "exit %d", WEXITSTATUS(s));
    else if (WIFSIGNALED(s))
        snprintf(text, sizeof(text), "signal %s", sigabbrev_np(WTERMSIG(s)));
    else if (WIFSTOPPED(s))
        snprintf(text, sizeof(text), "stopped %s", sigabbrev_np(WSTOPSIG(s)));
    else
        snprintf(text, sizeof(text), "continued");
    return text;
}
