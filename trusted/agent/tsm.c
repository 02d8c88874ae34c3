// SPDX-License-Identifier: Apache-2.0
// Evidence through configfs-tsm (Documentation/ABI/testing/configfs-tsm), TDX and SNP alike.
//
// Attacks expected here: another program inside may use its own entry, never this one; the
// generation shows whether somebody wrote between our write and our read.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/io.h"
#include "trusted/agent/linux.h"

int agent_read_whole(int fd, size_t max, uint8_t **out, size_t *size)
{
    uint8_t *data = agent_os_alloc(max + 1);
    if (!data)
        return -ENOMEM;
    ssize_t n = sh_read_up_to(fd, data, max + 1);
    int rc = n < 0 ? (int)n : (size_t)n > max ? -EMSGSIZE : 0;
    *size = rc ? 0 : (size_t)n;
    *out = *size ? data : NULL;
    if (!*out)
        agent_os_free(data);
    return rc;
}

static int read_attribute(int dir, const char *name, size_t max, uint8_t **out, size_t *size)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int rc = agent_read_whole(fd, max, out, size);
    close(fd);
    return rc;
}

static int read_generation(int dir, unsigned long *out)
{
    uint8_t *text;
    size_t size;
    char number[24] = "";
    int rc = read_attribute(dir, "generation", sizeof(number) - 1, &text, &size);
    if (rc)
        return rc;
    if (size)
        memcpy(number, text, size);
    agent_os_free(text);
    *out = strtoul(number, NULL, 10);
    return 0;
}

/* The attribute is taken when it is closed. */
static int write_inblob(int dir, const uint8_t report_data[64])
{
    int fd = openat(dir, "inblob", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, report_data, 64);
    int code = n < 0 ? -errno : n != 64 ? -EIO : 0;
    if (close(fd) && !code)
        code = -errno;
    return code;
}

static int ask_report(int dir, const uint8_t report_data[64], struct agent_raw *raw,
                      const char **why)
{
    unsigned long before, after;
    *why = "configfs-tsm does not accept report data";
    int rc = write_inblob(dir, report_data);
    if (!rc)
        rc = read_generation(dir, &before);
    if (rc)
        return rc;
    *why = "configfs-tsm gives no report; is the host's quote service running?";
    rc = read_attribute(dir, "outblob", AGENT_QUOTE_MAX, &raw->quote, &raw->quote_size);
    if (!rc && read_attribute(dir, "auxblob", AGENT_MORE_MAX, &raw->more, &raw->more_size))
        raw->more_size = 0; /* a TEE without certificates has no such file, or an empty one */
    if (!rc && ((rc = read_generation(dir, &after)) || before != after)) {
        *why = "another program used this entry of configfs-tsm at the same time";
        rc = rc ? rc : -EBUSY;
    }
    return rc;
}

int agent_tsm_evidence(int dir, const uint8_t report_data[64], struct agent_raw *raw,
                       const char **why)
{
    for (unsigned try = 0;; try++) {
        int rc = ask_report(dir, report_data, raw, why);
        if (!rc)
            return raw->quote_size ? 0 : -EPROTO;
        agent_os_free(raw->quote);
        agent_os_free(raw->more);
        *raw = (struct agent_raw){0};
        if (rc != -EBUSY || try == 3)
            return rc;
        agent_os_sleep_ms(20);
    }
}
