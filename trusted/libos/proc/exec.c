// SPDX-License-Identifier: Apache-2.0
// Starting a program: its segments, its interpreter, its stack; #! scripts.
#include <linux/auxvec.h>

#include "trusted/libos/base/processor.h"
#include "trusted/libos/calls.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/proc/keys.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/proc/ptrace.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define STACK_SIZE_DEFAULT (8ul << 20)
#define ARG_SIZE_MAX (2ul << 20)
#define ARGS_MAX 262144u /* ARG_SIZE_MAX, by exec, allows fewer */
#define SCRIPT_DEPTH 4
#define PATH_SIZE 4096u
#define SCRIPT_LINE 256

static uint64_t random_word(void)
{
    uint64_t v;
    if (port_random(&v, sizeof(v)))
        stop("no entropy from the processor");
    return v;
}

/* Grows down while strings and vectors are pushed. */
struct stack {
    uint64_t at, low;
};

static int push_bytes(struct stack *s, const void *data, size_t size)
{
    if (size > s->at - s->low)
        return -E2BIG;
    s->at -= size;
    return user_write(s->at, data, size);
}

static int push_strings(struct stack *s, const char *const *list, uint64_t *addrs, size_t count)
{
    int r = 0;
    for (size_t i = count; !r && i-- > 0;) {
        r = push_bytes(s, list[i], strlen(list[i]) + 1);
        addrs[i] = s->at;
    }
    return r;
}

