// SPDX-License-Identifier: Apache-2.0
// shelter-runtime start.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "host/oci/container.h"
#include "host/oci/hooks.h"

#define START_MS 60000

/* Lets the process go on, which waits at its FIFO. */
static int release_process(const struct oci_container *c, struct sh_error *err)
{
    char byte;
    cleanup_close int fd = openat(c->dir_fd, "start", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot start container %s", c->id);
    if (poll(&p, 1, START_MS) != 1 || read(fd, &byte, 1) != 1)
        return sh_fail(err, -ESRCH, "the process of container %s does not answer", c->id);
    /* The process does, too. */
    return unlinkat(c->dir_fd, "start", 0) && errno != ENOENT
               ? sh_fail_errno(err, -errno, "cannot remove the FIFO")
               : 0;
}

int oci_start(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    const char *id = oci_only_id(argc, argv, err);
    int r = id ? oci_container_open(rt, id, true, &c, err) : -EINVAL;
    if (!r && oci_container_status(&c) != OCI_CREATED)
        r = sh_fail(err, -EINVAL, "cannot start a container that is %s",
                    oci_status_words[oci_container_status(&c)]);
    if (!r)
        r = oci_hooks_run(&c, "startContainer", true, err);
    if (!r)
        r = release_process(&c, err);
    struct sh_error after = {0};
    if (!r && oci_hooks_run(&c, "poststart", false, &after))
        sh_error_report(&after);
    oci_container_close(&c);
    return r;
}
