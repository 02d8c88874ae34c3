// SPDX-License-Identifier: Apache-2.0
// From the first entry to the program's first instruction.

#include "lib/settings.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/base/digest.h"
#include "trusted/libos/entry/entry.h"
#include "trusted/libos/entry/session.h"
#include "trusted/libos/proc/program.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/fs/image.h"
#include "trusted/libos/fs/share.h"
#include "trusted/libos/mm/sites.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/proc/proc.h"

#define EXIT_OWN 125
#define EXIT_CANNOT 126
#define EXIT_NOT_FOUND 127
#define CPUS_MAX 512u
#define CACHE_SIZE_MAX (32ul << 20) /* of checked blocks of root.img */

static struct thread first;

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

static void init_process(void)
{
    current()->start_time = clock_now();
    fmt(uts.hostname, sizeof(uts.hostname), "%s", settings.hostname);
    fmt(uts.domainname, sizeof(uts.domainname), "(none)");
    for (size_t i = 0; i < ARRAY_COUNT(current()->limits); i++)
        current()->limits[i] = (struct limit){settings.limits[i].soft, settings.limits[i].hard};
}

static int enter_directory(void)
{
    struct walk w;
    int r = walk_path(AT_FDCWD, settings.workdir, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (r == -ENOENT) {
        struct dentry *d;
        r = tree_mkdir(settings.workdir, 0755, &d);
        if (!r)
            cwd_set(d);
    } else if (!r) {
        cwd_set(w.dentry);
    }
    if (r)
        log_line("shelter: cannot go to directory %s (errno %d)", settings.workdir, -r);
    return r;
}

static int become_user(struct sh_user *u)
{
    int r = user_set(settings.user, u);
    if (!r) {
        caps_start(current());
        stdio_give(u->uid);
    }
    if (r)
        log_line("shelter: there is no user %s in the image; give a number or one of /etc/passwd",
                 settings.user);
    return r;
}

static int mount_all(void)
{
    int r = tree_init();
    if (!r)
        r = dev_init();
    if (!r)
        r = proc_init();
    for (size_t i = 0; !r && i < settings.tmpfs_count; i++)
        r = tree_mount(settings.tmpfs[i].path, inode_new(FS_TMP, S_IFDIR | settings.tmpfs[i].mode));
    return r;
}

/* Everything that follows goes by the settings. The manifest's digest and the launch config's were
 * compared by the port. */
static int take_settings(const struct port_start *start, struct sh_manifest *m)
{
    const char *why;
    if (sh_manifest_parse(m, start->manifest, start->manifest_size)) {
        log_line("shelter: the image's manifest is malformed; build the image again");
        return -EBADMSG;
    }
    size_t size = sh_settings_size(m, start->launch_size);
    void *arena = pages_alloc((size + PAGE_SIZE - 1) >> PAGE_SHIFT);
    int r = sh_settings_make(&settings, m, start->launch, start->launch_size, arena,
                             arena ? size : 0, &why);
    if (!r && !settings.args.count) {
        why = "the image names no command, and none was given; add one after IMAGE";
        r = -ENOENT;
    }
    if (r)
        log_line("shelter: %s", why);
    else if (settings.cpus) /* --cpus: what programs size themselves by */
        port_info.cpu_count = MIN(port_info.cpu_count, settings.cpus);
    return r;
}

static int mount_data(void)
{
    for (uint32_t i = 0; i < settings.data_count; i++) {
        const struct sh_data *d = &settings.data[i];
        uint64_t nid;
        int r = image_open(1 + i, d->size, d->root, 0);
        if (!r)
            r = erofs_open(1 + i, &nid);
        if (!r)
            r = tree_mount(d->path, inode_of_image(nid));
        if (r) {
            log_line("shelter: the image's data %s cannot be mounted at %s (errno %d); it is not "
                     "there, does not match the manifest, or is damaged",
                     d->name, d->path, -r);
            return r;
        }
    }
    return 0;
}

static int open_files(const struct sh_manifest *m)
{
    /* Small: a page more in the enclave costs what hashing several does. */
    uint64_t cache = settings.memory ? MIN(settings.memory / 8, CACHE_SIZE_MAX) : CACHE_SIZE_MAX;
    int r = image_open(0, m->root_size, m->root_hash, cache >> PAGE_SHIFT);
    if (!r)
        r = mount_all();
    if (!r)
        r = stdio_init();
    if (r < 0) {
        log_line(
            "shelter: the root image cannot be read (errno %d); it does not match its manifest, "
            "or is damaged",
            -r);
        return r;
    }
    if (m->has_sites && port_info.sites_size && sites_open(m->sites_size, m->sites_hash)) {
        log_line("shelter: sites.bin of the image is not what was built; build the image again");
        return -EBADMSG;
    }
    r = mount_data();
    if (r)
        return r;
    r = net_files();
    if (r)
        log_line("shelter: cannot write the network's files: /etc of the image is not a directory");
    for (size_t i = 0; !r && i < settings.file_count; i++) {
        const struct sh_file *f = &settings.files[i];
        r = tree_put_file(f->folder, f->name, f->mode, f->data, f->size);
        if (r)
            log_line("shelter: cannot copy %s/%s in (errno %d)", f->folder, f->name, -r);
    }
    return r ? r : share_mount_all();
}

/* `build -f /usr/bin/x` puts x into /bin; whoever names it as outside is told so. */
static void tell_not_found(const char *name, char *path)
{
    const char *slash = strrchr(name, '/');
    bool there = slash && !program_find(slash + 1, "/bin", path, 2 * PAGE_SIZE);
    log_line("shelter: %s cannot be run: there is no such file in the image%s%s", name,
             there ? "; it is " : "", there ? path : "");
}

static int run_program(struct thread *t, const struct environment *env)
{
    char *path = pages_alloc(2);
    const char *name = settings.args.items[0];
    struct exec_args x = {settings.args.items, env->list, NULL};
    int r = path ? program_find(name, env_get(env, "PATH"), path, 2 * PAGE_SIZE) : -ENOMEM;
    if (!r)
        r = exec_load(t, path, &x);
    if (!r)
        return 0;
    if (r == -ENOENT) {
        tell_not_found(name, path);
        return EXIT_NOT_FOUND;
    }
    log_line("shelter: %s cannot be run: %s", name,
             r == -EACCES    ? "it is not an executable file"
             : r == -ENOEXEC ? "it is not a program for this processor"
             : r == -EIO     ? "its bytes in the root image are not what was built"
                             : "it could not be loaded");
    return EXIT_CANNOT;
}

static int start_inside(const struct port_start *start, struct thread *t)
{
    struct sh_manifest m;
    struct sh_user user;
    struct environment env;
    if (take_settings(start, &m))
        return EXIT_OWN;
    control_init(start);
    agent_init((struct sh_view){start->manifest, start->manifest_size},
               (struct sh_view){start->launch, start->launch_size});
    if (process_init_first()) {
        log_line("shelter: the memory of the enclave is too small to begin");
        return EXIT_OWN;
    }
    init_process();
    list_append(&current()->threads, &t->node);
    current()->thread_count = 1;
    t->tid = current()->pid;
    if (open_files(&m) || enter_directory() || become_user(&user))
        return EXIT_OWN;
    if (env_begin(&env, settings.secrets.count) || env_keep_home(user.home) ||
        (!env_get(&env, "HOME") && env_add(&env, workload_home))) {
        log_line("shelter: no memory for the environment");
        return EXIT_OWN;
    }
    int status = agent_before_program(env_add, &env);
    if (!status && agent_replaced() && session_start_api())
        status = EXIT_OWN;
    if (!status)
        status = run_program(t, &env);
    env_wipe(&env);
    return status;
}

struct thread *los_first_thread(uint64_t stack_top)
{
    thread_init(&first, stack_top);
    first.fixed = true;
    first.process = &first_process;
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
