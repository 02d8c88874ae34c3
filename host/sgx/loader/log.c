// SPDX-License-Identifier: Apache-2.0
// Where words of the enclave OS and its trace go.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

static int trace_fd = -1;

int loader_log_open(struct sh_error *err)
{
    const char *path = loader.options.trace_file;
    if (path && (trace_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0)
        return sh_fail_errno(err, -errno, "cannot write %s", path);
    return 0;
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
