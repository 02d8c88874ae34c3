// SPDX-License-Identifier: Apache-2.0
// Two processes: one runs the enclave and will be behind walls; the other stays outside as its
// helper. It looks up names and gets quotes, which need files, sockets and keys of the host, and
// answers nothing else.
//
// With a PID namespace the helper is the parent, whom the supervisor knows: it ends as its child
// ends. A debugger wants to find the enclave in the process it knows of; then
// they change places.
#include <errno.h>
#include <libgen.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "host/attest/aesm.h"
#include "host/attest/sim_tee.h"
#include "host/base/util.h"
#include "host/base/walls.h"
#include "host/sgx/outside/outside.h"
#include "host/sgx/sim/sgxsim.h"

#define ASK_MAX 512u /* bytes of a question */
#define ADDRESSES_MAX 16u

_Static_assert(SH_QUOTE_MAX == SH_QUOTE_SIZE_MAX, "what is made fits what is asked for");

struct question {
    uint32_t kind; /* enum outside_help */
    uint8_t data[ASK_MAX];
};

struct answer {
    int64_t result; /* bytes in data, or -errno */
    uint8_t data[SH_QUOTE_MAX];
};

static const struct outside_options *options;
static struct outside_process helper = {.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER};

/* --- the helper --- */

/* The enclave gets a number only; the sentence is for whoever runs the machine. Once: an image may
 * ask as often as it likes. */
static int64_t say_why(int r, const struct sh_error *err)
{
    static bool said;
    if (r < 0 && !said && err->text[0])
        sh_error_report(err);
    said = said || r < 0;
    return r;
}

static int64_t find_target(void *out)
{
    struct sgx_targetinfo target;
    struct sh_error err = {0};
    int r = 0;
    if (options->simulated)
        sh_sim_qe_target(&target);
    else
        r = sh_aesm_target(options->aesm, &target, &err);
    memcpy(out, &target, sizeof(target));
    return r ? say_why(r, &err) : (int64_t)sizeof(target);
}

static int64_t make_quote(const void *data, size_t size, void *out)
{
    struct sgx_report report;
    struct sh_error err = {0};
    int r = -ENODEV;
    if (size != sizeof(report))
        return -EINVAL;
    memcpy(&report, data, sizeof(report));
    if (!options->simulated)
        r = sh_aesm_quote(options->aesm, &report, out, &err);
    else if (options->sim_tee)
        r = sh_sim_qe_quote_sgx(options->sim_tee, &report, out, &err);
    return say_why(r, &err);
}

/* `data` has a NUL behind it. */
static int64_t resolve_name(const char *name, struct sh_address *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    unsigned count = 0;
    if (getaddrinfo(name, NULL, &hints, &list))
        return -ENOENT;
    for (const struct addrinfo *i = list; i && count < ADDRESSES_MAX; i = i->ai_next) {
        struct sh_address a = {.family = (uint16_t)i->ai_family};
        if (i->ai_family == AF_INET)
            memcpy(a.bytes, &((struct sockaddr_in *)i->ai_addr)->sin_addr, 4);
        else if (i->ai_family == AF_INET6)
            memcpy(a.bytes, &((struct sockaddr_in6 *)i->ai_addr)->sin6_addr, 16);
        else
            continue;
        memcpy(&out[count++], &a, sizeof(a));
    }
    freeaddrinfo(list);
    return count ? (int64_t)(count * sizeof(struct sh_address)) : -ENOENT;
}

/* One question. False: nobody will ask any more. */
static bool serve_one(int fd)
{
    static struct answer a;
    struct question q = {0};
    ssize_t n = recv(fd, &q, sizeof(q) - 1, 0);
    if (n <= 0)
        return n < 0 && errno == EINTR;
    size_t size = (size_t)n < sizeof(q.kind) ? 0 : (size_t)n - sizeof(q.kind);
    a.result = q.kind == OUTSIDE_TARGET    ? find_target(a.data)
               : q.kind == OUTSIDE_QUOTE   ? make_quote(q.data, size, a.data)
               : q.kind == OUTSIDE_RESOLVE ? resolve_name((char *)q.data, (void *)a.data)
                                           : -EINVAL;
    n = send(fd, &a, sizeof(a.result) + (a.result > 0 ? (size_t)a.result : 0), MSG_NOSIGNAL);
    return n > 0;
}

/* It looks up names and makes quotes: it reads the system's files and the simulated TEE's keys
 * (also of a store that is not root's), and writes none. Its end is a signal to the
 * child (outside_helper_follow), which needs the right to send one. */
static void confine_helper(void)
{
    struct sh_wall_view view = {0};
    cleanup_free char *resolv = realpath("/etc/resolv.conf", NULL); /* often a link into /run */
    sh_wall_view_add_system(&view);
    sh_wall_view_add(&view, "/etc", SH_WALL_READ);
    if (resolv)
        sh_wall_view_add(&view, dirname(resolv), SH_WALL_READ);
    if (options->sim_tee)
        sh_wall_view_add(&view, options->sim_tee, SH_WALL_READ);
    prctl(PR_SET_DUMPABLE, 0);
    (void)sh_wall_capabilities(1u << CAP_KILL | 1u << CAP_DAC_READ_SEARCH);
    (void)sh_wall_landlock_view(&view, SH_LANDLOCK_NETWORK | SH_LANDLOCK_SIGNALS);
    (void)sh_wall_seccomp_foreign();
    sh_wall_view_free(&view);
}

/* As the child ended, so that whoever started us sees what there is to see. */
static _Noreturn void end_as(int status)
{
    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    struct sigaction act = {.sa_handler = SIG_DFL};
    struct rlimit none = {0};
    sigset_t set;
    setrlimit(RLIMIT_CORE, &none);
    sigaction(WTERMSIG(status), &act, NULL);
    sigemptyset(&set);
    sigaddset(&set, WTERMSIG(status));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(WTERMSIG(status));
    _exit(128 + WTERMSIG(status));
}

/* The child ends, and with it its end of the socket. What is meant for the workload comes by the
 * channel, not by signals to everybody around. */
static _Noreturn void serve_parent(int fd, pid_t child)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    int status;
    for (size_t i = 0; options->has_channel && i < sizeof(list) / sizeof(list[0]); i++)
        signal(list[i], SIG_IGN);
    while (serve_one(fd))
        ;
    while (waitpid(child, &status, 0) != child)
        ;
    end_as(status);
}

/* --- the two --- */

int outside_helper_start(const struct outside_options *o, bool parent_helps, struct sh_error *err)
{
    int fd;
    options = o;
    if (options->simulated)
        (void)sgxsim_power_on(options->fuse_key); /* what fails is said when the enclave is built */
    pid_t pid = outside_fork(&fd, err);
    if (pid < 0)
        return pid;
    if (parent_helps == (pid > 0)) {
        outside_begin("shelter-helper", fd);
        confine_helper();
        if (pid > 0)
            serve_parent(fd, pid);
        while (serve_one(fd))
            ;
        _exit(0);
    }
    helper.fd = fd;
    return 0;
}

int outside_helper_follow(void)
{
    char byte;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
        return -errno;
    return recv(helper.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 ? -ECHILD : 0;
}

int64_t outside_help(enum outside_help kind, const void *data, size_t size, void *out,
                     size_t out_size)
{
    uint32_t head = kind;
    const struct iovec question[] = {{&head, sizeof(head)}, {(void *)data, size}};
    return outside_ask(&helper, question, out, out_size, NULL);
}
