// SPDX-License-Identifier: Apache-2.0
// Starts a program in the workload's root, as its user, on pipes or a terminal.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#define TTY_GROUP 5 /* as devpts is mounted */

static int set_limits(const struct sh_settings *s)
{
    for (int i = 0; i < (int)SH_SETTINGS_LIMITS; i++) {
        struct rlimit limit = {s->limits[i].soft, s->limits[i].hard};
        if (setrlimit(i, &limit))
            return -errno;
    }
    return 0;
}

/* --- in the child, from here on --- */

static void give_up(int status_fd, int status, const char *what, const char *name, int code)
{
    struct guest_error e;
    guest_fail(&e, code, "%s '%.150s': %s", what, name, strerror(-code));
    e.status = status;
    _exit(write(status_fd, &e, sizeof(e)) == sizeof(e) ? status : GUEST_EXIT_OWN);
}

struct ends {
    int child[3], ours[3]; /* stdin, stdout, stderr */
    int slave;
    int gate[2]; /* the workload waits here until the image's API server is started */
};

static void run_child(struct guest *g, const struct guest_session *s, const struct guest_run *run,
                      const struct ends *ends, int status_fd)
{
    guest_child_reset("0");
    setsid();
    int rc = s->id ? 0 : guest_mount_proc(g->root); /* a container has its own */
    if (rc)
        give_up(status_fd, GUEST_EXIT_OWN, "cannot mount", "/proc", rc);
    char byte = 0;
    if (ends->gate[1] >= 0 &&
        (write(ends->gate[1], &byte, 1) != 1 || read(ends->gate[1], &byte, 1)))
        give_up(status_fd, GUEST_EXIT_OWN, "cannot wait for", "the image's agent", -errno);
    for (int i = 0; i < 3; i++) {
        struct stat st;
        if (dup2(ends->child[i], i) < 0)
            give_up(status_fd, GUEST_EXIT_OWN, "cannot set up", "stdio", -errno);
        /* So that /dev/stdout can be opened by name, whoever the user is. */
        if (!fstat(i, &st) && (S_ISFIFO(st.st_mode) || run->tty) &&
            fchown(i, run->user->uid, run->tty ? TTY_GROUP : run->user->gid))
            give_up(status_fd, GUEST_EXIT_OWN, "cannot own", "stdio", -errno);
    }
    if (run->tty && ioctl(0, TIOCSCTTY, 0))
        give_up(status_fd, GUEST_EXIT_OWN, "cannot take", "the terminal", -errno);
    bool copy = run->kind == SH_EXEC_COPY_OUT || run->kind == SH_EXEC_COPY_IN;
    char *way = run->kind == SH_EXEC_COPY_OUT ? "out" : "in", *none = NULL;
    char *copy_argv[] = {"copy", way, run->argv[0], NULL};
    struct sh_user root = {.group_count = 1};
    const char *name = copy ? "/copy" : run->starter ? "/container" : "/start";
    int first = open(name, O_PATH | O_CLOEXEC), program = fcntl(first, F_DUPFD_CLOEXEC, 64);
    /* cp has no more to tell; the others close it when the program runs. */
    if (!copy && (dup2(status_fd, START_STATUS_FD) < 0 || fcntl(START_STATUS_FD, F_SETFD, 0)))
        give_up(status_fd, GUEST_EXIT_OWN, "cannot tell of", name, -errno);
    rc = set_limits(&g->config.settings); /* of descriptors, too */
    if (rc)
        give_up(status_fd, GUEST_EXIT_OWN, "cannot set", "the image's limits", rc);
    rc = run->starter ? 0 : guest_child_enter(g->root, copy ? &root : run->user);
    if (rc)
        give_up(status_fd, GUEST_EXIT_OWN, "cannot become", "the user", rc);
    if (!copy && !run->starter && chdir(run->workdir))
        give_up(status_fd, 126, "cannot go to directory", run->workdir, -errno);
    syscall(SYS_execveat, program, "", copy ? copy_argv : run->argv, copy ? &none : run->env,
            AT_EMPTY_PATH);
    give_up(status_fd, GUEST_EXIT_OWN, "cannot run", name, -errno);
}

/* --- in PID 1 --- */

