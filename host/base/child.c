// SPDX-License-Identifier: Apache-2.0
// Starts a program as a child that cannot outlive its supervisor.
#include "host/base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* What the child tells between fork and exec; then the pipe is closed by the latter. */
struct report {
    int code;         /* errno of exec, or 0 */
    unsigned missing; /* walls */
};

/* Is nobody left to read? Then our parent went before we asked to go with it. */
static bool is_orphan(int report)
{
    struct pollfd p = {.fd = report};
    return poll(&p, 1, 0) < 0 || p.revents & POLLERR;
}

static void note_wall(struct report *report, enum sh_wall wall, int r)
{
    report->missing |= (unsigned)(r < 0) << wall;
}

static void raise_walls(const struct sh_child_walls *w, struct report *report)
{
    note_wall(report, SH_WALL_NETWORK, sh_wall_network());
    note_wall(report, SH_WALL_FILES, sh_wall_files_view(&w->view, w->uid));
    note_wall(report, SH_WALL_USER, sh_wall_user(w->uid, w->gid, false));
    note_wall(report, SH_WALL_LANDLOCK, sh_wall_landlock_view(&w->view, 0));
    note_wall(report, SH_WALL_SECCOMP, sh_wall_seccomp_foreign());
}

static int take_streams(int error_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null < 0 || dup2(null, 0) || dup2(null, 1) != 1 || dup2(error_fd, 2) != 2 ? -errno : 0;
}

/* Between fork and exec; reports through `report_fd`. */
static __attribute__((noreturn)) void become_program(char *const *argv, const int *keep,
                                                     size_t keep_count,
                                                     const struct sh_child_walls *walls,
                                                     unsigned missing, int error_fd, int report_fd)
{
    static char *const no_environment[] = {NULL};
    struct report report = {.missing = missing};
    struct rlimit files, none = {0};
    sigset_t set;
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGPIPE, SIG_DFL);
    /* A connection of a published port is a descriptor there. */
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < keep_count; i++) {
        if (keep[i] >= 0)
            fcntl(keep[i], F_SETFD, 0);
    }
    if (take_streams(error_fd)) {
        report.code = errno;
    } else {
        if (walls) {
            setsid(); /* kill(0, ...) would reach our parent's group out of a PID namespace */
            raise_walls(walls, &report);
        }
        /* The kernel kills us with our parent; a change of user would have taken that back. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) || is_orphan(report_fd))
            _exit(1);
        if (walls && walls->required && report.missing)
            report.code = EPERM;
    }
    if (!report.code) {
        (void)!write(report_fd, &report, sizeof(report));
        execve(argv[0], argv, no_environment);
        report.code = errno;
    }
    (void)!write(report_fd, &report, sizeof(report));
    _exit(127);
}

/* 0 once it runs; else what kept it from that. */
static int read_report(int fd, struct report *report)
{
    struct report next;
    int r = sh_read_all(fd, report, sizeof(*report));
    if (r)
        return r == -ENODATA ? -ECHILD : r; /* it died */
    if (!report->code && !sh_read_all(fd, &next, sizeof(next)))
        *report = next;
    return -report->code;
}

static int explain_failure(const char *program, const struct sh_child_walls *walls,
                           const struct report *report, int r, struct sh_child *child,
                           struct sh_error *err)
{
    char text[256];
    if (walls && walls->required && report->missing) {
        sh_wall_names(report->missing, text, sizeof(text));
        return sh_fail(err, -EPERM,
                       "this host cannot confine %s by %s, and --require-confinement asks for it; "
                       "'shelter doctor' shows why",
                       program, text);
    }
    child->exec_errno = report->code;
    return sh_fail_errno(err, r, "cannot run %s", program);
}

int sh_child_start(char *const *argv, const int *keep, size_t keep_count,
                   const struct sh_cgroup *cgroup, struct sh_child_walls *walls,
                   struct sh_child *child, struct sh_error *err)
{
    const char *program = argv[0];
    int fds[2] = {-1, -1}, output[2] = {-1, -1};
    struct report report = {0};
    unsigned missing = 0;
    *child = (struct sh_child){.pid_fd = -1, .stderr_fd = -1};
    if (pipe2(fds, O_CLOEXEC))
        return sh_fail_errno(err, -errno, "cannot create a pipe");
    if (pipe2(output, O_CLOEXEC)) {
        int code = -errno;
        close(fds[0]);
        close(fds[1]);
        return sh_fail_errno(err, code, "cannot create a pipe");
    }
    pid_t pid = walls ? sh_wall_fork(cgroup, &missing) : sh_cgroup_fork(cgroup, 0);
    if (pid == 0) {
        close(fds[0]);
        become_program(argv, keep, keep_count, walls, missing, output[1], fds[1]);
    }
    int fork_errno = errno;
    close(fds[1]);
    close(output[1]);
    cleanup_close int report_fd = fds[0];
    cleanup_close int output_fd = output[0];
    if (pid < 0)
        return sh_fail_errno(err, -fork_errno, "cannot start a process for %s", program);
    int r = read_report(report_fd, &report);
    if (walls)
        walls->missing = report.missing;
    if (r) {
        waitpid(pid, NULL, 0);
        return explain_failure(program, walls, &report, r, child, err);
    }
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pid_fd < 0) {
        r = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return sh_fail_errno(err, r, "cannot watch %s (Linux 5.3 or newer is needed)", program);
    }
    fcntl(pid_fd, F_SETFD, FD_CLOEXEC);
    fcntl(output_fd, F_SETFL, O_NONBLOCK);
    *child = (struct sh_child){pid, pid_fd, sh_take_fd(&output_fd), 0};
    return 0;
}

/* State and parent of a process. */
static bool read_stat(const char *pid, char *state, int *parent)
{
    char path[300], text[512];
    snprintf(path, sizeof(path), "/proc/%s/stat", pid);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    const char *behind = strrchr(text, ')'); /* its name may hold anything */
    return behind && sscanf(behind, ") %c %d", state, parent) == 2;
}

pid_t sh_child_stopped(pid_t pid)
{
    char name[16], state;
    int parent;
    snprintf(name, sizeof(name), "%d", (int)pid);
    if (read_stat(name, &state, &parent) && state == 'T')
        return pid;
    cleanup_closedir DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        uint64_t number;
        if (sh_parse_number(e->d_name, 2, INT_MAX, &number) ||
            !read_stat(e->d_name, &state, &parent) || parent != pid)
            continue;
        pid_t found = sh_child_stopped((pid_t)number);
        if (found)
            return found;
    }
    return 0;
}
