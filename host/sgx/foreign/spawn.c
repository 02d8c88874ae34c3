// SPDX-License-Identifier: Apache-2.0
// New threads, processes and programs.
#include "host/sgx/foreign/foreign.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_ARGUMENTS 0x40000u

/* --- clone ----------------------------------------------------------------------------------- */

/* The child has its own memory: it comes out of this handler like its parent. */
static long fork_here(struct fgn_thread *t, long number, const long a[6])
{
    fgn_split_begin();
    long ret = fgn_raw6(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (ret == 0) {
        fgn_thread_alone(t);
        sim_after_fork();
        if (sim_self != NULL) {
            sim_table_renew();
            fgn_renew_tables();
            sim_show_thread(sim_self);
        }
    }
    fgn_split_end();
    return ret;
}

long fgn_clone(struct fgn_thread *t, ucontext_t *uc, long number, const long a[6])
{
    uint64_t flags = number == SYS_vfork ? CLONE_VM | CLONE_VFORK : 0, stack = 0;
    struct clone_args args = {0};
    if (number == SYS_clone) {
        flags = (uint64_t)a[0];
        stack = (uint64_t)a[1];
    } else if (number == SYS_clone3) {
        size_t size = (size_t)a[1] < sizeof(args) ? (size_t)a[1] : sizeof(args);
        if (fgn_copy_in(&args, (uint64_t)a[0], size) != 0)
            return FGN_PASS;
        flags = args.flags;
        stack = args.stack;
    }
    if ((flags & CLONE_VM) == 0 && stack == 0)
        return fork_here(t, number, a);
    /* Through a gate. The child is none of our threads until it is seen. */
    uint32_t none = 0;
    __asm__ volatile("mov %0, %%es" : : "r"(none));
    t->kept_hidden = t->hidden;
    t->kept_stack = t->program_stack;
    if ((flags & CLONE_VM) == 0 || (flags & CLONE_VFORK) != 0)
        t->lent = (flags & CLONE_VM) == 0 ? 2 : 1;
    return FGN_PASS;
}

/* --- execve ---------------------------------------------------------------------------------- */

/* What the kernel would start: 0 ELF for us, 1 a script, FGN_PASS anything else, -errno. */
static long look_at(const char *path, char first[256])
{
    ssize_t n = 0;
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) != 0)
        return -errno;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FGN_PASS; /* to be executed only; it runs, without SGX */
    memset(first, 0, 256);
    n = read(fd, first, 255);
    close(fd);
    const Elf64_Ehdr *e = (const Elf64_Ehdr *)first;
    if (n >= (ssize_t)sizeof(*e) && memcmp(e->e_ident, ELFMAG, SELFMAG) == 0 &&
        e->e_ident[EI_CLASS] == ELFCLASS64 && e->e_machine == EM_X86_64)
        return 0;
    return n > 2 && first[0] == '#' && first[1] == '!' ? 1 : FGN_PASS;
}

/* "#! interpreter [argument]" in place. */
static bool split_script(char *first, char **interpreter, char **argument)
{
    char *p = first + 2 + strspn(first + 2, " \t");
    p[strcspn(p, "\n")] = 0;
    size_t n = strlen(p);
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        p[--n] = 0;
    *interpreter = p;
    p += strcspn(p, " \t");
    if (*p != 0) {
        *p++ = 0;
        p += strspn(p, " \t");
    }
    *argument = *p != 0 ? p : NULL;
    return **interpreter != 0;
}

static long count_pointers(uint64_t list)
{
    uint64_t p;
    for (long n = 0; list != 0 && n < (long)MAX_ARGUMENTS; n++) {
        if (fgn_copy_in(&p, list + (uint64_t)n * 8, 8) != 0)
            return -EFAULT;
        if (p == 0)
            return n;
    }
    return list == 0 ? 0 : -E2BIG;
}

struct room {
    uint64_t *pointers;
    char *bytes, *end;
};

static uint64_t put_string(struct room *room, const char *s)
{
    size_t n = strlen(s) + 1;
    char *at = room->bytes;
    if ((size_t)(room->end - at) < n)
        return 0;
    memcpy(at, s, n);
    room->bytes += n;
    return (uint64_t)at;
}

static bool take_room(struct fgn_thread *t, struct room *room, size_t pointers)
{
    size_t size = (pointers * 8 + 32768 + 0xfff) & ~0xffful;
    if (t->exec_size < size) {
        if (t->exec_room != NULL)
            munmap(t->exec_room, t->exec_size);
        t->exec_size = 0;
        t->exec_room = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (t->exec_room == MAP_FAILED) {
            t->exec_room = NULL;
            return false;
        }
        t->exec_size = size;
    }
    room->pointers = t->exec_room;
    room->bytes = (char *)t->exec_room + pointers * 8;
    room->end = (char *)t->exec_room + t->exec_size;
    return true;
}

