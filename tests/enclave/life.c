// SPDX-License-Identifier: Apache-2.0
// For the tests of the command line: says which signals come and how large its terminal is, echoes
// its input. "bye N" ends it with N, SIGTERM with 7.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void say(const char *what, int number)
{
    char text[64];
    (void)!write(1, text, (size_t)snprintf(text, sizeof(text), "%s %d\n", what, number));
}

static void on_signal(int sig)
{
    struct winsize w = {0};
    if (sig == SIGWINCH && !ioctl(0, TIOCGWINSZ, &w))
        say("columns", w.ws_col);
    else
        say("signal", sig);
    if (sig == SIGTERM)
        _exit(7);
    if (sig == SIGINT)
        _exit(130);
}

int main(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGHUP, SIGWINCH, SIGALRM};
    char line[256];
    struct winsize w = {0};
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        signal(list[i], on_signal);
    int tty = !ioctl(0, TIOCGWINSZ, &w);
    say(tty ? "terminal" : "ready", w.ws_col);
    while (fgets(line, sizeof(line), stdin)) {
        if (!strncmp(line, "bye ", 4))
            return atoi(line + 4);
        printf("got %s", line);
        fflush(stdout);
    }
    if (getenv("STAY"))
        for (;;)
            pause();
    return 0;
}
