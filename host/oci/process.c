// SPDX-License-Identifier: Apache-2.0
// The container's process: from the engine's stdio to a supervisor.
#include "host/oci/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/oci/cgroup.h"
#include "host/oci/named.h"
#include "host/oci/network.h"
#include "host/oci/pod.h"
#include "host/run/attached.h"
#include "host/run/copy_in.h"
#include "host/run/exec_request.h"
#include "host/run/prepare.h"
#include "lib/io.h"
#include "verifier/base/json_read.h"

#define AGAIN_US 50000
#define AGAIN_MAX 200

/* What the new process says to the command that made it: once, then its end is closed. */
struct report {
    int32_t code; /* 0: prepared */
    int32_t status;
    char text[1024]; /* the sentence, or the instance's id */
};

static void send_report(int fd, int code, int status, const char *text)
{
    struct report r = {.code = code, .status = status};
    snprintf(r.text, sizeof(r.text), "%s", text);
    (void)sh_write_all(fd, &r, sizeof(r));
}

/* The text is the caller's. */
static int take_report(int fd, char **text, struct sh_error *err)
{
    struct report r;
    if (sh_read_all(fd, &r, sizeof(r)))
        return sh_fail(err, -ECHILD, "the container's process died while it was made");
    r.text[sizeof(r.text) - 1] = 0;
    if (r.code) {
        err->status = r.status;
        return sh_fail(err, r.code, "%s", r.text);
    }
    *text = sh_strdup(r.text);
    return 0;
}

/* --- around it --- */

static int join_network(const struct oci_bundle *b, struct sh_error *err)
{
    if (!b->own_network)
        return 0;
    if (!b->network_path)
        return unshare(CLONE_NEWNET)
                   ? sh_fail_errno(err, -errno, "cannot create a network namespace")
                   : 0;
    cleanup_close int fd = open(b->network_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET))
        return sh_fail_errno(err, -errno, "cannot join the network namespace %s", b->network_path);
    return 0;
}

/* A pod's host name is that of its sandbox's UTS namespace; the others there read it. */
static int join_names(const struct oci_bundle *b, char **hostname, struct sh_error *err)
{
    char name[65] = "";
    *hostname = NULL;
    if (b->sandbox && b->hostname &&
        (unshare(CLONE_NEWUTS) || sethostname(b->hostname, strlen(b->hostname))))
        return sh_fail_errno(err, -errno, "cannot set the pod's host name");
    if (!b->uts_path)
        return 0;
    cleanup_close int fd = open(b->uts_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWUTS) || gethostname(name, sizeof(name) - 1))
        return sh_fail_errno(err, -errno, "cannot join the UTS namespace %s", b->uts_path);
    *hostname = sh_strdup(name);
    return 0;
}

static void set_oom_score(const struct oci_bundle *b)
{
    const cJSON *score =
        cJSON_GetObjectItemCaseSensitive(oci_object(b->json, "process"), "oomScoreAdj");
    cleanup_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (cJSON_IsNumber(score) && fd >= 0)
        dprintf(fd, "%d", score->valueint); /* lower than ours needs a right: then it stays */
}

/* --- what runs --- */

static int set_size(struct sh_run_options *o, const struct oci_bundle *b, const char *memory,
                    const char *cpus, struct sh_error *err)
{
    const char *kata = oci_annotation(b, "io.katacontainers.config.hypervisor.default_memory");
    uint64_t number = 0;
    o->memory = b->memory;
    o->cpus = b->cpus;
    if (kata && !sh_parse_number(kata, 1, UINT32_MAX, &number))
        o->memory = number << 20;
    if (memory && sh_parse_size(memory, &o->memory))
        return sh_fail(err, -EINVAL, "annotation io.shelter.memory: '%s' is not a size", memory);
    if (!cpus)
        cpus = oci_annotation(b, "io.katacontainers.config.hypervisor.default_vcpus");
    if (cpus && sh_parse_number(cpus, 1, SH_LAUNCH_CPUS_MAX, &number))
        return sh_fail(err, -EINVAL, "annotation for CPUs: '%s' is not a count from 1 to %u", cpus,
                       SH_LAUNCH_CPUS_MAX);
    if (cpus)
        o->cpus = (uint32_t)number;
    if (o->cpus > SH_LAUNCH_CPUS_MAX)
        o->cpus = SH_LAUNCH_CPUS_MAX;
    if (o->memory && o->memory < SH_LAUNCH_MEMORY_MIN)
        o->memory = SH_LAUNCH_MEMORY_MIN; /* engines allow 6 MB; a TEE's system needs its part */
    return 0;
}

