// SPDX-License-Identifier: Apache-2.0
// From the door to the program's first instruction.
#include <asm/signal.h>

#include "lib/launch.h"
#include "lib/manifest.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"
#include "trusted/libos/mm/mm.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"
#include "trusted/libos/time/time.h"

#define EXIT_OWN 125
#define EXIT_CANNOT 126
#define EXIT_NOT_FOUND 127
#define CPUS_MAX 512u
#define CACHE_SIZE_MAX (32ul << 20) /* of checked blocks of root.img */

struct port_info port_info;
struct stats stats;
bool tracing;
static struct thread first;
_Alignas(4096) uint8_t los_first_stack[KSTACK_SIZE];

/* What cannot be is refused, whoever said it. */
static int check_info(const struct port_info *i)
{
    bool ok = i->user_start < i->user_end && i->zone_start < i->zone_end &&
              i->user_start % PAGE_SIZE == 0 && i->user_end % PAGE_SIZE == 0 &&
              i->zone_start % PAGE_SIZE == 0 && i->zone_end % PAGE_SIZE == 0 &&
              i->user_end - i->user_start >= 1ull << 36 && (i->xfrm & 3) == 3 &&
              i->xsave_size >= 576 && i->xsave_size <= 16384 && (i->hwcap2 & 2);
    return ok ? 0 : -EINVAL;
}

static void set_limits(const struct sh_manifest *m)
{
    for (size_t i = 0; i < ARRAY_COUNT(current()->limits); i++)
        current()->limits[i] = (struct limit){UINT64_MAX, UINT64_MAX};
    current()->limits[3].soft = 8ul << 20;                       /* STACK */
    current()->limits[4].soft = 0;                               /* CORE */
    current()->limits[6] = (struct limit){4096, 4096};           /* NPROC */
    current()->limits[7] = (struct limit){1024, 65536};          /* NOFILE */
    current()->limits[8] = (struct limit){8ul << 20, 8ul << 20}; /* MEMLOCK */
    for (size_t n = 0;; n++) {
        struct sh_view v = sh_manifest_get(m, SH_TAG_LIMIT, n);
        if (!v.data)
            break;
        uint32_t resource = sh_le32(v.data);
        if (resource < ARRAY_COUNT(current()->limits))
            current()->limits[resource] = (struct limit){sh_le64(v.data + 8), sh_le64(v.data + 16)};
    }
}

/* What the launch config says under this key (unless the image is locked), or -ENOENT. */
static int launch_value(const struct port_start *start, const struct sh_manifest *m,
                        enum sh_launch_key key, char *out, size_t size)
{
    if (!start->launch || (m->policy & SH_POLICY_LOCK))
        return -ENOENT;
    return sh_launch_get(start->launch, start->launch_size, key, 0, out, size);
}

static void init_process(const struct port_start *start, const struct sh_manifest *m)
{
    current()->start_time = clock_now();
    fmt(uts.hostname, sizeof(uts.hostname), "shelter");
    fmt(uts.domainname, sizeof(uts.domainname), "(none)");
    set_limits(m);
    struct sh_view v = sh_manifest_get(m, SH_TAG_HOSTNAME, 0);
    if (launch_value(start, m, SH_LAUNCH_HOSTNAME, uts.hostname, 65) >= 0)
        return;
    if (v.data)
        fmt(uts.hostname, sizeof(uts.hostname), "%.*s", (int)v.size, (const char *)v.data);
}

/* Strings gathered from manifest or launch config. */
struct strings {
    const char **list;
    size_t count, room;
};

static int add_string(struct strings *s, const void *data, size_t size)
{
    if (s->count + 2 > s->room) {
        size_t room = s->room ? s->room * 2 : 32;
        const char **list = los_realloc(s->list, room * sizeof(*list));
        if (!list)
            return -ENOMEM;
        s->list = list;
        s->room = room;
    }
    char *copy = los_alloc(size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, data, size);
    s->list[s->count++] = copy;
    s->list[s->count] = NULL;
    return 0;
}

static int add_records(struct strings *s, const struct sh_manifest *m, enum sh_manifest_tag tag)
{
    int r = 0;
    for (size_t n = 0; !r; n++) {
        struct sh_view v = sh_manifest_get(m, tag, n);
        if (!v.data)
            break;
        r = add_string(s, v.data, v.size);
    }
    return r;
}

/* A later NAME=VALUE replaces an earlier one. */
static int set_env(struct strings *s, const char *text)
{
    const char *eq = strchr(text, '=');
    size_t n = eq ? (size_t)(eq - text) + 1 : strlen(text);
    for (size_t i = 0; i < s->count; i++) {
        if (!strncmp(s->list[i], text, n)) {
            s->list[i] = los_strdup(text);
            return s->list[i] ? 0 : -ENOMEM;
        }
    }
    return add_string(s, text, strlen(text));
}

