// SPDX-License-Identifier: Apache-2.0
// One process keeps the pool; each of its children is the supervisor of an instance to come.
#include "host/run/pool_keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/base/cgroup.h"
#include "host/base/descriptor.h"
#include "host/run/pool.h"
#include "host/run/prepare.h"

#define AGAIN_MS 1000 /* after one that died while it waited */
#define QUIET_MS 50   /* after one was taken: what was started shall have the processors */
#define LOCK_TRIES 50u
#define LOCK_PAUSE_US 10000u
#define TAKE_MS 60000 /* from the connection to the instance */

/* What a child says, in one write. */
struct word {
    pid_t pid;
    char kind; /* 'w': it waits; 't': it was taken; 'f': it could not be made */
    char text[500];
};

/* --- a child --- */

struct unit {
    struct sh_prepared *prepared;
    const char *key, *id;
    int folder_fd;
    int words_fd; /* to the keeper, who holds the other end for as long as he lives */
};

static void send_word(const struct unit *u, char kind, const char *text)
{
    struct word w = {.pid = getpid(), .kind = kind};
    snprintf(w.text, sizeof(w.text), "%s", text);
    (void)!write(u->words_fd, &w, sizeof(w));
}

/* Whoever connected must be who keeps the pool. */
static bool is_ours(int fd)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == geteuid();
}

/* A connection, once there is one; -1: the pool or the child ended. */
static int wait_for_client(const struct unit *u, struct sh_error *err)
{
    char half[SH_INSTANCE_ID_SIZE + 1];
    snprintf(half, sizeof(half), ".%s", u->id);
    cleanup_close int listen_fd = sh_pool_listen(u->folder_fd, half);
    if (listen_fd < 0)
        return sh_fail_errno(err, listen_fd, "cannot listen in the pool's folder");
    if (renameat(u->folder_fd, half, u->folder_fd, u->id))
        return sh_fail_errno(err, -errno, "cannot write to the pool's folder");
    send_word(u, 'w', "");
    while (sh_supervisor_wait(listen_fd, u->words_fd) == listen_fd) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && is_ours(fd))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -ESRCH;
}

/* The instance that was made for it. */
static int take_instance(const struct unit *u, int fd, struct sh_pool_take *take,
                         struct sh_error *err)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int lock_fd = -1;
    int r = write(fd, "", 1) == 1 && poll(&p, 1, TAKE_MS) == 1
                ? sh_receive_with_fd(fd, take, sizeof(*take), &lock_fd)
                : -ETIMEDOUT;
    if (!r && lock_fd < 0)
        r = -EPROTO;
    if (r)
        return sh_fail_errno(err, r, "whoever took it gave it no instance");
    return sh_prepared_adopt(u->prepared, u->id, lock_fd, take->rows, take->columns, err);
}

/* The last of a pool whose keeper is gone leaves nothing. Others may leave at the same time. */
static void leave_folder(const struct unit *u)
{
    struct pollfd p = {.fd = u->words_fd};
    bool locked = false;
    sh_pool_forget(u->folder_fd, u->id);
    if (poll(&p, 1, 0) != 1) /* his end is open */
        return;
    for (unsigned i = 0; !locked && i < LOCK_TRIES; i++) {
        if (i)
            usleep(LOCK_PAUSE_US);
        locked = !flock(u->folder_fd, LOCK_EX | LOCK_NB);
    }
    if (locked)
        sh_pool_remove(u->prepared->store->dir_fd, u->folder_fd, u->key);
}

static _Noreturn void be_unit(const struct unit *u)
{
    struct sh_error err = {0};
    struct sh_pool_take take = {0};
    struct sh_prepared *p = u->prepared;
    struct sh_launch_plan plan = sh_prepared_plan(p);
    struct sh_port *ports = sh_alloc((p->spec.port_count + 1) * sizeof(*ports));
    const int keep[2] = {u->words_fd, u->folder_fd};
    int fd = -1;
    memcpy(p->instance.config.id, u->id, SH_INSTANCE_ID_SIZE);
    sh_pool_ports(p->spec.ports, p->spec.port_count, ports);
    p->spec.ports = ports;
    p->spec.hold = true;
    setsid();
    int r = sh_supervisor_hold(&plan, keep, &err);
    if (r)
        send_word(u, 'f', err.text);
    else
        r = fd = wait_for_client(u, &err);
    if (r >= 0)
        r = take_instance(u, fd, &take, &err);
    if (r < 0) {
        sh_supervisor_drop();
        leave_folder(u);
        _exit(1);
    }
    send_word(u, 't', u->id);
    close(u->words_fd);
    close(u->folder_fd);
    plan = sh_prepared_plan(p);
    _exit(sh_supervisor_release(fd, take.attach, take.input));
}

