// SPDX-License-Identifier: Apache-2.0
// Starts a program as a child that cannot outlive its supervisor.
#include "host/run/child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Between fork and exec; reports an errno through `report`. */
static __attribute__((noreturn)) void become_program(char *const *argv, const char *program,
                                                     const int *keep, size_t keep_count,
                                                     int error_fd, int report, pid_t parent)
{
    /* The kernel kills us with our parent; unless it was gone before we asked. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
        _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    /* A connection of a published port is a descriptor there. */
    struct rlimit files;
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(error_fd, 2) == 2) {
        for (size_t i = 0; i < keep_count; i++)
            if (keep[i] >= 0)
                fcntl(keep[i], F_SETFD, 0);
        execvp(program, argv);
    }
    int code = errno;
    (void)!write(report, &code, sizeof(code));
    _exit(127);
}

int sh_child_start(char *const *argv, const int *keep, size_t keep_count, struct sh_child *child,
                   struct sh_error *err)
{
    const char *program = argv[0];
    int report[2] = {-1, -1}, output[2] = {-1, -1};
    *child = (struct sh_child){.pid_fd = -1, .stderr_fd = -1};
    if (pipe2(report, O_CLOEXEC))
        return sh_fail_errno(err, -errno, "cannot make a pipe");
    if (pipe2(output, O_CLOEXEC)) {
        int code = -errno;
        close(report[0]);
        close(report[1]);
        return sh_fail_errno(err, code, "cannot make a pipe");
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        become_program(argv, program, keep, keep_count, output[1], report[1], parent);
    int fork_errno = errno;
    close(report[1]);
    close(output[1]);
    cleanup_close int report_fd = report[0];
    cleanup_close int output_fd = output[0];
    if (pid < 0)
        return sh_fail_errno(err, -fork_errno, "cannot start a process for %s", program);
    int code = 0;
    if (!sh_read_all(report_fd, &code, sizeof(code))) {
        waitpid(pid, NULL, 0);
        child->exec_errno = code;
        return sh_fail_errno(err, -code, "cannot run %s", program);
    }
    int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pid_fd < 0) {
        code = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return sh_fail_errno(err, code, "cannot watch %s (Linux 5.3 or newer is needed)", program);
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