/* Does the engine's /etc/hosts know this container? Then it knows what was added to it, too; else
 * the inside's own is better. */
static bool names_host(const char *hosts, const char *hostname)
{
    char line[1024];
    cleanup_fclose FILE *f = hosts ? fopen(hosts, "re") : NULL;
    while (f && hostname && *hostname && fgets(line, sizeof(line), f))
        if (strstr(line, hostname))
            return true;
    return false;
}

/* The options of `shelter run` that say the same. Strings are the bundle's, lists new. */
static int fill_options(const struct oci_start *s, struct sh_store *store, const char *hostname,
                        struct sh_run_options *o, struct sh_error *err)
{
    struct oci_bundle *b = s->bundle;
    const struct oci_process *p = &b->process;
    const char *tee = oci_annotation(b, "io.shelter.tee");
    *o = (struct sh_run_options){
        .image = s->image,
        .has_command_text = true,
        .name = sh_instance_name_ok(s->container->id) ? s->container->id : NULL,
        .tee = tee ? tee : s->rt->tee,
        .workdir = p->workdir,
        .user = p->user,
        .hostname = b->hostname ? b->hostname : hostname,
        .broker = (char *)oci_annotation(b, "io.shelter.broker"),
        .publish_all = true,
        .resolver = b->resolver,
        .tty = p->terminal ? SH_TTY_YES : SH_TTY_NO,
        .remove = true,
        .read_only = b->read_only,
    };
    for (size_t i = 0; i < p->args.count; i++)
        sh_strings_add(&o->command, p->args.v[i]);
    for (size_t i = 0; i < p->env.count; i++)
        if (strchr(p->env.v[i], '='))
            sh_env_set(&o->env, p->env.v[i]);
    for (size_t i = 0; i < p->limits.count; i++)
        sh_strings_add(&o->limits, p->limits.v[i]);
    bool named = oci_annotation(b, "io.shelter.image");
    int r = named ? oci_named_fit(store, s->image, b, o, err) : 0;
    if (!r && !named && names_host(b->hosts, o->hostname))
        r = sh_copy_in(b->hosts, "/etc/hosts", &o->files, err);
    if (!r && !named && b->names)
        r = sh_copy_in(b->names, "/etc/resolv.conf", &o->files, err);
    for (size_t i = 0; !r && i < b->bind_count; i++) {
        const struct oci_bind *from = &b->binds[i];
        if (from->kind == OCI_BIND_COPY)
            r = sh_copy_in(from->source, from->target, &o->files, err);
        if (from->kind != OCI_BIND_SHARE)
            continue;
        o->mounts = sh_realloc_array(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
        o->mounts[o->mount_count++] =
            (struct sh_mount){from->source, from->target, from->read_only, false};
    }
    return r ? r
             : set_size(o, b, oci_annotation(b, "io.shelter.memory"),
                        oci_annotation(b, "io.shelter.cpus"), err);
}

/* The interface that a machine got; NULL: there is none. */
static const struct oci_network *joined;

/* An enclave's sockets are this namespace's; a machine gets the interface itself. */
static int join_machine(const struct oci_network *network, struct sh_prepared *p,
                        struct sh_error *err)
{
    if (!p->spec.network || !p->spec.backend->start_network)
        return 0;
    p->spec.mac = network->mac;
    p->spec.tap_fd = oci_network_tap(network, err);
    if (p->spec.tap_fd < 0)
        return p->spec.tap_fd;
    joined = network;
    p->spec.loopback.has = oci_network_loopback(network);
    memcpy(p->spec.loopback.address, network->address, sizeof(network->address));
    memcpy(p->spec.loopback.mac, network->mac_bytes, sizeof(network->mac_bytes));
    return 0;
}

/* In the network namespace that this process has. */
static int prepare_here(const struct oci_bundle *b, struct sh_run_options *o,
                        struct sh_store *store, struct sh_prepared *p, struct sh_error *err)
{
    static struct oci_network network;
    bool own = b->own_network && oci_network_find(o->resolver, &network);
    if (own)
        o->network = network.text;
    o->pod_loopback = own;
    int r = sh_prepare_new(store, o, p, err);
    if (r == -EEXIST && o->name) { /* another engine's container of this name */
        *err = (struct sh_error){0};
        sh_prepared_free(p);
        o->name = NULL;
        r = sh_prepare_new(store, o, p, err);
    }
    if (!r && own)
        r = join_machine(&network, p, err);
    return r;
}

static int prepare_instance(const struct oci_start *s, const char *hostname, struct sh_store *store,
                            struct sh_prepared *p, struct sh_error *err)
{
    struct sh_run_options o;
    int r = sh_store_open(store, err);
    if (!r)
        r = fill_options(s, store, hostname, &o, err);
    if (r)
        return r;
    r = prepare_here(s->bundle, &o, store, p, err);
    free(o.mounts);
    sh_strings_free(&o.command);
    sh_strings_free(&o.env);
    sh_strings_free(&o.limits);
    sh_strings_free(&o.files);
    sh_strings_free(&o.volumes);
    return r;
}

/* --- its life --- */

/* A connection to its supervisor that asked for this program; or -errno. */
static int ask_exec(const struct sh_exec_request *request, const struct sh_instance *instance,
                    struct sh_error *err)
{
    struct sh_fifo out = {0};
    int r = sh_exec_request_put(&out, request, err);
    int fd = r ? r : sh_control_connect(instance, err);
    if (fd >= 0)
        sh_control_send(fd, &out);
    sh_fifo_free(&out);
    return fd;
}

/* As for the first process of a PID namespace, which none but KILL ends unless it wants to. */
static void ignore_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN);
}

