// SPDX-License-Identifier: Apache-2.0
// The attestation agent's program. PID 1 hands it the listening socket (LISTEN_FDS=1: descriptor 3)
// and a configfs-tsm entry (SHELTER_TSM_FD); started without them, it makes its own.
#include "trusted/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 8006
#define TSM_ENTRY "/sys/kernel/config/tsm/report/agent"

static int listen_self(void)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
        !bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 16))
        return fd;
    return -1;
}

static int open_tsm(void)
{
    if (mkdir(TSM_ENTRY, 0700) && errno != EEXIST)
        return -1;
    return open(TSM_ENTRY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int main(void)
{
    const char *tee = getenv("SHELTER_TEE"), *fds = getenv("LISTEN_FDS");
    const char *tsm = getenv("SHELTER_TSM_FD");
    int listen_fd = fds && !strcmp(fds, "1") ? 3 : listen_self();
    int tsm_dir = tsm && tsm[0] >= '4' && tsm[0] <= '9' && !tsm[1] ? tsm[0] - '0' : open_tsm();
    prctl(PR_SET_DUMPABLE, 0);
    if (!tee)
        tee = "an unknown TEE";
    return listen_fd < 0 || agent_serve(listen_fd, tee, tsm_dir) ? 1 : 0;
}