/* --- the keeper --- */

struct keeper {
    struct sh_prepared prepared;
    const struct sh_run_options *options;
    char key[SH_POOL_KEY_SIZE];
    int folder_fd;
    int words[2];
    int64_t start_at; /* sh_now_ms: not before */
    bool shown;
    struct child {
        pid_t pid; /* 0: none */
        char id[SH_INSTANCE_ID_SIZE];
        bool waits;
    } children[SH_POOL_COUNT_MAX];
};

static volatile sig_atomic_t ended;

static void on_end(int number)
{
    ended = 1;
}

static void on_child(int number)
{
}

/* Opened and locked; -EBUSY: it is somebody's, or those of one that was killed leave it now. */
static int open_folder(const char *path, struct sh_error *err)
{
    struct stat st;
    int r = sh_make_dirs(path, 0700, err);
    if (r)
        return r;
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || fstat(fd, &st) || !st.st_nlink)
        return -EBUSY;
    return sh_take_fd(&fd);
}

static int make_folder(struct keeper *k, const struct sh_buffer *launch, struct sh_error *err)
{
    struct sh_store *store = k->prepared.store;
    cleanup_free char *path = sh_format("%s/" SH_POOL_FOLDER "/%s", store->path, k->key);
    int r = -EBUSY;
    for (unsigned i = 0; r == -EBUSY && i < LOCK_TRIES; i++) {
        if (i)
            usleep(LOCK_PAUSE_US);
        r = k->folder_fd = open_folder(path, err);
    }
    if (r < 0)
        return sh_fail(err, r, "a pool of %s with these options is kept already",
                       k->options->image);
    cleanup_close int fd =
        openat(k->folder_fd, "launch", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : sh_write_all(fd, launch->data, launch->size);
    if (r)
        return sh_fail_errno(err, r, "cannot write the launch config");
    k->prepared.instance_path = sh_take_ptr(path);
    k->prepared.spec.instance_path = k->prepared.instance_path;
    return 0;
}

/* Is it still what the pool was made for? */
static int check_image(struct keeper *k, struct sh_error *err)
{
    char key[SH_POOL_KEY_SIZE];
    struct sh_error ignored = {0};
    struct sh_image now;
    bool same = !sh_image_open(k->prepared.store, k->options->image, &now, &ignored);
    if (same) {
        same = !strcmp(now.id, k->prepared.image.id);
        sh_image_close(&now);
    }
    if (same && !sh_pool_key(&k->prepared.spec, key, &ignored) && !strcmp(key, k->key))
        return 0;
    return sh_fail(err, -ESTALE, "the image %s was changed; start its pool again",
                   k->options->image);
}

static int start_child(struct keeper *k, struct child *c, struct sh_error *err)
{
    if (c->id[0])
        sh_cgroup_forget(c->id); /* of one that was killed; what was below it is gone by now */
    int r = sh_instance_new_id(c->id, err);
    if (r)
        return r;
    fflush(NULL);
    c->pid = fork();
    if (c->pid < 0) {
        r = -errno;
        c->pid = 0;
        return sh_fail_errno(err, r, "cannot start a process");
    }
    if (c->pid)
        return 0;
    int folder_fd = openat(k->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    be_unit(&(struct unit){&k->prepared, k->key, c->id, folder_fd, k->words[1]});
}

/* As many as there should be. */
static int start_missing(struct keeper *k, struct sh_error *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < k->options->count; i++) {
        if (k->children[i].pid)
            continue;
        r = check_image(k, err);
        if (!r)
            r = start_child(k, &k->children[i], err);
    }
    return r;
}

static struct child *find_child(struct keeper *k, pid_t pid)
{
    for (size_t i = 0; i < k->options->count; i++)
        if (k->children[i].pid == pid)
            return &k->children[i];
    return NULL;
}

static size_t count_waiting(const struct keeper *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->options->count; i++)
        n += k->children[i].waits;
    return n;
}