/* Stdio of the engine, joined to the instance; a closed socket ends it. Then the machine has gone,
 * even if the supervisor was killed. */
static __attribute__((noreturn)) void carry_stdio(const struct sh_prepared *p, int fd)
{
    const struct sh_instance_config *config = &p->instance.config;
    struct sh_error err = {0};
    int status;
    struct sh_attached a = {.fd = fd,
                            .config = config,
                            .input = config->stdin_open,
                            .tty = config->tty,
                            .signals = false};
    prctl(PR_SET_NAME, "shelter-stdio");
    if (p->spec.tap_fd >= 0)
        close(p->spec.tap_fd);
    ignore_signals();
    sh_attached_block_signals(); /* the terminal's size comes by one */
    (void)sh_attached_run(&a, &status, &err);
    if (err.text[0]) /* why it ended: also that the supervisor was killed */
        sh_error_report(&err);
    if (joined)
        oci_network_leave(joined);
    _exit(0);
}

/* Blocks until `start` opens the FIFO, and is gone if the folder is. */
static void wait_for_start(int dir_fd)
{
    cleanup_close int fd = openat(dir_fd, "start", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        _exit(SH_EXIT_FAILURE);
    (void)!write(fd, "0", 1);
    (void)unlinkat(dir_fd, "start", 0); /* `start` may be killed before it does */
}

static __attribute__((noreturn)) void run_instance(struct sh_prepared *p)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        _exit(SH_EXIT_FAILURE);
    if (p->instance.config.simulated)
        sh_warn_simulated(&p->instance.config);
    malloc_trim(0); /* what reading and converting left: two processes would keep it */
    pid_t pid = fork();
    if (pid < 0)
        _exit(SH_EXIT_FAILURE);
    if (pid == 0) {
        close(fds[1]);
        carry_stdio(p, fds[0]);
    }
    close(fds[0]);
    int status = sh_prepared_become(p, fds[1], true, p->instance.config.stdin_open);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ; /* the last output is written */
    _exit(status);
}

/* Waits until the command has written down that we are there; false: it died before. */
static bool wait_for_go(int go_fd)
{
    char byte;
    bool go = !sh_read_all(go_fd, &byte, 1);
    close(go_fd);
    return go;
}

