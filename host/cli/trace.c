// SPDX-License-Identifier: Apache-2.0
// shelter trace: the system calls of a running enclave, as they happen.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/run/allowed.h"
#include "host/run/control.h"

static int copy_lines(int from, struct sh_frame_reader *in, int to, struct sh_error *err)
{
    struct sh_frame_view f;
    int r = 0;
    while (!r && sh_control_receive(from, in, &f, -1) == 1)
        if (f.type == SH_FRAME_TRACED)
            r = sh_write_all(to, f.data, f.size);
    return r == 0 || r == -EPIPE ? 0 : sh_fail_errno(err, r, "cannot write the trace");
}

static int trace_instance(const char *reference, const char *file, struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    struct sh_frame_reader in = {0};
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_instance_open(&store, reference, &instance, err);
    if (r) {
        sh_store_close(&store);
        return r;
    }
    const struct sh_instance_config *c = &instance.config;
    if (!sh_instance_alive(&instance))
        r = sh_fail(err, -ESRCH, "instance %s is not running", c->name);
    else if (!c->debug)
        r = sh_request_need(c->requests, SH_POLICY_TRACE, "traces", err);
    cleanup_close int to =
        r || !file ? -1 : open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (!r && file && to < 0)
        r = sh_fail_errno(err, -errno, "cannot write %s", file);
    cleanup_close int fd = r ? -1 : sh_control_trace(&instance, &in, err);
    if (!r)
        r = fd < 0 ? fd : copy_lines(fd, &in, file ? to : 1, err);
    sh_frames_free(&in);
    sh_instance_close(&instance);
    sh_store_close(&store);
    return r;
}

int cmd_trace(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_trace, argc, argv);
    struct sh_error err = {0};
    const char *file = NULL;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_trace_option)o) {
        case SH_trace_output:
            file = c.value;
            break;
        case SH_trace_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return trace_instance(c.args[0], file, &err) ? sh_error_report(&err) : 0;
}
