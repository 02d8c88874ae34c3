// SPDX-License-Identifier: Apache-2.0
// The process that owns one instance's child: its start, its poll loop, its end.
#include "host/run/supervisor.h"
#include "host/run/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "host/base/child.h"
#include "host/base/rest.h"
#include "host/run/relay.h"
#include "host/run/sup_commands.h"

#define BOOT_LIMIT_MS 180000
#define STOP_MS 10000 /* from SIGTERM to the kill */
#define CHILD_WORDS_MAX 4096u
#define CGROUP_SPARE (1ull << 30) /* bytes beyond the workload's memory: QEMU's, the loader's */
#define CGROUP_THREADS 32768u     /* an enclave's thread is one of the loader's */

static struct supervisor {
    struct sh_launch_plan *plan;
    struct sh_child child; /* QEMU, or the enclave loader */
    struct sh_cgroup cgroup;
    const char *program; /* as it was executed */
    bool child_ended;
    struct sh_buffer child_words; /* the end of what it wrote to stderr */
    int service_fd;               /* sh_backend.serve's; -1: none */
    int64_t boot_by;              /* HELLO must have come */
    pid_t relay;                  /* IPv6 in front of published ports; 0: there is none */
    pid_t network;                /* makes the child's connections; 0: there is none */
    struct sup_life life;
    struct sup_clients clients;
    struct sup_requests requests;
    struct sup_guest guest;
} self;

/* --- the child --- */

static void child_words_readable(struct supervisor *s)
{
    char bytes[4096];
    ssize_t n = read(s->child.stderr_fd, bytes, sizeof(bytes));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close(s->child.stderr_fd);
        s->child.stderr_fd = -1;
        return;
    }
    sh_buffer_add(&s->child_words, bytes, (size_t)n);
    if (s->child_words.size > 2 * CHILD_WORDS_MAX) {
        size_t cut = s->child_words.size - CHILD_WORDS_MAX;
        memmove(s->child_words.data, s->child_words.data + cut, CHILD_WORDS_MAX);
        s->child_words.size = CHILD_WORDS_MAX;
    }
}

/* The last line that it wrote, or "". */
static void last_words(const struct supervisor *s, char *out, size_t size)
{
    const char *p = (const char *)s->child_words.data;
    size_t end = s->child_words.size, n = 0;
    while (end && (p[end - 1] == '\n' || p[end - 1] == '\r'))
        end--;
    size_t start = end;
    while (start && p[start - 1] != '\n')
        start--;
    for (; start < end && n + 1 < size; start++)
        out[n++] = p[start];
    out[n] = 0;
}

/* In the words of what died. */
static void end_by_death(struct supervisor *s, enum sh_death_kind kind, int number)
{
    char words[512], text[sizeof(s->life.state.error)];
    last_words(s, words, sizeof(words));
    struct sh_death death = {.kind = kind,
                             .number = number,
                             .words = words,
                             .program = s->program ? s->program : "",
                             .inside_spoke = s->guest.hello,
                             .workload_ran = s->guest.sessions[0].started};
    s->plan->spec->backend->explain(&death, text, sizeof(text));
    sup_life_error(&s->life, SH_EXIT_FAILURE, "%s", text);
}

static void child_gone(struct supervisor *s)
{
    int status = 0;
    waitpid(s->child.pid, &status, 0);
    close(s->child.pid_fd);
    s->child.pid_fd = -1;
    s->guest.child = 0;
    s->child_ended = true;
    while (s->child.stderr_fd >= 0) {
        struct pollfd p = {.fd = s->child.stderr_fd, .events = POLLIN};
        if (poll(&p, 1, 0) <= 0)
            break;
        child_words_readable(s);
    }
    /* What it still sent is in the socket; a closed one reads as its end. */
    while (s->guest.fd >= 0 && !s->life.ended) {
        struct pollfd p = {.fd = s->guest.fd, .events = POLLIN};
        if (poll(&p, 1, 0) <= 0)
            break;
        sup_guest_readable(&s->guest);
    }
    if (s->life.ended)
        return;
    if (WIFSIGNALED(status))
        end_by_death(s, SH_DEATH_KILLED, WTERMSIG(status));
    else
        end_by_death(s, SH_DEATH_EXITED, WEXITSTATUS(status));
}

static void end_process(pid_t *pid)
{
    if (*pid > 0) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
    }
    *pid = 0;
}