/* The machine that the first container of the pod asks for. */
static int prepare_machine(const struct oci_start *s, const cJSON *ask, struct sh_store *store,
                           struct sh_prepared *p, struct sh_error *err)
{
    const char *id = s->container->id;
    struct sh_run_options o = {.image = oci_text(ask, "image"),
                               .name = sh_instance_name_ok(id) ? id : NULL,
                               .tee = oci_text(ask, "tee"),
                               .broker = (char *)oci_text(ask, "broker"),
                               .resolver = oci_text(ask, "resolver"),
                               .publish_all = true,
                               .tty = SH_TTY_NO,
                               .remove = true};
    *p = (struct sh_prepared){0};
    int r =
        o.image ? sh_store_open(store, err) : sh_fail(err, -EINVAL, "the pod's image is not named");
    if (!r)
        r = set_size(&o, s->bundle, oci_text(ask, "io.shelter.memory"),
                     oci_text(ask, "io.shelter.cpus"), err);
    return r ? r : prepare_here(s->bundle, &o, store, p, err);
}

static void take_machine(const struct oci_start *s, int listen_fd)
{
    static struct sh_store store;
    static struct sh_prepared p;
    struct sh_error err = {0};
    sigset_t none;
    int fd = -1;
    cJSON *ask = oci_pod_accept(listen_fd, &fd);
    if (fd < 0)
        return;
    signal(SIGCHLD, SIG_DFL); /* it has children now; nothing else may end the pod's sandbox */
    int r = prepare_machine(s, ask, &store, &p, &err);
    r = oci_pod_answer(fd, s->container, r, r ? err.text : p.instance.config.id);
    if (!r) {
        for (int number = 1; number < NSIG; number++)
            signal(number, SIG_DFL);
        close(listen_fd);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        run_instance(&p);
    }
    if (p.store)
        sh_prepared_free(&p);
    if (store.path)
        sh_store_close(&store);
    cJSON_Delete(ask); /* which the preparation points into */
    ignore_signals();
}

/* A pod's: its namespaces last as long as it does. No TEE is needed for that; if its containers
 * share a machine, this process becomes the machine's supervisor when the first one comes. */
static __attribute__((noreturn)) void keep_namespaces(const struct oci_start *s)
{
    sigset_t end;
    struct sh_error err = {0};
    ignore_signals();
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    prctl(PR_SET_NAME, "shelter-sandbox");
    struct pollfd f[2] = {{.fd = signalfd(-1, &end, SFD_CLOEXEC), .events = POLLIN},
                          {.fd = oci_pod_listen(s->container, &err), .events = POLLIN}};
    while (poll(f, 2, -1) < 0 || !f[0].revents)
        if (f[1].revents)
            take_machine(s, f[1].fd);
    _exit(0);
}

/* What the engine's limits take from a container there (<shelter/channel.h>). */
static char *find_bounds(const struct oci_bundle *b)
{
    const cJSON *resources = oci_object(oci_object(b->json, "linux"), "resources");
    const cJSON *pids = cJSON_GetObjectItemCaseSensitive(oci_object(resources, "pids"), "limit");
    struct sh_strings words = {0};
    if (b->read_only)
        sh_strings_add(&words, SH_BOUND_READ_ONLY);
    if (b->memory)
        sh_strings_addf(&words, SH_BOUND_MEMORY "%llu", (unsigned long long)b->memory);
    if (cJSON_IsNumber(pids) && pids->valueint > 0)
        sh_strings_addf(&words, SH_BOUND_PIDS "%d", pids->valueint);
    char *text = sh_strdup("");
    for (size_t i = 0; i < words.count; i++) {
        char *longer = sh_format("%s%s%s", text, i ? "," : "", words.v[i]);
        free(text);
        text = longer;
    }
    sh_strings_free(&words);
    return text;
}

