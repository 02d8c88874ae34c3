// SPDX-License-Identifier: Apache-2.0
// shelter exec: a further program in a running instance, where its policy allows it.
#include <errno.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/foreground.h"
#include "host/run/allowed.h"
#include "host/run/exec_request.h"
#include "host/run/terminal.h"

static int run_program(const char *reference, const struct sh_exec_request *request)
{
    struct sh_error err = {0};
    struct sh_store store;
    struct sh_instance instance;
    struct sh_fifo out = {0};
    int status = 0;
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = sh_instance_open(&store, reference, &instance, &err);
    bool opened = !r;
    if (!r && sh_request_need(instance.config.requests, SH_POLICY_EXEC, "exec", &err)) {
        err.status = SH_EXIT_NOT_RUN;
        r = -EPERM;
    }
    if (!r)
        r = sh_exec_request_put(&out, request, &err);
    cleanup_close int fd = r ? -1 : sh_control_connect(&instance, &err);
    if (fd < 0) {
        status = sh_error_report(&err);
    } else {
        sh_attached_block_signals();
        sh_control_send(fd, &out);
        struct sh_attached a = {.fd = fd,
                                .config = &instance.config,
                                .input = true,
                                .tty = request->tty,
                                .person = true,
                                .signals = true};
        enum sh_attached_end end = sh_attached_run(&a, &status, &err);
        status = sh_foreground_end(end, status, instance.config.name, &err);
    }
    sh_fifo_free(&out);
    if (opened)
        sh_instance_close(&instance);
    sh_store_close(&store);
    return status;
}

int cmd_exec(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_exec, argc, argv);
    struct sh_exec_request request = {.tty = sh_terminal_here(), .workdir = "", .user = ""};
    struct sh_error err = {0};
    c.no_dash_it =
        "stdin is always forwarded, and a terminal is there when you have one (--tty forces it)";
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_exec_option)o) {
        case SH_exec_tty:
            request.tty = true;
            break;
        case SH_exec_no_tty:
            request.tty = false;
            break;
        case SH_exec_workdir:
            request.workdir = c.value;
            break;
        case SH_exec_user:
            request.user = c.value;
            break;
        case SH_exec_env:
            if (sh_env_option(&request.env, c.value, &err))
                return sh_cli_usage("exec", "%s", err.text);
            break;
        case SH_exec_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (*request.workdir && *request.workdir != '/')
        return sh_cli_usage("exec", "-w %s: the working directory is an absolute path",
                            request.workdir);
    request.args = c.args + 1;
    request.arg_count = (size_t)c.count - 1;
    int status = run_program(c.args[0], &request);
    sh_strings_free(&request.env);
    return status;
}
