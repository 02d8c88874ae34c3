// SPDX-License-Identifier: Apache-2.0
// The attestation agent inside: ours, started by the first connection to its port, or the image's.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 8006
#define AGENT_ID 65533 /* user and group that own nothing */
#define LISTEN_FD 3

static int listen_local(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(PORT),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
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
 * (not the host's). It binds 127.0.0.1:8006 itself. */
static int start_replacement(struct guest *g, struct sh_view path, struct guest_error *e)
{
    char file[4096], *argv[] = {file, NULL};
    struct guest_user root = {.home = "/"};
    struct guest_strings env = {0};
    struct sh_view v;
    int rc = 0;
    if (path.size >= sizeof(file))
        return guest_fail(e, -ENAMETOOLONG, "the agent's path is too long");
    memcpy(file, path.data, path.size);
    file[path.size] = 0;
    for (size_t i = 0; !rc && (v = sh_manifest_get(&g->config.manifest, SH_TAG_ENV, i)).data; i++)
        rc = guest_env_set(&env, (const char *)v.data, v.size);
    pid_t pid = rc ? -1 : fork();
    if (pid == 0) {
        guest_child_reset();
        setsid();
        rc = guest_child_enter(g->root, &root);
        if (!rc)
            execve(file, argv, env.items ? env.items : &argv[1]);
        _exit(127);
    }
    guest_strings_free(&env);
    g->agent = pid;
    return pid < 0 ? guest_fail(e, rc ? rc : -errno, "cannot start the image's agent") : 0;
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

/* /agent TEE, with the listening socket as descriptor 3: in an empty directory, as nobody's user. */
void guest_agent_start(struct guest *g)
{
    char *argv[] = {"agent", g->cmdline.tee, NULL};
    char *env[] = {NULL};
    pid_t pid = fork();
    if (pid < 0)
        return;
    g->agent = pid;
    if (pid > 0)
        return;
    guest_child_reset();
    setsid();
    int program = open("/agent", O_PATH | O_CLOEXEC);
    int socket_fd = fcntl(g->agent_listen, F_DUPFD, LISTEN_FD);
    if (program < 0 || socket_fd < 0 || dup2(socket_fd, LISTEN_FD) < 0 || chroot("/empty") ||
        chdir("/") || setgroups(0, NULL) || setresgid(AGENT_ID, AGENT_ID, AGENT_ID) ||
        setresuid(AGENT_ID, AGENT_ID, AGENT_ID))
        _exit(GUEST_EXIT_OWN);
    if (socket_fd != LISTEN_FD)
        close(socket_fd);
    fexecve(program, argv, env);
    _exit(127);
}
