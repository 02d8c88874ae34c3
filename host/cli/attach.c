// SPDX-License-Identifier: Apache-2.0
// shelter attach: this terminal, joined to a running workload.
#include <getopt.h>

#include "host/cli/cli.h"
#include "host/cli/foreground.h"

const char sh_usage_attach[] =
    "Usage: shelter attach [--no-stdin] INSTANCE\n"
    "\n"
    "Joins stdin, stdout and stderr to a running workload; output begins now (logs has what was\n"
    "before). stdin is forwarded only to an instance that was started in the foreground. The exit\n"
    "status is the workload's. ^P ^Q detaches where the workload has a terminal.\n"
    "\n"
    "      --no-stdin         only watch\n";

static int attach(const char *reference, bool input)
{
    struct sh_error err = {0};
    struct sh_store store;
    struct sh_instance instance;
    int status;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = sh_instance_open(&store, reference, &instance, &err);
    cleanup_close int fd = r ? -1 : sh_control_connect(&instance, &err);
    if (fd < 0) {
        status = sh_error_report(&err);
    } else {
        const struct sh_instance_config *c = &instance.config;
        struct sh_fifo out = {0};
        input = input && c->stdin_open;
        sh_frame_put(&out, SH_CONTROL_ATTACH, 0, 0, &(uint8_t){input}, 1);
        sh_control_send(fd, &out);
        sh_fifo_free(&out);
        sh_attached_block_signals();
        struct sh_attached a = {
            .fd = fd, .config = c, .input = input, .tty = c->tty, .signals = true, .started = true,
        };
        enum sh_attached_end end = sh_attached_run(&a, &status, &err);
        status = sh_foreground_end(end, status, c->name, &err);
    }
    if (!r)
        sh_instance_close(&instance);
    sh_store_close(&store);
    return status;
}

int cmd_attach(int argc, char **argv)
{
    static const struct option options[] = {
        {"no-stdin", no_argument, NULL, 'n'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool input = true;
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "+h", options, NULL)) >= 0) {
        if (c == 'h')
            return sh_cli_help("attach");
        if (c != 'n')
            return sh_cli_usage("attach", "there is no option %s", argv[optind - 1]);
        input = false;
    }
    if (argc - optind != 1)
        return sh_cli_usage("attach", "name one instance");
    return attach(argv[optind], input);
}