static void stop_child(struct supervisor *s)
{
    end_process(&s->relay);
    end_process(&s->network);
    if (s->child_ended || !s->child.pid)
        return;
    kill(s->child.pid, SIGKILL);
    child_gone(s);
}

/* --- the end --- */

/* It never ran, and whoever started it hears why: nothing is worth keeping. */
static bool is_useless(struct supervisor *s)
{
    if (!s->plan->discard_failed || s->life.state.started || s->plan->instance->config.debug)
        return false;
    FOR_SUP_CLIENTS(c, &s->clients)
    if (c->first)
        return true;
    return false;
}

/* The last frame for everybody who waits for one; the others are sent away. */
static void end_clients(struct supervisor *s)
{
    struct sh_fifo last = {0}, others = {0};
    if (s->life.ended_by_error)
        sh_frame_put_text(&last, SH_FRAME_ERROR, 0, (uint32_t)s->life.state.exit_code,
                          s->life.state.error);
    else
        sh_frame_put_exit(&last, 0, s->life.exit_code, s->life.exit_signal, NULL);
    sup_clients_end(&s->clients, 0, &last);
    sh_frame_put_exit(&others, 0, 0, SIGKILL, NULL);
    for (size_t i = 1; i < SH_SESSION_MAX; i++)
        if (s->guest.sessions[i].open)
            sup_clients_end(&s->clients, s->guest.sessions[i].id, &others);
    FOR_SUP_CLIENTS(c, &s->clients) /* asked for nothing that still comes */
    if (!c->last.size)
        c->closing = true;
    sh_fifo_free(&last);
    sh_fifo_free(&others);
}

static void finish_instance(struct supervisor *s)
{
    struct sh_error ignored = {0};
    const struct sh_instance *instance = s->plan->instance;
    stop_child(s);
    sup_life_finish(&s->life);
    if (s->clients.listen_fd >= 0) {
        unlinkat(instance->dir_fd, SH_CONTROL_SOCKET, 0);
        close(s->clients.listen_fd);
        s->clients.listen_fd = -1;
    }
    if (instance->config.remove || is_useless(s))
        sh_instance_remove(s->plan->store, instance->config.id, &ignored);
    /* From here on nobody needs us but clients that have not read all output. */
    close(s->plan->lock_fd);
    if (s->plan->image_fd >= 0)
        close(s->plan->image_fd);
    end_clients(s);
}

/* --- the loop --- */

static volatile sig_atomic_t terminate;

/* The host shuts down, or somebody ends us by hand: the workload gets its time to stop. */
static void on_terminate(int number)
{
    terminate = 1;
}

static int64_t next_timer(const struct supervisor *s)
{
    int64_t at = sup_guest_next_timer(&s->guest);
    return !s->guest.hello && (!at || s->boot_by < at) ? s->boot_by : at;
}

static void run_timers(struct supervisor *s)
{
    if (!s->guest.hello && sh_now_ms() >= s->boot_by)
        end_by_death(s, SH_DEATH_LATE, BOOT_LIMIT_MS / 1000);
    sup_guest_timers(&s->guest);
}

static void service_readable(struct supervisor *s)
{
    if (s->plan->spec->backend->serve(s->plan->spec, s->service_fd)) {
        close(s->service_fd);
        s->service_fd = -1;
    }
}

enum { AT_CHANNEL, AT_SERVICE, AT_CHILD, AT_WORDS, AT_LISTEN, AT_CLIENTS };

