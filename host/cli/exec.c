// SPDX-License-Identifier: Apache-2.0
// shelter exec: a further program in a running instance, where its policy allows it.
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/foreground.h"
#include "host/run/allowed.h"
#include "host/run/exec_request.h"
#include "host/run/terminal.h"

const char sh_usage_exec[] =
    "Usage: shelter exec [OPTION...] INSTANCE COMMAND [ARGUMENT...]\n"
    "\n"
    "Runs a further program in a running instance, with stdin, stdout and stderr. Only where the\n"
    "image's policy allows it (--allow exec at build); status 126 where it does not. The exit status\n"
    "is the program's.\n"
    "\n"
    "      --tty, --no-tty    a terminal, or none; by default when stdin and stdout are one\n"
    "  -e, --env NAME[=VALUE] further variables\n"
    "  -w, --workdir PATH     working directory; by default the workload's\n"
    "  -u, --user USER[:GROUP]\n";

static int run(const char *reference, const struct sh_exec_request *request)
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
    if (!r && sh_policy_need(instance.config.policy, SH_POLICY_EXEC, "exec", &err)) {
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
        struct sh_attached a = {.fd = fd, .config = &instance.config, .input = true,
                                .tty = request->tty, .signals = true};
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
    static const struct option options[] = {
        {"tty", no_argument, NULL, 'T'},          {"no-tty", no_argument, NULL, 'N'},
        {"env", required_argument, NULL, 'e'},    {"workdir", required_argument, NULL, 'w'},
        {"user", required_argument, NULL, 'u'},   {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct sh_exec_request request = {.tty = sh_terminal_here(), .workdir = "", .user = ""};
    struct sh_error err = {0};
    int c, r = 0;
    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        if (at < argc && sh_is_dash_it(argv[at]))
            return sh_cli_usage("exec",
                                "there is no %s: stdin is always forwarded, and a terminal is there "
                                "when you have one (--tty forces it)", argv[at]);
        c = getopt_long(argc, argv, "+:e:w:u:h", options, NULL);
        if (c < 0)
            break;
        if (c == 'h')
            return sh_cli_help("exec");
        if (c == '?')
            return sh_cli_usage("exec", "there is no option %s", argv[optind - 1]);
        if (c == ':')
            return sh_cli_usage("exec", "%s needs a value", argv[optind - 1]);
        if (c == 'T' || c == 'N')
            request.tty = c == 'T';
        else if (c == 'w')
            request.workdir = optarg;
        else if (c == 'u')
            request.user = optarg;
        else if ((r = sh_env_option(&request.env, optarg, &err)))
            return sh_cli_usage("exec", "%s", err.text);
    }
    if (argc - optind < 2)
        return sh_cli_usage("exec", "name an instance and a command");
    if (*request.workdir && *request.workdir != '/')
        return sh_cli_usage("exec", "-w %s: the working directory is an absolute path",
                            request.workdir);
    request.args = argv + optind + 1;
    request.arg_count = (size_t)(argc - optind - 1);
    int status = run(argv[optind], &request);
    sh_strings_free(&request.env);
    return status;
}
