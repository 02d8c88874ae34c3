// SPDX-License-Identifier: Apache-2.0
// The attestation agent inside: ours, started by the first connection to its port, or before the
// workload where there is something to prove or fetch; or the image's own API server.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <shelter/agent.h>
#include <shelter/simtd.h>

#define AGENT_ID 65533 /* user and group that own nothing */
#define AGAIN_MS 1000  /* an agent that ended is not started again sooner */

static int listen_local(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(SH_AGENT_PORT),
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

/* In the workload's root and PID namespace, as root there, with the image's environment (nothing of
 * the host's) and SHELTER_TEE. It binds 127.0.0.1:8006 itself. */
int guest_agent_replace(struct guest *g, struct guest_error *e)
{
    const struct sh_settings *s = &g->config.settings;
    char *file = (char *)(uintptr_t)s->agent, tee[48], *argv[] = {file, NULL};
    struct sh_user root = {.group_count = 1};
    struct guest_strings env = {0};
    snprintf(tee, sizeof(tee), "SHELTER_TEE=%s", g->cmdline.tee);
    int rc = guest_strings_add(&env, tee, strlen(tee));
    for (size_t i = 0; !rc && i < s->image_env.count; i++)
        rc = guest_env_set(&env, s->image_env.items[i], strlen(s->image_env.items[i]));
    if (!rc)
        rc = guest_mount_configfs(g->root, g->cmdline.tee);
    pid_t pid = rc ? -1 : guest_fork_inside(&g->pid_ns);
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
    return rc ? guest_fail(e, rc, "cannot start the image's agent: %s", strerror(-rc)) : 0;
}

int guest_agent_prepare(struct guest *g, struct guest_error *e)
{
    if (*g->config.settings.agent)
        return 0;
    g->agent_listen = listen_local();
    return g->agent_listen < 0 ? guest_fail(e, g->agent_listen, "cannot listen for the agent: %s",
                                            strerror(-g->agent_listen))
                               : 0;
}

/* A report entry of configfs-tsm that the agent's user may use; -1 where the TEE has none. */
static int open_tsm(const char *tee)
{
    static const char *const files[] = {"inblob", "outblob", "auxblob", "generation", "provider"};
    if (guest_mount_configfs(-1, tee))
        return -1;
    if (mkdir(SH_TSM_ENTRY, 0755) && errno != EEXIST)
        return -1;
    int dir = open(SH_TSM_ENTRY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; dir >= 0 && i < sizeof(files) / sizeof(files[0]); i++)
        if (fchownat(dir, files[i], AGENT_ID, AGENT_ID, AT_SYMLINK_NOFOLLOW) && errno != ENOENT) {
            close(dir);
            return -1;
        }
    return dir;
}

/* Where there is no configfs-tsm: the TEE's own device, or the simulated TD module's port. */
static int open_device(const char *tee)
{
    static const char *const devices[][2] = {
        {"tdx", SH_TDX_DEVICE}, {"snp", SH_SNP_DEVICE}, {"csv", SH_CSV_DEVICE}};
    struct guest_error ignored;
    if (!strcmp(tee, "tdx-sim"))
        return guest_port_open(SH_SIMTD_PORT, &ignored);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (!strcmp(tee, devices[i][0]))
            return open(devices[i][1], O_RDWR | O_CLOEXEC);
    return -1;
}

/* What was checked, as the agent is to know it. */
static int config_file(const struct guest_config *c)
{
    struct sh_boot_config_head head = {.manifest_size = (uint32_t)c->manifest_bytes.size,
                                       .launch_size = (uint32_t)c->launch.size};
    memcpy(head.magic, SH_BOOT_CONFIG_MAGIC, sizeof(head.magic));
    int fd = memfd_create("config", MFD_CLOEXEC);
    if (fd >= 0 && !sh_write_all(fd, &head, sizeof(head)) &&
        !sh_write_all(fd, c->manifest_bytes.data, c->manifest_bytes.size) &&
        !sh_write_all(fd, c->launch.data, c->launch.size) && !lseek(fd, 0, SEEK_SET))
        return fd;
    return -1;
}

/* /agent, with its descriptors and the letters of those that are there. */
static void run_agent(struct guest *g, int control, const int *anchors)
{
    char tee[48], fds[32] = "SHELTER_FDS=", *argv[] = {"agent", NULL};
    char *env[] = {tee, fds, "LISTEN_FDS=1", NULL};
    static const char letters[] = "Ltdlcsr";
    snprintf(tee, sizeof(tee), "SHELTER_TEE=%s", g->cmdline.tee);
    guest_child_reset("-1000");
    struct guest_handed h[7 + SH_VOLUMES_MAX] = {
        {g->agent_listen, SH_AGENT_LISTEN_FD},
        {open_tsm(g->cmdline.tee), SH_AGENT_TSM_FD},
        {open_device(g->cmdline.tee), SH_AGENT_DEVICE_FD},
        {open(SH_EVENT_LOG, O_RDONLY | O_CLOEXEC), SH_AGENT_LOG_FD},
        {config_file(&g->config), SH_AGENT_CONFIG_FD},
        {control, SH_AGENT_CONTROL_FD},
        {open(SH_RTMR3, O_WRONLY | O_CLOEXEC), SH_AGENT_RTMR3_FD}};
    for (size_t i = 0, at = strlen(fds); i < sizeof(letters) - 1; i++)
        if (h[i].fd >= 0)
            fds[at++] = letters[i];
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        h[7 + i] = (struct guest_handed){anchors[i], SH_AGENT_VOLUME_FD + (int)i};
    if (g->agent_again)
        fds[strlen(fds)] = 'a';
    if (g->agent_listen < 0)
        env[2] = NULL;
    guest_child_service("/agent", h, sizeof(h) / sizeof(h[0]), AGENT_ID, argv, env);
}

/* For each volume that the broker has to remember: the agent's side, and the server's, which is
 * kept until that starts. An agent that is started again has none: it holds no lease. */
static int make_anchors(struct guest *g, int *anchors)
{
    const struct sh_settings *s = &g->config.settings;
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        anchors[i] = g->volumes[i].anchor = g->volumes[i].control = g->volumes[i].counts = -1;
    for (size_t i = 0; i < s->volume_count; i++) {
        int pair[2];
        if (!s->volumes[i].away)
            continue;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
            return -errno;
        anchors[i] = pair[0];
        g->volumes[i].anchor = pair[1];
    }
    return 0;
}

int guest_agent_start(struct guest *g)
{
    int pair[2], anchors[SH_VOLUMES_MAX];
    memset(anchors, -1, sizeof(anchors));
    if (g->agent_fd >= 0)
        return 0;
    if (g->agent >= 0 || sh_now_ms() < g->agent_next)
        return -EAGAIN;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    g->agent_next = sh_now_ms() + AGAIN_MS;
    int rc = g->agent_again ? 0 : make_anchors(g, anchors);
    g->agent = rc ? -1 : fork();
    if (g->agent == 0) {
        run_agent(g, pair[1], anchors);
        _exit(GUEST_EXIT_OWN);
    }
    rc = !rc && g->agent < 0 ? -errno : rc;
    for (size_t i = 0; i < SH_VOLUMES_MAX; i++)
        guest_close(&anchors[i]);
    g->agent_again = true;
    close(pair[1]);
    g->agent_fd = pair[0];
    if (rc)
        guest_close(&g->agent_fd);
    return rc;
}

int guest_agent_ask(struct guest *g, enum sh_agent_record kind, const void *data, size_t size)
{
    uint8_t record[SH_AGENT_HEAD_SIZE + 128] = {kind};
    if (size > sizeof(record) - SH_AGENT_HEAD_SIZE)
        return -EMSGSIZE;
    sh_put_le32(record + 4, (uint32_t)size);
    if (size)
        memcpy(record + SH_AGENT_HEAD_SIZE, data, size);
    size += SH_AGENT_HEAD_SIZE;
    ssize_t n = send(g->agent_fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

void guest_agent_end(struct guest *g)
{
    guest_close(&g->agent_fd);
    if (g->agent > 0)
        kill(g->agent, SIGKILL);
}