static void poll_once(struct supervisor *s)
{
    struct pollfd p[AT_CLIENTS + SH_CONTROL_CLIENT_MAX];
    bool room = s->guest.out.size < SH_CREDIT_WINDOW, ended = s->life.ended;
    /* After the end only clients count: a closed channel would wake us for ever. */
    p[AT_CHANNEL] = (struct pollfd){
        .fd = ended ? -1 : s->guest.fd,
        .events = (short)(POLLIN | (s->guest.hello && s->guest.out.size ? POLLOUT : 0)),
    };
    p[AT_SERVICE] = (struct pollfd){.fd = ended ? -1 : s->service_fd, .events = POLLIN};
    p[AT_CHILD] = (struct pollfd){.fd = ended ? -1 : s->child.pid_fd, .events = POLLIN};
    p[AT_WORDS] = (struct pollfd){.fd = s->child.stderr_fd, .events = POLLIN};
    p[AT_LISTEN] = (struct pollfd){.fd = s->clients.listen_fd, .events = POLLIN};
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++) {
        const struct sup_client *c = &s->clients.slot[i];
        p[AT_CLIENTS + i] = (struct pollfd){
            .fd = c->fd,
            .events = (short)((room && !c->closing ? POLLIN : 0) | (c->out.size ? POLLOUT : 0)),
        };
    }
    int64_t at = ended ? 0 : next_timer(s), wait = at ? at - sh_now_ms() : -1;
    if (at && wait < 0)
        wait = 0;
    wait = sh_rest_wait((int)wait);
    /* SIGTERM comes only here, so that none falls between a look at it and the sleep. */
    struct timespec limit = {.tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000};
    sigset_t none;
    sigemptyset(&none);
    int found = ppoll(p, AT_CLIENTS + SH_CONTROL_CLIENT_MAX, wait < 0 ? NULL : &limit, &none);
    if (found < 0)
        return;
    if (!found)
        sh_rest();
    for (size_t i = 0; i < SH_CONTROL_CLIENT_MAX; i++)
        if (s->clients.slot[i].fd >= 0 && p[AT_CLIENTS + i].revents & (POLLIN | POLLHUP | POLLERR))
            sup_commands_readable(&s->guest, &s->clients.slot[i]);
    if (p[AT_WORDS].revents)
        child_words_readable(s);
    if (!s->life.ended && p[AT_CHANNEL].revents & (POLLIN | POLLHUP | POLLERR))
        sup_guest_readable(&s->guest);
    if (!s->life.ended && p[AT_SERVICE].revents)
        service_readable(s);
    if (!s->life.ended && p[AT_CHILD].revents)
        child_gone(s);
    if (p[AT_LISTEN].revents)
        sup_clients_accept(&s->clients);
    if (!s->life.ended)
        run_timers(s);
}

static void serve_events(struct supervisor *s)
{
    bool finished = false;
    for (;;) {
        if (s->life.ended && !finished) {
            finish_instance(s);
            finished = true;
        }
        /* Guest, clients, guest: what the guest takes of a client's stdin is credit for that
         * client, and what a client takes is credit for the guest; nothing else might wake us to
         * grant it. */
        if (!finished)
            sup_guest_pump(&s->guest);
        size_t clients = 0;
        FOR_SUP_CLIENTS(c, &s->clients)
        {
            sup_client_pump(c);
            clients += c->fd >= 0;
        }
        if (finished && !clients)
            return;
        if (!finished)
            sup_guest_follow(&s->guest);
        if (terminate && !s->life.ended) {
            terminate = 0;
            sup_guest_stop(&s->guest, STOP_MS);
        }
        poll_once(s);
    }
}

static void on_other(int number)
{
}

/* None but KILL and our own faults ends us. */
static void take_signals(void)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGCHLD};
    /* Meant for the command that shares our command line, or for a terminal's; for none that we
     * start, either. */
    static const int ignored[] = {SIGHUP, SIGINT, SIGQUIT};
    for (int number = 1; number < NSIG; number++)
        signal(number, on_other);
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        signal(own[i], SIG_DFL);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
        signal(ignored[i], SIG_IGN);
    signal(SIGTERM, on_terminate);
}

/* --- start --- */

static void close_others(const int *keep, size_t keep_count)
{
    cleanup_closedir DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        uint64_t number;
        if (sh_parse_number(e->d_name, 3, INT_MAX, &number))
            continue;
        int fd = (int)number;
        bool kept = fd == dirfd(dir);
        for (size_t i = 0; i < keep_count; i++)
            kept |= fd == keep[i];
        if (!kept)
            close(fd);
    }
}

static int socket_pair(int *ours, int *theirs)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return -errno;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *ours = fds[0];
    *theirs = fds[1];
    return 0;
}

