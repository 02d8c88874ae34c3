// SPDX-License-Identifier: Apache-2.0
// The attestation agent's program in the confidential VM. PID 1 hands it descriptors;
// started without them, as `shelter build -a` does, it makes its own.
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shelter/agent.h>
#include <shelter/boot.h>

#include "lib/sha2.h"
#include "trusted/agent/linux.h"

#define CONFIG_MAX (sizeof(struct sh_boot_config_head) + SH_MANIFEST_SIZE_MAX + SH_LAUNCH_SIZE_MAX)

static struct sh_manifest manifest;
static struct sh_settings settings = {.broker = ""};
static uint8_t identity[48];

static int listen_self(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(SH_AGENT_PORT),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
        !bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 16))
        return fd;
    return -1;
}

/* Without PID 1's descriptors: what a program in the workload's root can reach. */
static void open_own(void)
{
    static const char *const devices[][2] = {
        {"snp", SH_SNP_DEVICE}, {"csv", SH_CSV_DEVICE}, {"tdx", SH_TDX_DEVICE}};
    if (!mkdir(SH_TSM_ENTRY, 0700) || errno == EEXIST)
        agent_sources.tsm = open(SH_TSM_ENTRY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
        if (!strcmp(agent_sources.tee, devices[i][0]))
            agent_sources.device = open(devices[i][1], O_RDWR | O_CLOEXEC);
}

/* PID 1 has checked both; here they are only taken apart. */
static int read_config(int fd, struct sh_view *launch)
{
    uint8_t *data;
    size_t size;
    int rc = agent_read_whole(fd, CONFIG_MAX, &data, &size);
    if (rc)
        return rc;
    struct sh_reader r = sh_reader(data, size);
    const uint8_t *magic = sh_read(&r, 8);
    uint32_t manifest_size = sh_read_le32(&r), launch_size = sh_read_le32(&r);
    const uint8_t *m = sh_read(&r, manifest_size);
    *launch = (struct sh_view){sh_read(&r, launch_size), launch_size};
    if (m)
        sh_sha384(identity, m, manifest_size);
    if (r.failed || memcmp(magic, SH_BOOT_CONFIG_MAGIC, 8))
        return -EBADMSG;
    rc = sh_manifest_parse(&manifest, m, manifest_size);
    if (rc)
        return rc;
    const char *why;
    size_t room = sh_settings_size(&manifest, launch_size);
    void *arena = malloc(room);
    return sh_settings_make(&settings, &manifest, launch->data, launch_size, arena,
                            arena ? room : 0, &why);
}

static bool is_given(char letter)
{
    const char *fds = getenv("SHELTER_FDS");
    return fds && strchr(fds, letter);
}

int main(void)
{
    static struct sh_view launch;
    const char *tee = getenv("SHELTER_TEE"), *listening = getenv("LISTEN_FDS");
    bool ours = getenv("SHELTER_FDS");
    prctl(PR_SET_DUMPABLE, 0);
    if (tee)
        agent_sources.tee = tee;
    if (ours) {
        agent_sources.tsm = is_given('t') ? SH_AGENT_TSM_FD : -1;
        agent_sources.device = is_given('d') ? SH_AGENT_DEVICE_FD : -1;
        agent_sources.log = is_given('l') ? SH_AGENT_LOG_FD : -1;
        agent_sources.rtmr3 = is_given('r') ? SH_AGENT_RTMR3_FD : -1;
    } else {
        open_own();
    }
    if (is_given('c') && read_config(SH_AGENT_CONFIG_FD, &launch))
        return 1;
    struct agent *a = agent_new(&settings, launch);
    if (!a)
        return 1;
    agent_set_image(a, identity);
    /* What was measured before is forgotten, and that is said. */
    struct agent_error ignored;
    if (is_given('a') && agent_event(a, "shelter", "agent-restarted", "", &ignored))
        return 1;
    int listen_fd = listening && !strcmp(listening, "1") ? SH_AGENT_LISTEN_FD
                    : ours                               ? -1
                                                         : listen_self();
    int control_fd = is_given('s') ? SH_AGENT_CONTROL_FD : -1;
    int rc = listen_fd < 0 && control_fd < 0 ? -ENOTCONN : agent_serve(listen_fd, control_fd, a);
    agent_free(a);
    return rc && rc != -ENODATA; /* PID 1 has gone: then all goes */
}
