// SPDX-License-Identifier: Apache-2.0
// shelter trace: the system calls of a running enclave, as they happen.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/run/allowed.h"
#include "host/run/control.h"

const char sh_usage_trace[] =
    "Usage: shelter trace [-o FILE] INSTANCE\n"
    "\n"
    "Shows the system calls of an instance in an enclave, a line each, from now until it ends or ^C.\n"
    "Only where the image's policy allows it (--allow trace at build). 'run --trace' begins with the\n"
    "first call.\n"
    "\n"
    "  -o, --output FILE      write there, not to stdout\n";

static int copy_lines(int from, struct sh_frame_reader *in, int to, struct sh_error *err)
{
    struct sh_frame_view f;
    int r = 0;
    while (!r && sh_control_receive(from, in, &f, -1) == 1)
        if (f.type == SH_FRAME_TRACED)
            r = sh_write_all(to, f.data, f.size);
    return r == 0 || r == -EPIPE ? 0 : sh_fail_errno(err, r, "cannot write the trace");
}

static int trace(const char *reference, const char *file, struct sh_error *err)
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
        r = sh_policy_need(c->policy, SH_POLICY_TRACE, "traces", err);
    cleanup_close int to = r || !file ? -1 : open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
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
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {0}};
    struct sh_error err = {0};
    const char *file = NULL;
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, ":o:h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("trace");
        if (c != 'o')
            return sh_cli_usage("trace", "%s: no such option, or its value is missing",
                                argv[optind - 1]);
        file = optarg;
    }
    if (argc - optind != 1)
        return sh_cli_usage("trace", "name one instance");
    return trace(argv[optind], file, &err) ? sh_error_report(&err) : 0;
}
