// SPDX-License-Identifier: Apache-2.0
// The attestation agent inside: ours, started by the first connection to its port, or the image's.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PORT 8006
#define AGENT_ID 65533 /* user and group that own nothing */
#define LISTEN_FD 3
#define TSM_FD 4
#define TSM_ENTRY "/sys/kernel/config/tsm/report/agent"
#define AGAIN_MS 1000 /* an agent that ended is not started again sooner */

static int listen_local(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 16)) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

/* The image's own API server: in the workload's root, as root there, with the image's environment
 * (nothing of the host's) and SHELTER_TEE. It binds 127.0.0.1:8006 itself. */
static int start_replacement(struct guest *g, struct sh_view path, struct guest_error *e)
{
    char file[4096], tee[48], *argv[] = {file, NULL};
    struct guest_user root = {.home = "/"};
    struct guest_strings env = {0};
    struct sh_view v;
    int rc;
    if (path.size >= sizeof(file))
        return guest_fail(e, -ENAMETOOLONG, "the agent's path is too long");
    memcpy(file, path.data, path.size);
    file[path.size] = 0;
    snprintf(tee, sizeof(tee), "SHELTER_TEE=%s", g->cmdline.tee);
    rc = guest_strings_add(&env, tee, strlen(tee));
    for (size_t i = 0; !rc && (v = sh_manifest_get(&g->config.manifest, SH_TAG_ENV, i)).data; i++)
        rc = guest_env_set(&env, (const char *)v.data, v.size);
    if (!rc)
        rc = guest_mount_configfs(g->root, g->cmdline.tee);
    pid_t pid = rc ? -1 : fork();
    if (pid == 0) {
        guest_child_reset("0");
        setsid();
        rc = guest_child_enter(g->root, &root);
        if (!rc)
            execve(file, argv, env.items);
        _exit(127);
    }
    if (!rc && pid < 0)
        rc = -errno;
    guest_strings_free(&env);
    g->agent = pid;
    return rc ? guest_fail(e, rc, "cannot start the image's agent: %s", strerror(-rc)) : 0;
}

int guest_agent_prepare(struct guest *g, struct guest_error *e)
{
    struct sh_view path = sh_manifest_get(&g->config.manifest, SH_TAG_AGENT, 0);
    if (path.data)
        return start_replacement(g, path, e);
    g->agent_listen = listen_local();
    return g->agent_listen < 0 ? guest_fail(e, g->agent_listen, "cannot listen for the agent: %s",
                                            strerror(-g->agent_listen))
                               : 0;
}

/* A report entry of configfs-tsm that the agent's user may use; -1 where the TEE has none. */
static int open_tsm(const char *tee)
{
    static const char *const files[] = {"inblob", "outblob", "generation", "provider"};
    if (guest_mount_configfs(-1, tee))
        return -1;
    if (mkdir(TSM_ENTRY, 0755) && errno != EEXIST)
        return -1;
    int dir = open(TSM_ENTRY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; dir >= 0 && i < sizeof(files) / sizeof(files[0]); i++)
        if (fchownat(dir, files[i], AGENT_ID, AGENT_ID, AT_SYMLINK_NOFOLLOW)) {
            close(dir);
            return -1;
        }
    return dir;
}

/* Puts a descriptor at a fixed place, open across exec. */
static int place(int fd, int at)
{
    int rc = fd == at ? fcntl(fd, F_SETFD, 0) : dup2(fd, at);
    return rc < 0 ? -1 : 0;
}

/* /agent in an empty directory, as nobody's user, with the listening socket as descriptor 3. */
static void run_agent(struct guest *g)
{
    char tee[48], *argv[] = {"agent", NULL};
    char *env[] = {tee, "LISTEN_FDS=1", "SHELTER_TSM_FD=4", NULL};
    snprintf(tee, sizeof(tee), "SHELTER_TEE=%s", g->cmdline.tee);
    guest_child_reset("-1000");
    setsid();
    /* High numbers first: 3 and 4 may be in use by what is to be placed. */
    int program = fcntl(open("/agent", O_PATH | O_CLOEXEC), F_DUPFD_CLOEXEC, 16);
    int tsm = fcntl(open_tsm(g->cmdline.tee), F_DUPFD_CLOEXEC, 16);
    int socket_fd = fcntl(g->agent_listen, F_DUPFD_CLOEXEC, 16);
    close(TSM_FD);
    if (program < 0 || socket_fd < 0 || place(socket_fd, LISTEN_FD) ||
        (tsm >= 0 && place(tsm, TSM_FD)))
        return;
    if (chroot("/empty") || chdir("/") || setgroups(0, NULL) ||
        setresgid(AGENT_ID, AGENT_ID, AGENT_ID) || setresuid(AGENT_ID, AGENT_ID, AGENT_ID) ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return;
    syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
}

void guest_agent_start(struct guest *g)
{
    g->agent_next = guest_now_ms() + AGAIN_MS;
    g->agent = fork();
    if (g->agent == 0) {
        run_agent(g);
        _exit(GUEST_EXIT_OWN);
    }
}
