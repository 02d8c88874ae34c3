// SPDX-License-Identifier: Apache-2.0
// shelter run: an instance of an image, in the foreground or detached. start shares it.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/foreground.h"
#include "host/run/attached.h"
#include "host/run/prepare.h"

const char sh_usage_run[] =
    "Usage: shelter run [OPTION...] IMAGE [COMMAND [ARGUMENT...]]\n"
    "       shelter run -t IMAGE [-c COMMAND] [-i BROKER] [OPTION...]\n"
    "\n"
    "Runs an image in a confidential VM. In the foreground (without -d) stdin is always forwarded,\n"
    "and the workload gets a terminal when stdin and stdout are one. The exit status is the\n"
    "workload's; 125 is a failure of Shelter, 126 and 127 a command that cannot be run or is not\n"
    "there, 128+N a workload killed by signal N. Options end at IMAGE.\n"
    "\n"
    "  -t, --tag IMAGE        the image, by tag or id\n"
    "  -c, --command TEXT     the whole command, split by quotes; replaces the image's entrypoint too\n"
    "  -i, --broker ADDRESS   the attestation address: host, host:port, [IPv6]:port or URL; a\n"
    "                         loopback address means this host; port 8080 and https by default\n"
    "  -m, --memory SIZE      memory, such as 512M or 2G\n"
    "      --cpus N           virtual CPUs\n"
    "  -d, --detach           in the background; prints the instance's id\n"
    "      --tty, --no-tty    a terminal for the workload, or none, whatever stdio is\n"
    "      --rm               remove the instance when it ends\n"
    "      --name NAME        its name; else one is made up\n"
    "  -e, --env NAME[=VALUE] set a variable, or pass on one's own; repeatable\n"
    "      --env-file FILE    the same from the lines of a file\n"
    "      --entrypoint PATH  replace the image's entrypoint and drop its command\n"
    "  -w, --workdir PATH     working directory\n"
    "  -u, --user USER[:GROUP]\n"
    "      --hostname NAME\n"
    "  -p, --publish [IP:][PORT:]GUESTPORT[/udp]\n"
    "                         publish a port; without PORT a free one is taken\n"
    "      --network user|none\n"
    "  -v, --volume SOURCE:TARGET[:ro]\n"
    "                         show it a folder of the host; untrusted, and only where the image's\n"
    "                         policy allows it (--allow mount at build)\n"
    "      --tee NAME         auto (default), tdx, snp, csv, sgx, tdx-sim, sgx-sim\n"
    "      --boot pvh|bzimage how a simulated TD boots; pvh is faster\n"
    "      --firmware FILE    the machine's firmware, instead of the distribution's for this TEE\n"
    "      --stats FILE       write an enclave's counts there when it ends, as JSON (--allow stats)\n"
    "      --trace[=FILE]     an enclave's system calls, to stderr or there (--allow trace)\n"
    "      --debug            a VM's kernel console in the instance's folder; an enclave that 'shelter\n"
    "                         debug' can look into (--allow debug)\n"
    "\n"
    "^P ^Q detaches from a terminal; three ^C within five seconds kill.\n";

int sh_foreground_end(enum sh_attached_end end, int status, const char *name,
                      const struct sh_error *err)
{
    if (end == SH_ATTACHED_LOST)
        return sh_error_report(err);
    if (end == SH_ATTACHED_DETACHED) {
        fprintf(stderr, "shelter: detached; '%s' runs on: shelter attach %s\n", name, name);
        return status;
    }
    if (err->text[0])
        sh_error_report(err);
    return status;
}

/* Waits until the workload runs, or never will. */
static int wait_started(int fd, const struct sh_instance_config *config)
{
    struct sh_frame_reader in = {0};
    struct sh_frame_view frame;
    struct sh_error err = {0};
    int status = 0, r;
    bool ended = false;
    while ((r = sh_control_receive(fd, &in, &frame, -1)) == 1 && !ended) {
        if (frame.type == SH_FRAME_STARTED)
            break;
        ended = sh_control_ended(&frame, &status, &err);
    }
    sh_frames_free(&in);
    if (r != 1)
        sh_fail(&err, -EIO, "the supervisor of instance %s died, and its VM with it", config->name);
    if (err.text[0]) {
        err.status = status;
        return sh_error_report(&err);
    }
    puts(config->id);
    return 0;
}

int sh_foreground(struct sh_prepared *p, bool detach)
{
    struct sh_error err = {0};
    struct sh_instance_config *c = &p->instance.config;
    int fd = -1, status;
    sh_warn_simulated(c);
    if (!detach)
        sh_attached_block_signals();
    int r = sh_prepared_start(p, !detach, !detach && c->stdin_open, &fd, &err);
    cleanup_close int client_fd = fd;
    if (r)
        return sh_error_report(&err);
    if (detach)
        return wait_started(client_fd, c);
    struct sh_attached a = {
        .fd = client_fd, .config = c, .input = c->stdin_open, .tty = c->tty, .signals = true,
        .end_with_output = true,
    };
    enum sh_attached_end end = sh_attached_run(&a, &status, &err);
    return sh_foreground_end(end, status, c->name, &err);
}

/* Closed stdio must not become our sockets. */
static void open_stdio(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
            return;
}

int sh_run_options(struct sh_run_options *o)
{
    struct sh_error err = {0};
    struct sh_store store;
    struct sh_prepared p;
    open_stdio();
    if (sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = sh_prepare_new(&store, o, &p, &err);
    int status = r ? sh_error_report(&err) : sh_foreground(&p, o->detach);
    sh_prepared_free(&p);
    sh_store_close(&store);
    return status;
}

int cmd_run(int argc, char **argv)
{
    struct sh_run_options o;
    struct sh_error err = {0};
    int status;
    if (sh_run_options_parse(argc, argv, &o, &err))
        status = sh_cli_usage("run", "%s", err.text);
    else if (o.help)
        status = sh_cli_help("run");
    else if (o.attach)
        status = sh_cli_usage("run", "run has no -a: it is attached unless -d is given");
    else
        status = sh_run_options(&o);
    sh_run_options_free(&o);
    return status;
}