static int add_env(void *env, const char *text)
{
    return set_env(env, text);
}

static int from_launch(const struct port_start *start, enum sh_launch_key key, struct strings *s,
                       bool env)
{
    size_t size = start->launch_size + 1; /* no value is longer than the whole */
    char *buf = los_alloc(size);
    int r = buf ? 0 : -ENOMEM;
    for (size_t n = 0; !r; n++) {
        int got = sh_launch_get(start->launch, start->launch_size, key, n, buf, size);
        if (got == -ENOENT)
            break;
        if (got < 0)
            r = got;
        else
            r = env ? set_env(s, buf) : add_string(s, buf, (size_t)got);
    }
    los_free(buf);
    return r;
}

static int gather(const struct port_start *start, const struct sh_manifest *m, struct strings *args,
                  struct strings *env)
{
    bool locked = m->policy & SH_POLICY_LOCK;
    int r = add_records(env, m, SH_TAG_ENV);
    if (!r && start->launch && !locked) {
        r = from_launch(start, SH_LAUNCH_ARG, args, false);
        if (!r)
            r = from_launch(start, SH_LAUNCH_ENV, env, true);
    } else if (!locked) {
        for (size_t i = 0; !r && start->args && start->args[i]; i++)
            r = add_string(args, start->args[i], strlen(start->args[i]));
        for (size_t i = 0; !r && start->env && start->env[i]; i++)
            r = set_env(env, start->env[i]);
    }
    if (!r && !args->count) {
        r = add_records(args, m, SH_TAG_ENTRYPOINT);
        if (!r)
            r = add_records(args, m, SH_TAG_COMMAND);
    }
    bool path = false;
    for (size_t i = 0; i < env->count; i++)
        path = path || !strncmp(env->list[i], "PATH=", 5);
    if (!r && !path)
        r = set_env(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    if (!r && !args->count) {
        log_line("shelter: the image names no command, and none was given; add one after IMAGE");
        r = -ENOENT;
    }
    return r;
}

static int enter_directory(const struct port_start *start, const struct sh_manifest *m)
{
    char path[4096];
    struct sh_view v = sh_manifest_get(m, SH_TAG_WORKDIR, 0);
    struct walk w;
    int n = launch_value(start, m, SH_LAUNCH_WORKDIR, path, sizeof(path));
    if (n < 0 && !v.data)
        return 0;
    if (n < 0)
        fmt(path, sizeof(path), "%.*s", (int)v.size, (const char *)v.data);
    int r = walk_path(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r == -ENOENT) {
        struct dentry *d;
        r = tree_mkdir(path, 0755, &d);
        if (!r)
            cwd_set(d);
        return r;
    }
    if (!r)
        cwd_set(w.dentry);
    return r;
}

/* Finds the program by PATH, as execvp does. */
static int find_program(const char *name, const struct strings *env, char *out, size_t size)
{
    if (strchr(name, '/')) {
        fmt(out, size, "%s", name);
        return 0;
    }
    const char *path = "";
    for (size_t i = 0; i < env->count; i++) {
        if (!strncmp(env->list[i], "PATH=", 5))
            path = env->list[i] + 5;
    }
    while (*path) {
        const char *end = strchr(path, ':');
        size_t n = end ? (size_t)(end - path) : strlen(path);
        struct walk w;
        fmt(out, size, "%.*s/%s", (int)n, n ? path : ".", name);
        if (walk_path(AT_FDCWD, out, WALK_FOLLOW, &w) == 0) {
            bool fits = w.dentry && !w.file && (w.dentry->inode->mode & S_IFMT) == S_IFREG &&
                        inode_allowed(w.dentry->inode, 1);
            walk_end(&w);
            if (fits)
                return 0;
        }
        path += n + (end != NULL);
    }
    return -ENOENT;
}

static int become_user(const struct port_start *start, const struct sh_manifest *m)
{
    char text[256];
    struct sh_view v = sh_manifest_get(m, SH_TAG_USER, 0);
    if (launch_value(start, m, SH_LAUNCH_USER, text, sizeof(text)) < 0) {
        if (!v.data)
            return 0;
        fmt(text, sizeof(text), "%.*s", (int)v.size, (const char *)v.data);
    }
    int r = user_set(text);
    if (r)
        log_line("shelter: there is no user %s in the image; give a number or one of /etc/passwd",
                 text);
    return r;
}

/* Does the host feed stdin? With a launch config only if that says so. */
static bool has_input(const struct port_start *start, const struct sh_manifest *m)
{
    char value[8];
    if (m->policy & SH_POLICY_NO_INPUT)
        return false;
    return !start->launch || sh_launch_get(start->launch, start->launch_size, SH_LAUNCH_STDIN, 0,
                                           value, sizeof(value)) > 0;
}

static int mount_all(const struct sh_manifest *m)
{
    struct dentry *d;
    int r = tree_init();
    if (!r)
        r = dev_init();
    if (!r)
        r = proc_init();
    for (size_t n = 0; !r; n++) {
        struct sh_view v = sh_manifest_get(m, SH_TAG_MOUNT, n);
        char path[4096];
        if (!v.data)
            break;
        if (v.size < 13)
            return -EINVAL;
        fmt(path, sizeof(path), "%.*s", (int)(v.size - 12), (const char *)v.data + 12);
        r = tree_mkdir(path, sh_le32(v.data + 8) & 07777, &d);
    }
    return r;
}

static int start_inside(const struct port_start *start, struct thread *t)
{
    struct sh_manifest m;
    struct strings args = {0}, env = {0};
    char *path = pages_alloc(2);
    int r = sh_manifest_parse(&m, start->manifest, start->manifest_size);
    if (r) {
        log_line("shelter: the image's manifest is malformed; build the image again");
        return EXIT_OWN;
    }
    control_init(start, m.policy, m.stop_signal);
    agent_init(start, &m);
    if (process_init_first()) {
        log_line("shelter: the memory of the enclave is too small to begin");
        return EXIT_OWN;
    }
    init_process(start, &m);
    if (!sh_hostname_ok(uts.hostname)) { /* the host's choice, and it goes into files */
        log_line("shelter: the host name is none; letters, digits and -._ are allowed");
        return EXIT_OWN;
    }
    list_append(&current()->threads, &t->node);
    current()->thread_count = 1;
    t->tid = current()->pid;
    net_init(start, &m);
    /* Small: a page more in the enclave costs what hashing several does. */
    uint64_t cache = port_info.memory_size ? MIN(port_info.memory_size / 8, CACHE_SIZE_MAX)
                                           : CACHE_SIZE_MAX;
    r = image_open(m.root_size, m.root_hash, cache >> PAGE_SHIFT);
    if (!r)
        r = mount_all(&m);
    mm_init();
    if (!r)
        r = stdio_init(has_input(start, &m), !(m.policy & SH_POLICY_NO_OUTPUT));
    if (r < 0) {
        log_line(
            "shelter: the root image cannot be read (errno %d); it does not match its manifest, "
            "or is damaged",
            -r);
        return EXIT_OWN;
    }
    if (m.has_sites && port_info.sites_size && sites_open(m.sites_size, m.sites_hash)) {
        log_line("shelter: sites.bin of the image is not what was built; build the image again");
        return EXIT_OWN;
    }
    if (start->launch && net_files()) {
        log_line("shelter: cannot write the network's files: /etc of the image is no directory");
        return EXIT_OWN;
    }
    r = gather(start, &m, &args, &env);
    if (!r)
        r = enter_directory(start, &m);
    if (!r)
        r = become_user(start, &m);
    if (r)
        return EXIT_OWN;
    int status = agent_before_program(&m, add_env, &env);
    if (status)
        return status;
    r = find_program(args.list[0], &env, path, 2 * PAGE_SIZE);
    struct exec_args x = {args.list, env.list};
    if (!r)
        r = exec_load(t, path, &x);
    if (r) {
        log_line("shelter: %s cannot be run: %s", args.list[0],
                 r == -ENOENT    ? "there is no such file in the image"
                 : r == -EACCES  ? "it is not an executable file"
                 : r == -ENOEXEC ? "it is not a program for this processor"
                 : r == -EIO     ? "its bytes in the root image are not what was built"
                                 : "it could not be loaded");
        return r == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT;
    }
    return 0;
}

struct thread *los_first_thread(void)
{
    first.self = &first;
    first.fixed = true;
    first.process = &first_process;
    first.stack = los_first_stack;
    first.stack_top = (uint64_t)los_first_stack + KSTACK_SIZE;
    first.fast = los_fast;
    first.call_nr = -1;
    list_init(&first.node);
    list_init(&first.lock_node);
    list_init(&first.wake_node);
    sig_queue_init(&first.pending);
    return &first;
}

int los_start(const struct port_start *start)
{
    struct thread *t = &first;
    port_info = start->info;
    if (check_info(&port_info)) {
        log_line("shelter: the port described a machine that cannot be");
        return EXIT_OWN;
    }
    port_info.cpu_count = MIN(MAX(port_info.cpu_count, 1), CPUS_MAX);
    page_init(port_info.zone_start, port_info.zone_end);
    digest_init(port_info.sha_instructions);
    los_lock();
    int status = start_inside(start, t);
    if (status)
        return status;
    t->started = true;
    los_return(t);
}
