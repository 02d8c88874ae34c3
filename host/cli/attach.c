// SPDX-License-Identifier: Apache-2.0
// shelter attach: this terminal, joined to a running workload.

#include "host/cli/cli.h"
#include "host/cli/foreground.h"

static int attach_instance(const char *reference, bool input)
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
            .fd = fd,
            .config = c,
            .input = input,
            .tty = c->tty,
            .person = true,
            .signals = true,
            .started = true,
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
    struct sh_cli c = sh_cli_start(SH_VERB_attach, argc, argv);
    bool input = true;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_attach_option)o) {
        case SH_attach_no_stdin:
            input = false;
            break;
        case SH_attach_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return attach_instance(c.args[0], input);
}
