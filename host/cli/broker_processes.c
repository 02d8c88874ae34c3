// SPDX-License-Identifier: Apache-2.0
// Several processes of a broker behind one address: the first one serves nothing, starts the
// others, and puts a new one in the place of one that dies.
#include "host/cli/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "verifier/broker/server.h"

#define AGAIN_MS 500 /* between two starts of one that died */

struct family {
    unsigned count;
    pid_t pid[SH_BROKER_PROCESSES_MAX]; /* 0: none */
    const char *address[SH_BROKER_ADDRESSES];
    int held[SH_BROKER_ADDRESSES];
    sh_broker_serve_fn serve;
    void *arg;
};

static void end_child(const struct family *f, pid_t parent, int ready)
{
    struct sh_error err = {0};
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) /* it was gone before we asked */
        _exit(1);
    _exit(f->serve(f->arg, f->address, f->held, ready, &err) ? sh_error_report(&err) : 0);
}

/* Starts one and waits until it serves. 0; what it ended with, as an error that it told itself. */
static int start_child(struct family *f, unsigned i, struct sh_error *err)
{
    pid_t parent = getpid();
    int ends[2];
    char byte;
    ssize_t n;
    if (pipe(ends))
        return sh_fail(err, -errno, "cannot start a process: %s", strerror(errno));
    f->pid[i] = fork();
    if (!f->pid[i]) {
        close(ends[0]);
        end_child(f, parent, ends[1]);
    }
    close(ends[1]);
    if (f->pid[i] < 0) {
        close(ends[0]);
        f->pid[i] = 0;
        return sh_fail(err, -errno, "cannot start a process: %s", strerror(errno));
    }
    do
        n = read(ends[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    return n == 1 ? 0 : sh_fail(err, -ECHILD, "a process of the broker did not start");
}

static void signal_all(const struct family *f, int sig)
{
    for (unsigned i = 0; i < f->count; i++)
        if (f->pid[i])
            kill(f->pid[i], sig);
}

static void end_all(struct family *f)
{
    signal_all(f, SIGTERM);
    for (unsigned i = 0; i < f->count; i++)
        if (f->pid[i])
            waitpid(f->pid[i], NULL, 0);
}

/* Those that died are started again. */
static void replace_dead(struct family *f)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (unsigned i = 0; i < f->count; i++)
            if (f->pid[i] == pid) {
                f->pid[i] = 0;
                fprintf(stderr,
                        "shelter: broker: process %d ended by %s %d; another takes its place\n",
                        (int)pid, WIFSIGNALED(status) ? "signal" : "status",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            }
    for (unsigned i = 0; i < f->count; i++) {
        struct sh_error err = {0};
        if (!f->pid[i] && start_child(f, i, &err)) {
            fprintf(stderr, "shelter: broker: %s; it is tried again\n", err.text);
            if (f->pid[i])
                waitpid(f->pid[i], NULL, 0);
            f->pid[i] = 0;
        }
    }
}

static bool is_complete(const struct family *f)
{
    for (unsigned i = 0; i < f->count; i++)
        if (!f->pid[i])
            return false;
    return true;
}

/* Until it is told to stop. */
static void keep_serving(struct family *f, const sigset_t *set)
{
    const struct timespec again = {.tv_nsec = AGAIN_MS * 1000000L};
    for (;;) {
        int sig = is_complete(f) ? sigwaitinfo(set, NULL) : sigtimedwait(set, NULL, &again);
        if (sig == SIGTERM || sig == SIGINT)
            return;
        if (sig == SIGHUP)
            signal_all(f, SIGHUP);
        else if (sig == SIGCHLD || (sig < 0 && errno == EAGAIN))
            replace_dead(f);
    }
}

/* Holds the addresses that there are, so that all serve there. 0 or -errno. */
static int hold_addresses(struct family *f, const char *const listen[SH_BROKER_ADDRESSES],
                          char address[SH_BROKER_ADDRESSES][80], struct sh_error *err)
{
    char why[300] = "";
    for (int i = 0; i < SH_BROKER_ADDRESSES; i++) {
        if (!listen[i])
            continue;
        f->held[i] = sb_server_hold_address(listen[i], address[i], why, sizeof(why));
        if (f->held[i] < 0)
            return sh_fail(err, f->held[i], "%s", why);
        /* A process that comes second to a connection waits for the next, not in accept. */
        fcntl(f->held[i], F_SETFL, fcntl(f->held[i], F_GETFL) | O_NONBLOCK);
        f->address[i] = address[i];
    }
    return 0;
}

int sh_broker_processes(unsigned count, const char *const listen[SH_BROKER_ADDRESSES],
                        sh_broker_serve_fn serve, sh_broker_announce_fn announce, void *arg,
                        struct sh_error *err)
{
    char address[SH_BROKER_ADDRESSES][80];
    struct family f = {.count = count, .serve = serve, .arg = arg};
    sigset_t set;
    int r = hold_addresses(&f, listen, address, err);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (unsigned i = 0; !r && i < count;
         i++) /* one after the other: the first makes the certificate */
        r = start_child(&f, i, err);
    if (!r)
        r = announce(arg, f.address, err);
    if (!r)
        keep_serving(&f, &set);
    end_all(&f);
    for (int i = 0; i < SH_BROKER_ADDRESSES; i++)
        if (f.held[i] > 0)
            close(f.held[i]);
    return r;
}
