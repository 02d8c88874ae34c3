// SPDX-License-Identifier: Apache-2.0
// Records to PID 1 (<shelter/agent.h>), lines of the log among them.
#include <string.h>

#include <shelter/agent.h>

#include "lib/io.h"
#include "trusted/agent/linux.h"

static int log_fd = -1; /* where a line of the start goes */

int agent_report(int fd, uint8_t kind, const char *name, const void *data, size_t size)
{
    uint8_t head[SH_AGENT_HEAD_SIZE] = {kind};
    size_t name_size = strlen(name);
    sh_put_le16(head + 2, (uint16_t)name_size);
    sh_put_le32(head + 4, (uint32_t)size);
    int rc = sh_write_all(fd, head, sizeof(head));
    if (!rc)
        rc = sh_write_all(fd, name, name_size);
    return rc ? rc : sh_write_all(fd, data, size);
}

void agent_log_to(int fd)
{
    log_fd = fd;
}

void agent_os_log(const char *line)
{
    if (log_fd >= 0)
        agent_report(log_fd, SH_AGENT_LOG, "", line, strlen(line));
}
