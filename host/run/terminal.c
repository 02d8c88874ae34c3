// SPDX-License-Identifier: Apache-2.0
// The user's terminal.
#include "host/run/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>

static struct termios before;
static bool raw, at_exit;

bool sh_terminal_here(void)
{
    return isatty(0) && isatty(1);
}

bool sh_terminal_foreground(void)
{
    pid_t group = tcgetpgrp(0);
    return group < 0 || group == getpgrp();
}

void sh_terminal_restore(void)
{
    if (raw)
        tcsetattr(0, TCSADRAIN, &before);
    raw = false;
}

void sh_terminal_raw(void)
{
    if (raw || !isatty(0) || !sh_terminal_foreground() || tcgetattr(0, &before))
        return;
    if (!at_exit)
        atexit(sh_terminal_restore);
    at_exit = true;
    struct termios t = before;
    cfmakeraw(&t);
    raw = !tcsetattr(0, TCSADRAIN, &t);
}

void sh_terminal_size(uint16_t *rows, uint16_t *columns)
{
    struct winsize w = {0};
    if (ioctl(1, TIOCGWINSZ, &w))
        (void)ioctl(0, TIOCGWINSZ, &w);
    *rows = w.ws_row;
    *columns = w.ws_col;
}