static bool is_option(uint64_t p)
{
    char name[sizeof(SH_SIM_ENVIRONMENT)];
    return fgn_copy_in(name, p, sizeof(name)) == 0 &&
           memcmp(name, SH_SIM_ENVIRONMENT "=", sizeof(name)) == 0;
}

struct exec {
    char path[PATH_MAX], whole[PATH_MAX], first[256], *interpreter, *argument;
    bool script;
};

/* The ELF file that runs in the end, absolute, and what a script adds to the arguments. */
static long resolve_program(struct exec *e)
{
    long ret = look_at(e->path, e->first);
    const char *program = e->path;
    if (ret == 1) {
        char second[256];
        if (!split_script(e->first, &e->interpreter, &e->argument))
            return -ENOEXEC;
        e->script = true;
        program = e->interpreter;
        ret = look_at(program, second);
        if (ret == 1)
            return FGN_PASS; /* a script's script; rare enough to run without */
    }
    if (ret != 0)
        return ret;
    return realpath(program, e->whole) == NULL ? -errno : 0;
}

long fgn_execve(struct fgn_thread *t, ucontext_t *uc, long number, const long a[6])
{
    struct exec e = {0};
    int at = number == SYS_execveat ? 1 : 0;
    static char line[SH_SIM_ENVIRONMENT_MAX];
    static struct sh_sim_settings next;
    int ret = fgn_copy_path(e.path, (uint64_t)a[at], sizeof(e.path));
    if (ret != 0)
        return ret;
    if (number == SYS_execveat && e.path[0] != '/') {
        char under[PATH_MAX];
        if (e.path[0] == 0)
            snprintf(under, sizeof(under), "/proc/self/fd/%d", (int)a[0]);
        else if ((int)a[0] == AT_FDCWD)
            memcpy(under, e.path, sizeof(under));
        else if (snprintf(under, sizeof(under), "/proc/self/fd/%d/%s", (int)a[0], e.path) >=
                 (int)sizeof(under))
            return -ENAMETOOLONG;
        memcpy(e.path, under, sizeof(e.path));
    }
    if (fgn_is_own_exe(e.path))
        memcpy(e.path, fgn_options.exe, sizeof(e.path));
    long r = resolve_program(&e);
    if (r != 0)
        return r;
    long argc = count_pointers((uint64_t)a[at + 1]), envc = count_pointers((uint64_t)a[at + 2]);
    struct room room;
    if (argc < 0 || envc < 0)
        return argc < 0 ? argc : envc;
    if (!take_room(t, &room, (size_t)(argc + envc) + 8))
        return -ENOMEM;
    /* argv */
    uint64_t *argv = room.pointers, *p = argv, first = 0;
    if (argc > 0 && fgn_copy_in(&first, (uint64_t)a[at + 1], 8) != 0)
        return -EFAULT;
    if (e.script) {
        *p++ = put_string(&room, e.interpreter);
        if (e.argument != NULL)
            *p++ = put_string(&room, e.argument);
        *p++ = put_string(&room, e.path);
    } else if (argc > 0) {
        *p++ = first;
    } else {
        *p++ = put_string(&room, "");
    }
    if (argc > 1) {
        if (fgn_copy_in(p, (uint64_t)a[at + 1] + 8, (size_t)(argc - 1) * 8) != 0)
            return -EFAULT;
        p += argc - 1;
    }
    *p++ = 0;
    /* envp, and our options behind it */
    uint64_t *envp = p;
    for (long i = 0; i < envc; i++) {
        if (fgn_copy_in(p, (uint64_t)a[at + 2] + (uint64_t)i * 8, 8) != 0)
            return -EFAULT;
        if (!is_option(*p))
            p++;
    }
    fgn_lock();
    next = fgn_options;
    next.filtered = true;
    memcpy(next.exe, e.whole, sizeof(next.exe));
    if (sh_sim_settings_write(&next, line, sizeof(line)) > 0)
        *p++ = put_string(&room, line);
    fgn_unlock();
    *p = 0;
    if (!t->sibling)
        fgn_count_all();
    if (t->to_be_traced)
        (void)fgn_raw4(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0);
    t->to_be_traced = false;
    greg_t *g = uc->uc_mcontext.gregs;
    g[REG_RAX] = SYS_execve;
    g[REG_RDI] = (greg_t)put_string(&room, "/proc/self/exe");
    g[REG_RSI] = (greg_t)argv;
    g[REG_RDX] = (greg_t)envp;
    return FGN_PASS;
}