static int open_pipes(const struct guest_run *run, struct ends *ends)
{
    for (int i = 0; i < 3; i++) {
        int p[2];
        if (i == 0 ? !run->input : !run->output) {
            ends->child[i] = open("/dev/null", i ? O_WRONLY | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
            if (ends->child[i] < 0)
                return -errno;
            continue;
        }
        if (pipe2(p, O_CLOEXEC))
            return -errno;
        ends->child[i] = i ? p[1] : p[0];
        ends->ours[i] = i ? p[0] : p[1];
        if (fcntl(ends->ours[i], F_SETFL, O_NONBLOCK))
            return -errno;
    }
    return 0;
}

static int open_terminal(struct guest *g, const struct guest_run *run, struct ends *ends)
{
    int unlock = 0;
    struct winsize size = {.ws_row = run->rows, .ws_col = run->columns};
    int master = guest_open_in(g->root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0)
        return master;
    ends->ours[1] = master;
    if (ioctl(master, TIOCSPTLCK, &unlock))
        return -errno;
    ends->slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (ends->slave < 0)
        return -errno;
    if (size.ws_row && size.ws_col)
        ioctl(master, TIOCSWINSZ, &size);
    for (int i = 0; i < 3; i++)
        ends->child[i] = ends->slave;
    if (run->input && (ends->ours[0] = fcntl(master, F_DUPFD_CLOEXEC, 0)) < 0)
        return -errno;
    return 0;
}

/* /dev/console is the workload's own terminal, as in a container. */
static void bind_console(struct guest *g, int slave)
{
    char from[32], to[32];
    GUEST_AUTOCLOSE int dev = guest_open_in(g->root, "/dev", O_PATH | O_DIRECTORY);
    GUEST_AUTOCLOSE int fd =
        dev < 0 ? -1 : openat(dev, "console", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    snprintf(from, sizeof(from), "/proc/self/fd/%d", slave);
    snprintf(to, sizeof(to), "/proc/self/fd/%d", fd);
    mount(from, to, NULL, MS_BIND, NULL);
}

/* The workload's namespace and /proc stand: the image's API server starts before the workload. */
static int start_beside(struct guest *g, struct ends *ends, struct guest_error *e)
{
    char byte;
    guest_close(&ends->gate[1]);
    bool there = read(ends->gate[0], &byte, 1) == 1; /* else the child tells why by itself */
    int rc = there ? guest_agent_replace(g, e) : 0;
    shutdown(ends->gate[0], SHUT_WR);
    guest_close(&ends->gate[0]);
    return rc;
}

int guest_spawn(struct guest *g, struct guest_session *s, const struct guest_run *run,
                struct guest_error *e)
{
    struct ends ends = {{-1, -1, -1}, {-1, -1, -1}, -1, {-1, -1}};
    int status[2] = {-1, -1};
    bool beside = !s->id && *g->config.settings.agent;
    int rc = run->tty ? open_terminal(g, run, &ends) : open_pipes(run, &ends);
    if (!rc && beside && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.gate))
        rc = -errno;
    if (!rc && pipe2(status, O_CLOEXEC | O_NONBLOCK))
        rc = -errno;
    if (!rc && run->tty && s->id == 0)
        bind_console(g, ends.slave);
    if (!rc && ends.ours[0] >= 0)
        rc = guest_in_open(&s->in);
    pid_t pid = rc ? -1 : guest_fork_inside(run->pid_ns);
    if (pid == 0)
        run_child(g, s, run, &ends, status[1]);
    if (!rc && pid < 0)
        rc = -errno;
    for (int i = 0; i < 3; i++)
        if (!run->tty)
            guest_close(&ends.child[i]);
    guest_close(&ends.slave);
    guest_close(&status[1]);
    if (rc) {
        for (int i = 0; i < 3; i++)
            guest_close(&ends.ours[i]);
        guest_close(&status[0]);
        return guest_fail(e, rc, "cannot start a process: %s", strerror(-rc));
    }
    rc = beside ? start_beside(g, &ends, e) : 0;
    if (rc)
        return rc; /* and power-off */
    s->pid = pid;
    s->tty = run->tty;
    s->state = GUEST_STARTING;
    s->status_fd = status[0];
    s->in.fd = ends.ours[0];
    s->out[0].fd = ends.ours[1];
    s->out[1].fd = ends.ours[2];
    g->alone = false;
    return 0;
}