/* Executes it with its ends of the sockets. */
static int execute_child(struct supervisor *s, struct sh_error *err)
{
    const struct sh_launch_spec *spec = s->plan->spec;
    int keep[5 + SH_VOLUMES_MAX] = {spec->channel_fd, spec->service_fd, spec->network_fd,
                                    spec->output_fds[0], spec->output_fds[1]};
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        keep[5 + i] = i < spec->volume_disk_count ? spec->volume_disks[i].fd : -1;
    struct sh_child_walls walls = {.required = spec->require_confinement};
    struct sh_strings argv = {0};
    struct sh_error why = {0};
    bool confine = spec->backend->confine;
    int r = spec->backend->command(spec, &argv, err);
    if (!r && confine)
        r = spec->backend->confine(spec, &walls, err);
    if (!r) {
        s->program = sh_strdup(argv.v[0]);
        sh_cgroup_make(&s->cgroup, s->plan->instance->config.id, spec->memory + CGROUP_SPARE,
                       CGROUP_THREADS);
        r = sh_child_start(argv.v, keep, sizeof(keep) / sizeof(*keep), &s->cgroup,
                           confine ? &walls : NULL, &s->child, &why);
        if (!r)
            sh_cgroup_settle(&s->cgroup);
        if (r && s->child.exec_errno)
            end_by_death(s, SH_DEATH_UNBORN, s->child.exec_errno);
        else if (r)
            sh_fail(err, r, "%s", why.text);
    }
    sh_wall_view_free(&walls.view);
    sh_strings_free(&argv);
    return r;
}

static int start_network(struct supervisor *s, struct sh_error *err)
{
    struct sh_launch_spec *spec = s->plan->spec;
    int fd = -1;
    spec->network_fd = -1;
    if (!spec->network || !spec->backend->start_network)
        return 0;
    int r = socket_pair(&fd, &spec->network_fd);
    if (r)
        return sh_fail_errno(err, r, "cannot create a socket pair");
    r = spec->backend->start_network(spec, fd, &s->network, err);
    close(fd);
    return r;
}

static int start_child(struct supervisor *s, struct sh_error *err)
{
    struct sh_launch_spec *spec = s->plan->spec;
    spec->service_fd = -1;
    int r = socket_pair(&s->guest.fd, &spec->channel_fd);
    if (!r && spec->backend->serve)
        r = socket_pair(&s->service_fd, &spec->service_fd);
    if (r)
        return sh_fail_errno(err, r, "cannot create a socket pair");
    r = start_network(s, err);
    if (!r)
        r = sh_volumes_open(spec, err);
    if (!r)
        r = execute_child(s, err);
    sh_volumes_close(spec); /* the child's are left, and with them the locks */
    if (spec->network_fd >= 0)
        close(spec->network_fd);
    if (spec->tap_fd >= 0)
        close(spec->tap_fd);
    close(spec->channel_fd);
    if (spec->service_fd >= 0)
        close(spec->service_fd);
    return r;
}

/* It runs, for the instance. */
static int record_child(struct supervisor *s, struct sh_error *err)
{
    const struct sh_launch_spec *spec = s->plan->spec;
    const struct sh_instance_config *c = &s->plan->instance->config;
    s->relay = sh_relay_start(c->ports, c->port_count, spec->ports, spec->port_count);
    s->boot_by = sh_now_ms() + BOOT_LIMIT_MS;
    s->life.state.state = SH_STATE_STARTING;
    s->life.state.supervisor_pid = getpid();
    s->life.state.child_pid = s->guest.child = s->child.pid;
    /* The child loads the same files meanwhile, and asks about them much later. */
    int r = spec->backend->measure(s->plan->spec, &s->life.state.measurement, err);
    if (!r && (r = sh_instance_save_state(s->plan->instance->dir_fd, &s->life.state)))
        sh_fail_errno(err, r, "cannot write the instance's state");
    return r;
}

/* The calling process from now on; `keep`: what stays open beside what the plan names. */
static void become_supervisor(struct sh_launch_plan *plan, const int keep[2])
{
    struct supervisor *s = &self;
    *s = (struct supervisor){.plan = plan, .service_fd = -1, .life.instance = plan->instance};
    s->child.pid_fd = s->child.stderr_fd = -1;
    sup_clients_init(&s->clients);
    s->requests.clients = &s->clients;
    s->requests.debuggable = plan->spec->backend->debuggable;
    sup_guest_init(&s->guest, &s->life, &s->clients, &s->requests);

    const int all[] = {plan->lock_fd,
                       plan->image_fd,
                       plan->instance->dir_fd,
                       plan->store->dir_fd,
                       keep[0],
                       keep[1],
                       plan->spec->tap_fd,
                       plan->spec->output_fds[0],
                       plan->spec->output_fds[1]};
    close_others(all, sizeof(all) / sizeof(*all));
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null, fd);
    take_signals();
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    umask(077);
    (void)!chdir("/");
    prctl(PR_SET_NAME, "shelter-superv");
}