static size_t count_of(const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static int new_stack(struct stack *s)
{
    uint64_t want = current()->limits[3].soft; /* RLIMIT_STACK */
    uint64_t size = page_up(MIN(MAX(want, 1ul << 20), STACK_SIZE_DEFAULT));
    struct map_request r = {.size = size, .prot = PORT_R | PORT_W, .name = "[stack]"};
    int64_t at = mm_map(&r);
    if (at < 0)
        return (int)at;
    s->low = (uint64_t)at + PAGE_SIZE;
    s->at = (uint64_t)at + size - (random_word() & 0xff0);
    return 0;
}

/* Who the process is to whom it opens files, once it runs the program. */
struct rights {
    uint32_t euid, egid;
};

/* Set-user-ID and set-group-ID of the program's file; a script's do not count, nor those of a
 * program that is traced. */
static struct rights rights_of(const struct process *p, const struct inode *i)
{
    struct rights r = {p->euid, p->egid};
    bool may = !p->no_new_privs && !self()->tracee;
    if (may && (i->mode & S_ISUID))
        r.euid = i->uid;
    if (may && (i->mode & (S_ISGID | 0010)) == (S_ISGID | 0010))
        r.egid = i->gid;
    return r;
}

static void take_rights(struct process *p, const struct rights *r, bool readable)
{
    bool secure = r->euid != p->uid || r->egid != p->gid;
    p->euid = p->suid = p->fsuid = r->euid;
    p->egid = p->sgid = p->fsgid = r->egid;
    caps_exec(p);
    p->dumpable = readable && !secure;
    if (secure)
        p->death_signal = 0;
}

#define AUX_WORDS 42u

/* argc, argv, envp, auxv, from low to high, the stack pointer at argc. */
static int build_vectors(struct stack *s, const struct exec_args *x, const struct elf_image *image,
                         uint64_t interp_base, const char *path, const struct rights *rights)
{
    size_t argc = count_of(x->args), envc = count_of(x->env);
    if (argc + envc > ARGS_MAX)
        return -E2BIG;
    size_t count = 1 + argc + 1 + envc + 1;
    uint64_t *v = los_alloc((count + AUX_WORDS) * 8);
    if (!v)
        return -ENOMEM;
    uint64_t random[2] = {random_word(), random_word()};
    int r = push_bytes(s, path, strlen(path) + 1);
    uint64_t execfn = s->at;
    current()->env_end = s->at;
    if (!r)
        r = push_strings(s, x->env, v + 1 + argc + 1, envc);
    current()->env_start = current()->arg_end = s->at;
    if (!r)
        r = push_strings(s, x->args, v + 1, argc);
    current()->arg_start = s->at;
    if (!r)
        r = push_bytes(s, "x86_64", 7);
    uint64_t platform = s->at;
    s->at &= ~15ul;
    if (!r)
        r = push_bytes(s, random, sizeof(random));
    const struct process *p = current();
    const uint64_t vdso = port_info.vdso ? AT_SYSINFO_EHDR : AT_IGNORE;
    const uint64_t aux[] = {
        AT_HWCAP,       port_info.hwcap,
        vdso,           port_info.vdso,
        AT_PAGESZ,      PAGE_SIZE,
        AT_CLKTCK,      100,
        AT_PHDR,        image->phdr,
        AT_PHENT,       56,
        AT_PHNUM,       image->phnum,
        AT_BASE,        interp_base,
        AT_FLAGS,       0,
        AT_ENTRY,       image->entry,
        AT_UID,         p->uid,
        AT_EUID,        rights->euid,
        AT_GID,         p->gid,
        AT_EGID,        rights->egid,
        AT_SECURE,      rights->euid != p->uid || rights->egid != p->gid,
        AT_RANDOM,      s->at,
        AT_HWCAP2,      port_info.hwcap2,
        AT_EXECFN,      execfn,
        AT_PLATFORM,    platform,
        AT_MINSIGSTKSZ, port_info.xsave_size + 1024,
        AT_NULL,        0,
    };
    _Static_assert(sizeof(aux) == AUX_WORDS * 8, "AUX_WORDS");
    v[0] = argc;
    memcpy(v + count, aux, sizeof(aux));
    size_t size = count * 8 + sizeof(aux);
    s->at = ((s->at - size) & ~15ul) + size;
    if (!r)
        r = push_bytes(s, v, size);
    current()->auxv_start = s->at + count * 8;
    current()->auxv_end = current()->auxv_start + sizeof(aux);
    los_free(v);
    return r;
}

#define GIB (1ul << 30)
#define HEAPS_LOW (1ul << 33)
#define HEAPS_SIZE (1ul << 41)

/* Where a heap may grow: addresses are given by the GiB, and what has others' neighbour could not.
 */
static uint64_t free_gib(void)
{
    uint64_t at = 0;
    for (int tries = 0; tries < 64; tries++) {
        at = (port_info.user_start + HEAPS_LOW + random_word() % HEAPS_SIZE) & ~(GIB - 1);
        if (place_is_free(at, at + 2 * GIB))
            break;
    }
    return at;
}

static void set_brk(const struct elf_image *image)
{
    uint64_t start = page_up(image->end) + (random_word() % (1ul << 25) & ~(PAGE_SIZE - 1));
    if (image->end > space()->code_start &&
        image->end <= space()->code_end) /* leave the window to files */
        start = space()->heap ? space()->heap
                              : free_gib() + (random_word() % (1ul << 25) & ~(PAGE_SIZE - 1));
    uint64_t limit = MIN(start + (1ul << 36), port_info.user_end);
    size_t i = area_index(start);
    if (i < space()->count)
        limit = MIN(limit, page_down(MAX(space()->areas[i]->start, start + PAGE_SIZE)) - PAGE_SIZE);
    space()->brk_start = space()->brk = start;
    space()->brk_limit = limit;
}

/* Not within load, whose frame there is one of for each script. */
__attribute__((noinline)) static int load_elf(struct thread *t, struct file *f, const char *path,
                                              const struct exec_args *x)
{
    struct elf_image image, interp = {0};
    struct stack s = {0};
    spare_take(f->inode);
    int r = new_stack(&s);
    uint64_t stack_low = s.low;
    if (!r)
        r = elf_map(f, &image, false);
    if (r)
        return r;
    uint64_t entry = image.entry;
    if (image.interpreter[0]) {
        struct file *i;
        r = file_open(image.interpreter, OPEN_EXEC, 0, &i);
        if (r)
            return r;
        r = elf_map(i, &interp, true);
        file_put(i);
        if (r)
            return r == -ENOEXEC ? -ELIBBAD : r;
        entry = interp.entry;
    }
    set_brk(&image);
    spare_note(stack_low, !image.base);
    struct rights rights = rights_of(current(), f->inode);
    r = build_vectors(&s, x, &image, interp.base, path, &rights);
    if (r)
        return r;
    file_path(f, current()->exe, sizeof(current()->exe));
    const char *base = strrchr(path, '/');
    fmt(current()->name, sizeof(current()->name), "%s", base ? base + 1 : path);
    memcpy(t->name, current()->name, sizeof(t->name));
    t->regs = (struct regs){.rip = entry, .rsp = s.at, .rflags = 0x202};
    thread_set_fs(t, 0);
    take_rights(current(), &rights, inode_allowed(f->inode, 4));
    return 0;
}

/* The line behind #!: interpreter and at most one argument. False if there is none. */
static bool parse_script(char *line, char **interpreter, char **argument)
{
    char *p = line + 2;
    char *end = strchr(line, '\n');
    if (!end && strlen(line) == SCRIPT_LINE - 1)
        return false; /* cut off: who knows what it names */
    if (!end)
        end = line + strlen(line);
    *end = 0;
    while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
        *--end = 0;
    while (*p == ' ' || *p == '\t')
        p++;
    *interpreter = p;
    while (*p && *p != ' ' && *p != '\t')
        p++;
    *argument = NULL;
    if (*p) {
        *p++ = 0;
        while (*p == ' ' || *p == '\t')
            p++;
        *argument = p;
    }
    return **interpreter;
}

static int load_program(struct thread *t, const char *path, const struct exec_args *x, int depth)
{
    struct file *f;
    char line[SCRIPT_LINE] = {0};
    int r = 0;
    if (x->file)
        file_get(f = x->file);
    else
        r = file_open(path, OPEN_EXEC, 0, &f);
    if (r)
        return r;
    long n = file_read_at(f, 0, line, sizeof(line) - 1);
    if (n < 2 || line[0] != '#' || line[1] != '!') {
        r = n < 0 ? (int)n : load_elf(t, f, path, x);
        file_put(f);
        return r;
    }
    file_put(f);
    char *interpreter, *argument;
    if (depth == SCRIPT_DEPTH || !parse_script(line, &interpreter, &argument))
        return depth == SCRIPT_DEPTH ? -ELOOP : -ENOEXEC;
    size_t argc = count_of(x->args), at = 0;
    const char **args = los_alloc((argc + 4) * sizeof(*args));
    if (!args)
        return -ENOMEM;
    args[at++] = interpreter;
    if (argument)
        args[at++] = argument;
    args[at++] = path;
    for (size_t i = 1; i < argc; i++)
        args[at++] = x->args[i];
    struct exec_args inner = {args, x->env, NULL};
    r = load_program(t, interpreter, &inner, depth + 1);
    los_free(args);
    return r;
}

int exec_load(struct thread *t, const char *path, const struct exec_args *x)
{
    return load_program(t, path, x, 0);
}

/* Copies a vector of strings of the program. */
static int copy_strings(uint64_t from, char ***out, size_t *total)
{
    size_t room = 16, n = 0;
    char **list = los_alloc(room * sizeof(*list));
    char *buf = list ? pages_alloc(32) : NULL;
    int r = buf ? 0 : -ENOMEM;
    while (!r && from) {
        uint64_t addr;
        if ((r = user_read(&addr, from + n * 8, 8)) || !addr)
            break;
        long size = user_string(buf, addr, 32 * PAGE_SIZE);
        *total += size > 0 ? (size_t)size + 9 : 9;
        if (size < 0 || *total > ARG_SIZE_MAX) {
            r = size == -EFAULT ? -EFAULT : -E2BIG;
            break;
        }
        if (n + 2 > room) {
            char **more = los_realloc(list, 2 * room * sizeof(*list));
            if (!more) {
                r = -ENOMEM;
                break;
            }
            list = more;
            room *= 2;
        }
        list[n] = los_strdup(buf);
        list[++n] = NULL;
        r = list[n - 1] ? 0 : -ENOMEM;
    }
    if (buf)
        pages_free(buf, 32);
    *out = list;
    return r;
}

static void free_strings(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        los_free(list[i]);
    los_free(list);
}

/* The others of the process end; the caller takes the process's number. -EINTR: another was first,
 * and the caller ends on its way back. */
static int end_other_threads(struct thread *t)
{
    struct process *p = t->process;
    if (p->exec_thread || p->exiting)
        return -EINTR;
    p->exec_thread = t;
    process_kick(p);
    while (p->thread_count > 1)
        wait_nap(NO_DEADLINE);
    p->exec_thread = NULL;
    t->tid = p->pid;
    return residence_take();
}

/* What does not outlive the old program; h: for the handlers of the new one. */
static void leave_program(struct process *p, struct handlers *h)
{
    h->refs = 1;
    for (int i = 0; i < SIG_COUNT; i++) {
        if (p->handlers->actions[i].handler == SIG_IGNORE)
            h->actions[i].handler = SIG_IGNORE;
    }
    handlers_put(p->handlers);
    p->handlers = h;
    fd_close_exec();
    timers_reset();
    keys_drop(&p->keyring);
    keys_drop(&self()->keyring);
    aio_end(p);
}

/* A new space beside the old one, which goes only when the new program stands. */
static int replace_program(struct thread *t, const char *path, const struct exec_args *x)
{
    struct process *p = t->process;
    struct handlers *h = los_alloc(sizeof(*h));
    struct fd_table *files = h ? fd_table_own(p->files) : NULL;
    struct space *old = p->space, *new = files ? space_new() : NULL;
    uint64_t marks[4] = {p->arg_start, p->arg_end, p->env_start, p->env_end};
    struct regs regs = t->regs;
    uint64_t fs_base = t->fs_base;
    bool tell = futex_has_duty(t);
    if (files)
        p->files = files;
    if (!new) {
        los_free(h);
        return -ENOMEM;
    }
    p->space = new;
    int r = exec_load(t, path, x);
    if (r) {
        los_free(h);
        p->space = old;
        space_put(new);
        t->regs = regs;
        thread_set_fs(t, fs_base);
        p->arg_start = marks[0];
        p->arg_end = marks[1];
        p->env_start = marks[2];
        p->env_end = marks[3];
        return residence_take() ? -ENOMEM : r;
    }
    leave_program(p, h);
    p->space = old;
    if (tell && !residence_take())
        futex_exit(t);
    p->space = new;
    space_put(old);
    vfork_release(p);
    return residence_take();
}

static int exec_program(struct thread *t, const char *path, const struct exec_args *x)
{
    int r = t->process->thread_count > 1 ? end_other_threads(t) : 0;
    if (!r)
        r = replace_program(t, path, x);
    if (!r) {
        t->alt = (struct alt_stack){0};
        t->robust_list = t->clear_tid = 0;
        t->call_nr = -1;
        t->process->execed = true;
#ifndef LIBOS_UNIT
        void *clean = pages_alloc(XSTATE_PAGES);
        if (clean) {
            xstate_load(clean, port_info.xfrm);
            pages_free(clean, XSTATE_PAGES);
        }
#endif
    }
    return r;
}

/* What stands at name below dirfd, or is dirfd itself if there is no name. */
static int walk_program(int dirfd, const char *name, int flags, struct walk *w)
{
    const struct file *f = fd_any(dirfd);
    if (name[0])
        return walk_path(dirfd, name, flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW, w);
    if (!(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (!f)
        return -EBADF;
    if (!f->dentry)
        return -EACCES;
    *w = (struct walk){.dentry = f->dentry};
    dentry_get(w->dentry);
    return 0;
}

/* The program, and the text that scripts and AT_EXECFN have for it (execveat(2)). */
static int find_program_at(int dirfd, char path[PATH_SIZE], int flags, struct file **out)
{
    struct walk w;
    int r = walk_program(dirfd, path, flags, &w);
    if (r)
        return r;
    uint32_t type = w.dentry ? w.dentry->inode->mode & S_IFMT : 0;
    r = type == S_IFLNK   ? -ELOOP
        : type != S_IFREG ? -EACCES
                          : file_open_dentry(w.dentry, OPEN_EXEC, out);
    walk_end(&w);
    if (r || path[0] == '/' || dirfd == AT_FDCWD)
        return r;
    char *name = los_strdup(path);
    if (name)
        fmt(path, PATH_SIZE, name[0] ? "/dev/fd/%d/%s" : "/dev/fd/%d", dirfd, name);
    else
        file_put(*out);
    los_free(name);
    return name ? 0 : -ENOMEM;
}

static long do_exec(int dirfd, uint64_t name, uint64_t argv, uint64_t envp, int flags)
{
    char **args = NULL, **env = NULL, *path = los_alloc(PATH_SIZE);
    size_t total = 0;
    struct exec_args x = {0};
    long r = path ? user_string(path, name, PATH_SIZE) : -ENOMEM;
    if (r >= 0) /* what is not there is told before what is too much */
        r = find_program_at(dirfd, path, flags, &x.file);
    if (!r)
        r = copy_strings(argv, &args, &total);
    if (!r && !args[0]) /* as Linux does, so that no program looks for its name behind the end */
        r = (args[0] = los_strdup("")) ? 0 : -ENOMEM;
    if (!r)
        r = copy_strings(envp, &env, &total);
    if (!r) {
        x.args = (const char *const *)args;
        x.env = (const char *const *)env;
        r = exec_program(self(), path, &x);
    }
    if (!r)
        ptrace_execed(self());
    if (x.file)
        file_put(x.file);
    free_strings(args);
    free_strings(env);
    los_free(path);
    return r;
}

long sys_execveat(int dirfd, uint64_t name, uint64_t argv, uint64_t envp, int flags)
{
    if (flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
        return -EINVAL;
    return do_exec(dirfd, name, argv, envp, flags);
}
