// SPDX-License-Identifier: Apache-2.0
// How a run ends, and what is said of it then.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

static int stats_fd = 2;

int loader_stats_open(struct sh_error *err)
{
    const char *path = loader.options.stats_file;
    if (path)
        stats_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return stats_fd < 0 ? sh_fail_errno(err, -errno, "cannot write %s", path) : 0;
}

static void print_stats(void)
{
    static char text[LOADER_STATS_MAX];
    if (loader.options.stats && loader_stats_json(text, sizeof(text), loader.last_stats) > 0)
        dprintf(stats_fd, "%s\n", text);
}

void loader_fail(const struct sh_error *err)
{
    int status = err->status ? err->status : SH_EXIT_FAILURE;
    if (loader.options.channel >= 0)
        channel_exit(status, err->text, NULL);
    sh_error_report(err);
    _exit(status);
}

void loader_exit(int status, bool own)
{
    print_stats();
    if (loader.options.channel < 0)
        _exit(status);
    char *text = loader.last_words;
    if (!own) { /* what the enclave OS said of the end (memory, missing calls) stands behind the
                   program's own words */
        loader_has_started();
        if (text[0])
            (void)!sh_write_all(loader_handle_fd(2), text, strlen(text));
    }
    if (!strncmp(text, "shelter: ", 9))
        text += 9;
    text[strcspn(text, "\n")] = 0;
    if (!own)
        channel_exit(status, NULL, text);
    channel_exit(status, text[0] ? text : "the enclave could not start the workload", NULL);
}

void loader_has_started(void)
{
    if (loader.started || atomic_exchange(&loader.started, true) || loader.options.channel < 0)
        return;
    sh_frame_put(channel_lock(), SH_FRAME_STARTED, 0, 0, NULL, 0);
    channel_unlock();
}
