// SPDX-License-Identifier: Apache-2.0
// Children that run what the image brings: their PID namespace, and what they lose before they do.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

/* What docker leaves a container's root, without making device nodes. */
#define KEEP(cap) (1ull << (cap))
#define KEPT_CAPABILITIES                                                                          \
    (KEEP(CAP_CHOWN) | KEEP(CAP_DAC_OVERRIDE) | KEEP(CAP_FSETID) | KEEP(CAP_FOWNER) |              \
     KEEP(CAP_NET_RAW) | KEEP(CAP_SETGID) | KEEP(CAP_SETUID) | KEEP(CAP_SETFCAP) |                 \
     KEEP(CAP_SETPCAP) | KEEP(CAP_NET_BIND_SERVICE) | KEEP(CAP_SYS_CHROOT) | KEEP(CAP_KILL) |      \
     KEEP(CAP_AUDIT_WRITE))

void guest_child_reset(const char *oom_score_adj)
{
    sigset_t none;
    for (int i = 1; i < 65; i++)
        if (i != SIGKILL && i != SIGSTOP)
            signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, oom_score_adj, strlen(oom_score_adj)) < 0)
        _exit(GUEST_EXIT_OWN);
    close(fd);
    umask(022);
}

/* The bounding set is for what is exec'd; a child that is not needs this. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};
    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted = (uint32_t)(KEPT_CAPABILITIES >> 32 * i);
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (!(KEPT_CAPABILITIES >> cap & 1) && prctl(PR_CAPBSET_DROP, cap))
            return -errno;
    return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* Each at its place, open across exec. High numbers first: the places may be in use by what is to
 * be placed. */
static int place_descriptors(struct guest_handed *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        h[i].fd = h[i].fd < 0 ? -1 : fcntl(h[i].fd, F_DUPFD_CLOEXEC, 32);
    for (size_t i = 0; i < count; i++) {
        close(h[i].at);
        if (h[i].fd >= 0 && dup2(h[i].fd, h[i].at) < 0)
            return -errno;
    }
    return 0;
}

void guest_child_service(const char *path, struct guest_handed *h, size_t count, unsigned id,
                         char **argv, char **env)
{
    int first = open(path, O_PATH | O_CLOEXEC), program = fcntl(first, F_DUPFD_CLOEXEC, 64);
    setsid();
    if (program < 0 || place_descriptors(h, count) || chroot("/empty") || chdir("/") ||
        setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return;
    syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
}

int guest_child_enter(int root, const struct sh_user *user)
{
    if (fchdir(root) || chroot(".") || chdir("/"))
        return -errno;
    int rc = drop_capabilities();
    if (rc)
        return rc;
    if (setgroups(user->group_count, user->groups) || setresgid(user->gid, user->gid, user->gid) ||
        setresuid(user->uid, user->uid, user->uid))
        return -errno;
    return 0;
}

/* PID 1 itself stays in its own namespace, where nobody of the image sees it. */
pid_t guest_fork_inside(int *pid_ns)
{
    GUEST_AUTOCLOSE int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    if (own < 0 || (*pid_ns < 0 ? unshare(CLONE_NEWPID) : setns(*pid_ns, CLONE_NEWPID)))
        return -1;
    pid_t pid = fork();
    if (pid == 0)
        return 0;
    int code = errno;
    if (pid > 0 && *pid_ns < 0)
        *pid_ns = open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC);
    if (setns(own, CLONE_NEWPID) || (pid > 0 && *pid_ns < 0)) {
        code = errno;
        if (pid > 0)
            kill(pid, SIGKILL);
        pid = -1;
    }
    errno = code;
    return pid;
}
