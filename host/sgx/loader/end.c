// SPDX-License-Identifier: Apache-2.0
// Where words of the enclave OS and its trace go; how a run ends, and what is said of it then.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

static int trace_fd = -1, stats_fd = 2;

static int open_output(const char *path, int *fd, struct sh_error *err)
{
    if (path)
        *fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return path && *fd < 0 ? sh_fail_errno(err, -errno, "cannot write %s", path) : 0;
}

int loader_outputs_open(struct sh_error *err)
{
    int r = open_output(loader.options.trace_file, &trace_fd, err);
    return r ? r : open_output(loader.options.stats_file, &stats_fd, err);
}

int64_t loader_log(const void *text, size_t size)
{
    static const char own[] = "shelter: ", warning[] = "shelter: warning: ";
    bool words = size >= sizeof(own) - 1 && !memcmp(text, own, sizeof(own) - 1);
    /* Of a program that runs on, while it runs. */
    bool now = words && loader.started && size >= sizeof(warning) - 1 &&
               !memcmp(text, warning, sizeof(warning) - 1);
    if (words && !now && loader.options.channel >= 0) {
        size_t n = size < sizeof(loader.last_words) ? size : sizeof(loader.last_words) - 1;
        memcpy(loader.last_words, text, n);
        loader.last_words[n] = 0;
        return (int64_t)size;
    }
    bool sent = channel_trace(text, size);
    if (trace_fd >= 0 && !words)
        return sh_write_all(trace_fd, text, size);
    if (words || loader.options.trace || (loader.options.channel < 0 && !sent))
        return sh_write_all(loader_handle_fd(2), text, size);
    return (int64_t)size;
}

static void print_stats(void)
{
    cleanup_free char *text = loader.options.stats ? loader_stats_json(loader.last_stats) : NULL;
    if (text)
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
    loader_uses_save();
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