/* A container in its pod's machine: starts there, and lives until it has ended there. */
static __attribute__((noreturn)) void live_in_machine(const struct oci_start *s)
{
    struct sh_store store;
    struct sh_instance instance;
    struct sh_error err = {0};
    int status = SH_EXIT_FAILURE;
    char *bounds = find_bounds(s->bundle);
    prctl(PR_SET_NAME, "shelter-pod");
    sh_attached_block_signals();
    int r = sh_store_open(&store, &err);
    if (!r)
        r = sh_instance_open_id(&store, s->machine, &instance, &err);
    for (int i = 0; !r && i < AGAIN_MAX; i++) {
        char *argv[] = {(char *)(uintptr_t)s->container_name, NULL};
        struct sh_exec_request request = {.kind = SH_EXEC_CONTAINER,
                                          .tty = s->bundle->process.terminal,
                                          .args = argv,
                                          .arg_count = 1,
                                          .workdir = bounds,
                                          .user = ""};
        err = (struct sh_error){0};
        cleanup_close int fd = ask_exec(&request, &instance, &err);
        struct sh_attached a = {.fd = fd,
                                .config = &instance.config,
                                .input = true,
                                .tty = request.tty,
                                .signals = true};
        if (fd >= 0 && sh_attached_run(&a, &status, &err) != SH_ATTACHED_ENDED)
            status = SH_EXIT_FAILURE;
        if (!strstr(err.text, SH_CONTAINER_RUNS)) /* what was killed before takes its time to go */
            break;
        usleep(AGAIN_US);
    }
    if (err.text[0])
        sh_error_report(&err);
    _exit(status);
}

static __attribute__((noreturn)) void live(const struct oci_start *s, int report_fd, int go_fd)
{
    static struct sh_store store;
    static struct sh_prepared p;
    struct sh_error err = {0};
    setsid();
    close(s->container->lock_fd); /* the command's: it ends with it */
    int r = oci_cgroup_join(s->cgroups, getpid(), &err);
    if (!r)
        r = oci_cgroup_limit(s->cgroups,
                             oci_object(oci_object(s->bundle->json, "linux"), "resources"), &err);
    if (!r)
        r = join_network(s->bundle, &err);
    if (!r && s->console_socket)
        r = oci_console_open(s->console_socket, s->bundle->process.rows, s->bundle->process.columns,
                             &err);
    set_oom_score(s->bundle);
    bool sandbox = s->bundle->sandbox, own = !sandbox && !s->machine;
    char *hostname = NULL;
    if (!r)
        r = join_names(s->bundle, &hostname, &err);
    if (!r && own)
        r = prepare_instance(s, hostname, &store, &p, &err);
    send_report(report_fd, r, err.status, r ? err.text : own ? p.instance.config.id : "");
    close(report_fd);
    if (r || !wait_for_go(go_fd)) {
        if (own)
            sh_prepared_free(&p);
        _exit(SH_EXIT_FAILURE);
    }
    wait_for_start(s->container->dir_fd);
    if (sandbox)
        keep_namespaces(s);
    if (s->machine)
        live_in_machine(s);
    run_instance(&p);
}

int oci_process_create(const struct oci_start *s, pid_t *pid, int *go_fd, char **instance,
                       struct sh_error *err)
{
    int report[2], go[2];
    if (mkfifoat(s->container->dir_fd, "start", 0600))
        return sh_fail_errno(err, -errno, "cannot create a FIFO in %s", s->container->path);
    if (pipe2(report, O_CLOEXEC) || pipe2(go, O_CLOEXEC))
        return sh_fail_errno(err, -errno, "cannot create a pipe");
    cleanup_close int report_fd = report[0];
    cleanup_close int mine = go[1];
    fflush(NULL);
    *pid = fork();
    if (*pid == 0) {
        close(report[0]);
        close(go[1]);
        live(s, report[1], go[0]);
    }
    int code = -errno;
    close(report[1]);
    close(go[0]);
    if (*pid < 0)
        return sh_fail_errno(err, code, "cannot start the container's process");
    int r = take_report(report_fd, instance, err);
    if (r)
        waitpid(*pid, NULL, 0);
    else
        *go_fd = sh_take_fd(&mine);
    return r;
}

/* --- exec --- */

static int open_instance(const struct oci_container *c, struct sh_store *store,
                         struct sh_instance *instance, struct sh_error *err)
{
    const char *machine = oci_text(c->state, "machine"),
               *id = machine ? machine : oci_text(c->state, "instance");
    int r = sh_store_open(store, err);
    if (!r)
        r = id ? sh_instance_open_id(store, id, instance, err)
               : sh_fail(err, -ENOENT, "container %s has no instance", c->id);
    return r;
}