/* The whole life of the instance, whose folder is there now; its child may be, too. */
static int serve_instance(int first_fd, bool attach, bool input)
{
    struct supervisor *s = &self;
    struct sh_error err = {0};
    const struct sh_launch_plan *plan = s->plan;
    fcntl(first_fd, F_SETFL, O_NONBLOCK);
    sh_log_open(&s->life.log, plan->instance->dir_fd);
    struct sup_client *first = sup_clients_add(&s->clients, first_fd);
    first->first = true;
    first->waits = !attach;
    if (attach)
        sup_client_attach(first, 0, input);
    s->clients.listen_fd = sh_control_listen(plan->instance->dir_fd, &err);
    if (s->clients.listen_fd < 0 || (!s->child.pid && start_child(s, &err)) ||
        record_child(s, &err))
        sup_life_error(&s->life, err.status ? err.status : SH_EXIT_FAILURE, "%s", err.text);
    serve_events(s);
    sh_cgroup_remove(&s->cgroup); /* nobody waits any more */
    return s->life.state.exit_code;
}

int sh_supervisor_become(struct sh_launch_plan *plan, int first_fd, bool attach, bool input)
{
    const int keep[2] = {first_fd, -1};
    become_supervisor(plan, keep);
    return serve_instance(first_fd, attach, input);
}

/* --- a child that waits --- */

int sh_supervisor_hold(struct sh_launch_plan *plan, const int keep[2], struct sh_error *err)
{
    struct supervisor *s = &self;
    uint8_t held;
    become_supervisor(plan, keep);
    int r = start_child(s, err);
    if (r)
        return r;
    if (sh_supervisor_wait(s->guest.fd, keep[0]) == s->guest.fd && read(s->guest.fd, &held, 1) == 1)
        return 0;
    if (!s->child_ended)
        stop_child(s);
    return sh_fail(err, -ECHILD, "%s",
                   s->life.state.error[0] ? s->life.state.error : "the pool was ended");
}

int sh_supervisor_wait(int fd, int pool_fd)
{
    struct supervisor *s = &self;
    sigset_t none;
    sigemptyset(&none);
    while (!s->child_ended && !s->life.ended && !terminate) {
        struct pollfd p[] = {{.fd = fd, .events = POLLIN},
                             {.fd = pool_fd},
                             {.fd = s->child.pid_fd, .events = POLLIN},
                             {.fd = s->child.stderr_fd, .events = POLLIN}};
        if (ppoll(p, sizeof(p) / sizeof(*p), NULL, &none) < 0)
            continue;
        if (p[3].revents)
            child_words_readable(s);
        if (p[1].revents)
            return -1;
        if (p[0].revents)
            return fd;
        if (p[2].revents)
            child_gone(s);
    }
    return -1;
}

void sh_supervisor_drop(void)
{
    stop_child(&self);
    sh_cgroup_remove(&self.cgroup);
}

int sh_supervisor_release(int first_fd, bool attach, bool input)
{
    struct supervisor *s = &self;
    struct sh_buffer words = {0};
    s->plan->spec->backend->go(s->plan->spec, &words);
    /* A few hundred bytes, for a socket that nothing was written to: it takes them. */
    (void)sh_write_all(s->guest.fd, words.data, words.size);
    sh_buffer_free(&words);
    return serve_instance(first_fd, attach, input);
}

int sh_supervisor_start(struct sh_launch_plan *plan, bool attach, bool input, int *client_fd,
                        struct sh_error *err)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
        return sh_fail_errno(err, -errno, "cannot create a socket pair");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        /* A grandchild of the command, in a session of its own: no terminal's ^C reaches it. */
        if (setsid() < 0)
            _exit(1);
        pid = fork();
        if (pid == 0)
            (void)sh_supervisor_become(plan, fds[1], attach, input);
        _exit(pid < 0);
    }
    int code = errno, status = 0;
    close(fds[1]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid < 0 || status) {
        close(fds[0]);
        return sh_fail_errno(err, pid < 0 ? -code : -EAGAIN, "cannot start the supervisor");
    }
    close(plan->lock_fd);
    plan->lock_fd = -1;
    *client_fd = fds[0];
    return 0;
}