static int take_word(struct keeper *k, const struct word *w, struct sh_error *err)
{
    struct child *c = find_child(k, w->pid);
    if (!c)
        return 0;
    if (w->kind == 'f')
        return sh_fail(err, -ECHILD, "no enclave can be made for the pool: %.*s",
                       (int)sizeof(w->text), w->text);
    c->waits = w->kind == 'w';
    if (w->kind == 't') {
        c->pid = 0; /* nobody's any more; it is waited for like all */
        c->id[0] = 0;
        printf("taken %.*s\n", (int)sizeof(w->text), w->text);
        k->start_at = sh_now_ms() + (count_waiting(k) ? QUIET_MS : 0);
    }
    if (!k->shown && count_waiting(k) == k->options->count) {
        k->shown = true;
        printf("%u waiting\n", k->options->count);
    }
    fflush(stdout);
    return 0;
}

static int read_words(struct keeper *k, struct sh_error *err)
{
    struct word w;
    int r = 0;
    while (!r && read(k->words[0], &w, sizeof(w)) == sizeof(w))
        r = take_word(k, &w, err);
    return r;
}

/* Those that ended: taken ones, whose workload ended, or others, in whose place new ones come. */
static void reap_children(struct keeper *k)
{
    for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
        struct child *c = find_child(k, pid);
        if (!c)
            continue;
        sh_pool_forget(k->folder_fd, c->id);
        c->pid = 0;
        c->waits = false;
        k->start_at = sh_now_ms() + AGAIN_MS;
    }
}

static bool is_full(const struct keeper *k)
{
    for (size_t i = 0; i < k->options->count; i++)
        if (!k->children[i].pid)
            return false;
    return true;
}

static int serve_pool(struct keeper *k, struct sh_error *err)
{
    sigset_t none;
    int r = 0;
    sigemptyset(&none);
    while (!r && !ended) {
        struct pollfd p = {.fd = k->words[0], .events = POLLIN};
        int64_t wait = is_full(k) ? -1 : k->start_at - sh_now_ms();
        if (!is_full(k) && wait <= 0) {
            r = start_missing(k, err);
            continue;
        }
        struct timespec limit = {.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000};
        (void)ppoll(&p, 1, wait < 0 ? NULL : &limit, &none);
        r = read_words(k, err);
        reap_children(k);
    }
    return r;
}

/* Has somebody taken one that waited, or may nobody take it any more from now on? */
static bool is_taken(const struct keeper *k, const struct child *c)
{
    char half[SH_INSTANCE_ID_SIZE + 1];
    snprintf(half, sizeof(half), ".%s", c->id);
    return c->waits && renameat(k->folder_fd, c->id, k->folder_fd, half);
}

/* They see that nobody reads their words any more; those that were taken run on. */
static void end_children(struct keeper *k)
{
    struct sh_error ignored = {0};
    (void)read_words(k, &ignored);
    for (size_t i = 0; i < k->options->count; i++)
        if (k->children[i].pid && is_taken(k, &k->children[i]))
            k->children[i].pid = 0;
    close(k->words[0]);
    close(k->words[1]);
    flock(k->folder_fd, LOCK_UN); /* they leave the folder */
    for (size_t i = 0; i < k->options->count; i++) {
        struct child *c = &k->children[i];
        if (!c->pid)
            continue;
        waitpid(c->pid, NULL, 0);
        sh_pool_forget(k->folder_fd, c->id);
        sh_cgroup_forget(c->id);
    }
}

/* Signals come only while the keeper waits for words. */
static void take_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    signal(SIGCHLD, on_child);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        sigaddset(&set, ends[i]);
        signal(ends[i], on_end);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int sh_pool_keep(struct sh_store *store, const struct sh_run_options *o, struct sh_error *err)
{
    static struct keeper k;
    struct sh_buffer launch = {0};
    k = (struct keeper){.options = o, .folder_fd = -1, .words = {-1, -1}};
    (void)sh_pool_clean(store);
    int r = sh_prepare_pool(store, o, &k.prepared, &launch, err);
    if (!r)
        r = sh_pool_key(&k.prepared.spec, k.key, err);
    if (!r)
        r = make_folder(&k, &launch, err);
    bool ours = !r;
    if (!r && pipe2(k.words, O_CLOEXEC | O_NONBLOCK))
        r = sh_fail_errno(err, -errno, "cannot create a pipe");
    if (!r) {
        take_signals();
        r = serve_pool(&k, err);
        end_children(&k);
    }
    if (ours && !flock(k.folder_fd, LOCK_EX | LOCK_NB))
        sh_pool_remove(store->dir_fd, k.folder_fd, k.key);
    if (k.folder_fd >= 0)
        close(k.folder_fd);
    sh_buffer_free(&launch);
    sh_prepared_free(&k.prepared);
    return r;
}
