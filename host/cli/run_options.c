// SPDX-License-Identifier: Apache-2.0
// Reads the options of `run` and `start`. They end at the first plain argument, as docker's do.
#include <errno.h>
#include <string.h>

#include "host/base/split.h"
#include "host/cli/cli.h"
#include "host/cli/foreground.h"
#include "host/run/pool_keeper.h"
#include "host/run/ports.h"
#include "host/run/volumes.h"
#include "lib/launch.h"

#define MEMORY_UNIT (1ull << 20)

static int add_port(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    o->ports = sh_realloc_array(o->ports, o->port_count + 1, sizeof(*o->ports));
    return sh_port_parse(text, &o->ports[o->port_count++], err);
}

static int add_mount(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    if (sh_is_volume(text))
        return sh_volume_parse(text, &o->volumes, err);
    o->mounts = sh_realloc_array(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
    return sh_mount_parse(text, &o->mounts[o->mount_count++], err);
}

static int set_memory(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    if (sh_parse_size(text, &o->memory))
        return sh_fail(err, -EINVAL, "-m %s: write a size such as 512M or 2G", text);
    if (o->memory < SH_LAUNCH_MEMORY_MIN)
        return sh_fail(err, -EINVAL, "-m %s: too little memory; an instance needs at least %lluM",
                       text, SH_LAUNCH_MEMORY_MIN >> 20);
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (o->memory > host) {
        return sh_fail(err, -EINVAL, "-m %s: this machine has %lluM only", text,
                       (unsigned long long)(host >> 20)); /* in the unit of -m */
    }
    o->memory = (o->memory + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
    return 0;
}

static int set_cpus(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    uint64_t n;
    if (sh_parse_number(text, 1, SH_LAUNCH_CPUS_MAX, &n))
        return sh_fail(err, -EINVAL, "--cpus %s: write a whole number from 1 to %u", text,
                       SH_LAUNCH_CPUS_MAX);
    o->cpus = (uint32_t)n;
    return 0;
}

static int set_boot(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    o->boot = strcmp(text, "bzimage") ? SH_QEMU_BOOT_PVH : SH_QEMU_BOOT_BZIMAGE;
    if (strcmp(text, "pvh") && strcmp(text, "bzimage"))
        return sh_fail(err, -EINVAL, "--boot %s: write pvh or bzimage", text);
    return 0;
}

static int set_network(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    o->network = text;
    if (strcmp(text, "user") && strcmp(text, "none") && strcmp(text, "host-loopback"))
        return sh_fail(err, -EINVAL, "--network %s: write user, none or host-loopback", text);
    return 0;
}

static int take_option(struct sh_run_options *o, enum sh_run_option option, const char *value,
                       struct sh_error *err)
{
    switch (option) {
    case SH_run_tag:
        o->image = value;
        o->image_by_tag_option = true;
        return 0;
    case SH_run_command:
        o->has_command_text = true;
        return sh_split(value, &o->command, err);
    case SH_run_broker:
        free(o->broker);
        o->broker = sh_strdup(value);
        return 0;
    case SH_run_detach:
        o->detach = true;
        return 0;
    case SH_run_attach:
        o->attach = true;
        return 0;
    case SH_run_env:
        return sh_env_option(&o->env, value, err);
    case SH_run_volume:
        return add_mount(o, value, err);
    case SH_run_publish:
        return add_port(o, value, err);
    case SH_run_workdir:
        o->workdir = value;
        return 0;
    case SH_run_user:
        o->user = value;
        return 0;
    case SH_run_memory:
        return set_memory(o, value, err);
    case SH_run_tty:
        o->tty = SH_TTY_YES;
        return 0;
    case SH_run_no_tty:
        o->tty = SH_TTY_NO;
        return 0;
    case SH_run_rm:
        o->remove = true;
        return 0;
    case SH_run_name:
        o->name = value;
        return 0;
    case SH_run_env_file:
        return sh_env_file(&o->env, value, err);
    case SH_run_entrypoint:
        o->entrypoint = value;
        return 0;
    case SH_run_net:
    case SH_run_network:
        return set_network(o, value, err);
    case SH_run_hostname:
        o->hostname = value;
        return 0;
    case SH_run_cpus:
        return set_cpus(o, value, err);
    case SH_run_tee:
        o->tee = value;
        return 0;
    case SH_run_boot:
        return set_boot(o, value, err);
    case SH_run_firmware:
        o->firmware = value;
        return 0;
    case SH_run_debug:
        o->debug = true;
        return 0;
    case SH_run_log_format:
        if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
            return sh_fail(err, -EINVAL, "--log-format is text or json");
        if (!strcmp(value, "json"))
            sh_log_as_json();
        return 0;
    case SH_run_read_only:
        o->read_only = true;
        return 0;
    case SH_run_ulimit:
        return sh_limit_option(&o->limits, value, err);
    case SH_run_require_confinement:
        o->require_confinement = true;
        return 0;
    case SH_run_count: {
        uint64_t n;
        if (sh_parse_number(value, 1, SH_POOL_COUNT_MAX, &n))
            return sh_fail(err, -EINVAL, "-n %s: write a whole number from 1 to %u", value,
                           SH_POOL_COUNT_MAX);
        o->count = (uint32_t)n;
        return 0;
    }
    case SH_run_stats:
        o->stats = value;
        return 0;
    case SH_run_trace:
        o->trace = true;
        o->trace_file = value;
        return 0;
    case SH_run_end:
        break;
    }
    return 0;
}

static int check_options(const struct sh_run_options *o, struct sh_error *err)
{
    if (o->name && !sh_instance_name_ok(o->name))
        return sh_fail(err, -EINVAL, "--name %s: use letters, digits and _ . -, at most 63",
                       o->name);
    if (o->workdir && o->workdir[0] != '/')
        return sh_fail(err, -EINVAL, "-w %s: the working directory is an absolute path",
                       o->workdir);
    if (o->user && !*o->user)
        return sh_fail(err, -EINVAL, "-u: the user is empty");
    if (o->hostname && !sh_hostname_ok(o->hostname))
        return sh_fail(
            err, -EINVAL,
            "--hostname '%s': use 1 to 64 letters, digits and - . _, the first none of - and .",
            o->hostname);
    if (o->detach && o->tty == SH_TTY_YES)
        return sh_fail(err, -EINVAL, "--tty needs a foreground run; leave out -d");
    if (o->port_count && o->network && !strcmp(o->network, "none"))
        return sh_fail(err, -EINVAL, "-p needs a network; leave out --network none");
    if (o->broker && o->network && !strcmp(o->network, "none"))
        return sh_fail(err, -EINVAL, "-i needs a network; leave out --network none");
    if (!o->image)
        return sh_fail(err, -EINVAL, "which image? name it with -t or as the first argument");
    return 0;
}

/* All of them; what stops it early is in c->status. 0, or -EINVAL with the sentence. */
static int read_options(struct sh_cli *c, struct sh_run_options *o, struct sh_error *err)
{
    for (int i; (i = sh_cli_next(c)) >= 0;) {
        int r = take_option(o, (enum sh_run_option)i, c->value, err);
        if (r)
            return r;
    }
    if (c->status >= 0)
        return 0;
    int at = 0;
    if (!o->image && c->count)
        o->image = c->args[at++];
    while (at < c->count)
        sh_strings_add(&o->command, c->args[at++]);
    return check_options(o, err);
}

int sh_run_options_parse(enum sh_verb_id verb, int argc, char **argv, struct sh_run_options *o)
{
    struct sh_error err = {0};
    struct sh_cli c = sh_cli_start(verb, argc, argv);
    c.no_dash_it =
        "a foreground run always forwards stdin and gets a terminal when it has one (--tty "
        "forces it); -t names the image and -i the attestation address";
    *o = (struct sh_run_options){0};
    return read_options(&c, o, &err) ? sh_cli_usage(c.shown, "%s", err.text) : c.status;
}
