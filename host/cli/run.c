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

#define START_MS 240000 /* the supervisor itself gives up before */

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
    while ((r = sh_control_receive(fd, &in, &frame, START_MS)) == 1 && !ended) {
        if (frame.type == SH_FRAME_STARTED)
            break;
        ended = sh_control_ended(&frame, &status, &err);
    }
    sh_frames_free(&in);
    if (r == -ETIMEDOUT)
        sh_fail(&err, r,
                "the supervisor of instance %s does not answer; 'shelter rm -f %s' ends it",
                config->name, config->name);
    else if (r != 1)
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
        .fd = client_fd,
        .config = c,
        .input = c->stdin_open,
        .tty = c->tty,
        .person = true,
        .signals = true,
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
    o->from_pool = true;
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
    int status = sh_run_options_parse(SH_VERB_run, argc, argv, &o);
    if (status < 0 && o.attach)
        status = sh_cli_usage("run", "run has no -a: it is attached unless -d is given");
    else if (status < 0 && o.count)
        status = sh_cli_usage("run", "run has no -n: 'shelter pool' has it");
    else if (status < 0)
        status = sh_run_options(&o);
    sh_run_options_free(&o);
    return status;
}