static __attribute__((noreturn)) void live_exec(const struct oci_process *p, const char *beside,
                                                const char *socket,
                                                const struct sh_instance *instance, int report_fd)
{
    struct sh_strings args = {0};
    if (beside)
        sh_strings_add(&args, beside);
    for (size_t i = 0; i < p->args.count; i++)
        sh_strings_add(&args, p->args.v[i]);
    struct sh_exec_request request = {.kind = beside ? SH_EXEC_INSIDE : SH_EXEC_PROGRAM,
                                      .tty = p->terminal,
                                      .args = args.v,
                                      .arg_count = args.count,
                                      .env = p->env,
                                      .workdir = p->workdir,
                                      .user = p->user};
    struct sh_error err = {0};
    int status = SH_EXIT_FAILURE, r = 0;
    setsid();
    if (socket)
        r = oci_console_open(socket, p->rows, p->columns, &err);
    sh_attached_block_signals();
    cleanup_close int fd = r ? -1 : ask_exec(&request, instance, &err);
    send_report(report_fd, fd < 0 ? -EIO : 0, err.status, err.text);
    close(report_fd);
    if (fd < 0)
        _exit(SH_EXIT_FAILURE);
    struct sh_attached a = {
        .fd = fd, .config = &instance->config, .input = true, .tty = p->terminal, .signals = true};
    if (sh_attached_run(&a, &status, &err) != SH_ATTACHED_ENDED)
        status = SH_EXIT_FAILURE;
    if (err.text[0])
        sh_error_report(&err);
    _exit(status);
}

int oci_process_exec(const struct oci_container *c, const struct oci_process *p, const char *socket,
                     pid_t *pid, struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    int report[2];
    cleanup_free char *nothing = NULL;
    int r = open_instance(c, &store, &instance, err);
    if (r)
        return r;
    if (pipe2(report, O_CLOEXEC))
        return sh_fail_errno(err, -errno, "cannot create a pipe");
    cleanup_close int report_fd = report[0];
    fflush(NULL);
    *pid = fork();
    if (*pid == 0) {
        close(report[0]);
        live_exec(p, oci_text(c->state, "podContainer"), socket, &instance, report[1]);
    }
    close(report[1]);
    r = *pid < 0 ? sh_fail_errno(err, -EAGAIN, "cannot start a process")
                 : take_report(report_fd, &nothing, err);
    sh_instance_close(&instance);
    sh_store_close(&store);
    return r;
}

/* --- counts --- */

static __attribute__((noreturn)) void live_count(const char *name,
                                                 const struct sh_instance *instance)
{
    char *argv[] = {(char *)(uintptr_t)name, NULL};
    struct sh_exec_request request = {
        .kind = SH_EXEC_COUNT, .args = argv, .arg_count = 1, .workdir = "", .user = ""};
    struct sh_error err = {0};
    int status = SH_EXIT_FAILURE;
    cleanup_close int fd = ask_exec(&request, instance, &err);
    struct sh_attached a = {.fd = fd, .config = &instance->config};
    sh_attached_block_signals();
    if (fd >= 0 && sh_attached_run(&a, &status, &err) != SH_ATTACHED_ENDED)
        status = SH_EXIT_FAILURE;
    if (err.text[0])
        sh_error_report(&err);
    _exit(status);
}

cJSON *oci_process_count(const struct oci_container *c, struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    char text[4096];
    int out[2], status = -1;
    if (open_instance(c, &store, &instance, err))
        return NULL;
    pid_t pid = pipe2(out, O_CLOEXEC) ? -1 : fork();
    if (pid == 0) {
        dup2(out[1], 1);
        live_count(oci_text(c->state, "podContainer"), &instance);
    }
    cJSON *counts = NULL;
    if (pid > 0) {
        close(out[1]);
        ssize_t n = sh_read_up_to(out[0], text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = 0;
        close(out[0]);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        counts = status ? NULL : sv_json_read_text(text, NULL, 0);
    }
    if (!counts)
        sh_fail(err, -EIO, "what container %s uses in its pod's machine cannot be counted", c->id);
    sh_instance_close(&instance);
    sh_store_close(&store);
    return counts;
}
