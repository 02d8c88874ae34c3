// SPDX-License-Identifier: Apache-2.0
// step_sites ENTRY SITE... -- COMMAND...: runs libos-test under ptrace and interrupts it at each
// instruction on the way from patched sites (addresses in the program) through their trampolines
// and the LibOS's fast entry (offset in the file): once with a kick, once with SIGINT, for which
// the program has a handler. Prints how many places were hit; exits as the command did.
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
#define PLACES_MAX 512
#define PATH_MAX_STEPS 80
#define TRAP_FLAG 0x100l
#define LIBOS_LOWEST (1ul << 46) /* programs are below */

static pid_t pid;
static unsigned long places[PLACES_MAX];
static unsigned place_count, hits;

static void finish(int status)
{
    if (!WIFEXITED(status) && !WIFSIGNALED(status))
        return;
    fprintf(stderr, "%u of %u places\n", hits, 2 * place_count);
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static unsigned long base_of_runner(void)
{
    char path[64], line[512];
    unsigned long base = 0;
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    FILE *f = fopen(path, "r");
    while (f && !base && fgets(line, sizeof(line), f)) {
        if (strstr(line, "libos-test"))
            base = strtoul(line, NULL, 16);
    }
    if (f)
        fclose(f);
    return base;
}

/* Goes on until the next trap; signals meant for the program reach it. */
static struct user_regs_struct go(int how)
{
    struct user_regs_struct r;
    int status;
    ptrace(how, pid, NULL, NULL);
    for (;;) {
        waitpid(pid, &status, 0);
        finish(status);
        if (WSTOPSIG(status) == SIGTRAP)
            break;
        ptrace(how, pid, NULL, WSTOPSIG(status));
    }
    ptrace(PTRACE_GETREGS, pid, NULL, &r);
    return r;
}

static void run_to(unsigned long place)
{
    long text = ptrace(PTRACE_PEEKTEXT, pid, place, NULL);
    struct user_regs_struct r;
    ptrace(PTRACE_POKETEXT, pid, place, (text & ~0xffl) | 0xcc);
    do
        r = go(PTRACE_CONT);
    while (r.rip != place + 1);
    r.rip = place;
    ptrace(PTRACE_SETREGS, pid, NULL, &r);
    ptrace(PTRACE_POKETEXT, pid, place, text);
}

static void note(unsigned long place)
{
    for (unsigned i = 0; i < place_count; i++) {
        if (places[i] == place)
            return;
    }
    if (place_count < PLACES_MAX)
        places[place_count++] = place;
}

/* From a site on, as far as the entry goes straight: up to its call of C code. */
static void walk(unsigned long site, unsigned long entry)
{
    struct user_regs_struct r;
    run_to(site);
    r.rip = site;
    for (int i = 0; i < PATH_MAX_STEPS; i++) {
        int pushes_flags = (ptrace(PTRACE_PEEKTEXT, pid, r.rip, NULL) & 0xff) == 0x9c;
        r = go(PTRACE_SINGLESTEP);
        if (pushes_flags) { /* our stepping must not show */
            long flags = ptrace(PTRACE_PEEKDATA, pid, r.rsp, NULL);
            ptrace(PTRACE_POKEDATA, pid, r.rsp, flags & ~TRAP_FLAG);
        }
        if (r.rip >= LIBOS_LOWEST && r.rip - entry > 204) /* los_fast and los_fast_cpuid */
            break;
        note(r.rip);
    }
}

int main(int argc, char **argv)
{
    int first = 2, status;
    while (first < argc && strcmp(argv[first], "--"))
        first++;
    if (first + 1 >= argc)
        return 2;
    pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        execv(argv[first + 1], argv + first + 1);
        _exit(127);
    }
    waitpid(pid, &status, 0);
    unsigned long entry = strtoul(argv[1], NULL, 16) + base_of_runner();
    /* The first site must be called before its text is patched by us: so wait for the entry. */
    for (int i = 0; i < 15; i++) {
        run_to(entry);
        go(PTRACE_SINGLESTEP);
    }
    for (int i = 2; i < first; i++)
        walk(strtoul(argv[i], NULL, 16), entry);
    for (unsigned i = 0; i < place_count; i++) {
        for (int interrupt = 0; interrupt < 2; interrupt++) {
            run_to(places[i]);
            syscall(SYS_tgkill, pid, pid, interrupt ? SIGINT : KICK);
            hits++;
        }
    }
    for (;;)
        go(PTRACE_CONT);
}
