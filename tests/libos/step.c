// SPDX-License-Identifier: Apache-2.0
// step START END COMMAND...: runs libos-test under ptrace, and each time it goes back to the
// program interrupts it one instruction later in los_resume (START..END, offsets in the file) than
// before. The program must not notice. Prints how many instructions were hit; exits as the command
// did.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define KICK 40

static unsigned long base_of(pid_t pid)
{
    char path[64], line[512];
    unsigned long base = 0;
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (strstr(line, "libos-test")) {
            base = strtoul(line, NULL, 16);
            break;
        }
    }
    if (f)
        fclose(f);
    return base;
}

static unsigned long rip_of(pid_t pid)
{
    struct user_regs_struct r;
    return ptrace(PTRACE_GETREGS, pid, NULL, &r) ? 0 : r.rip;
}

static void finish(int status, unsigned hits)
{
    if (!WIFEXITED(status) && !WIFSIGNALED(status))
        return;
    fprintf(stderr, "%u\n", hits);
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    unsigned long start = strtoul(argv[1], NULL, 16), end = strtoul(argv[2], NULL, 16), base;
    unsigned turn = 0, hits = 0;
    int status;
    static char hit_once[4096];
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[3], argv + 3);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    base = base_of(pid);
    start += base;
    end += base;
    long text = ptrace(PTRACE_PEEKTEXT, pid, start, NULL);
    long stop = (text & ~0xffl) | 0xcc; /* int3 */
    ptrace(PTRACE_POKETEXT, pid, start, stop);
    ptrace(PTRACE_CONT, pid, NULL, NULL);
    for (unsigned returns = 0;;) {
        waitpid(pid, &status, 0);
        finish(status, hits);
        struct user_regs_struct r;
        ptrace(PTRACE_GETREGS, pid, NULL, &r);
        int sig = WSTOPSIG(status);
        if (sig != SIGTRAP || r.rip != start + 1) {
            ptrace(PTRACE_CONT, pid, NULL, sig == SIGTRAP ? 0 : sig);
            continue;
        }
        /* On the way back to the program. Every second time: some steps, then the interruption. */
        r.rip = start;
        ptrace(PTRACE_SETREGS, pid, NULL, &r);
        ptrace(PTRACE_POKETEXT, pid, start, text);
        unsigned steps = returns++ % 2 ? turn : 0;
        for (unsigned n = 0; n <= steps; n++) {
            if (n == steps && returns % 2 == 0) {
                unsigned long rip = rip_of(pid);
                if (rip >= start && rip < end && !hit_once[rip - start]) {
                    hit_once[rip - start] = 1;
                    hits++;
                }
                turn = rip >= start && rip < end ? turn + 1 : 0;
                syscall(SYS_tgkill, pid, pid, KICK);
                break;
            }
            ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL);
            waitpid(pid, &status, 0);
            finish(status, hits);
        }
        ptrace(PTRACE_POKETEXT, pid, start, stop);
        ptrace(PTRACE_CONT, pid, NULL, NULL);
    }
}
