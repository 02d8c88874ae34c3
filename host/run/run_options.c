// SPDX-License-Identifier: Apache-2.0
// The options of `run` and `start`. They end at the first plain argument, as docker's do.
#include "host/run/run_options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>

#include "host/base/split.h"
#include "host/run/ports.h"
#include "host/run/terminal.h"

#define MEMORY_UNIT (1ull << 20)

enum {
    OPT_TTY = 256, OPT_NO_TTY, OPT_RM, OPT_NAME, OPT_ENV_FILE, OPT_ENTRYPOINT, OPT_NETWORK,
    OPT_HOSTNAME, OPT_CPUS, OPT_TEE, OPT_BOOT, OPT_FIRMWARE, OPT_DEBUG, OPT_HELP,
    OPT_STATS, OPT_TRACE,
};

static const struct option long_options[] = {
    {"tag", required_argument, NULL, 't'},
    {"command", required_argument, NULL, 'c'},
    {"broker", required_argument, NULL, 'i'},
    {"detach", no_argument, NULL, 'd'},
    {"attach", no_argument, NULL, 'a'},
    {"tty", no_argument, NULL, OPT_TTY},
    {"no-tty", no_argument, NULL, OPT_NO_TTY},
    {"rm", no_argument, NULL, OPT_RM},
    {"name", required_argument, NULL, OPT_NAME},
    {"env", required_argument, NULL, 'e'},
    {"env-file", required_argument, NULL, OPT_ENV_FILE},
    {"entrypoint", required_argument, NULL, OPT_ENTRYPOINT},
    {"volume", required_argument, NULL, 'v'},
    {"publish", required_argument, NULL, 'p'},
    {"network", required_argument, NULL, OPT_NETWORK},
    {"net", required_argument, NULL, OPT_NETWORK},
    {"workdir", required_argument, NULL, 'w'},
    {"user", required_argument, NULL, 'u'},
    {"hostname", required_argument, NULL, OPT_HOSTNAME},
    {"memory", required_argument, NULL, 'm'},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"tee", required_argument, NULL, OPT_TEE},
    {"boot", required_argument, NULL, OPT_BOOT},
    {"firmware", required_argument, NULL, OPT_FIRMWARE},
    {"debug", no_argument, NULL, OPT_DEBUG},
    {"stats", required_argument, NULL, OPT_STATS},
    {"trace", optional_argument, NULL, OPT_TRACE},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

bool sh_is_dash_it(const char *a)
{
    return a && a[0] == '-' && a[1] && strspn(a + 1, "itd") == strlen(a + 1) && strchr(a, 'i') &&
           strchr(a, 't') && strlen(a) <= 4;
}

bool sh_run_tty(const struct sh_run_options *o)
{
    return o->tty == SH_TTY_YES || (o->tty == SH_TTY_AUTO && sh_terminal_here());
}

void sh_env_set(struct sh_strings *env, const char *pair)
{
    size_t name = strcspn(pair, "=") + 1;
    for (size_t i = 0; i < env->count; i++)
        if (!strncmp(env->v[i], pair, name)) {
            free(env->v[i]);
            env->v[i] = sh_strdup(pair);
            return;
        }
    sh_strings_add(env, pair);
}

int sh_env_option(struct sh_strings *env, const char *text, struct sh_error *err)
{
    if (!*text || *text == '=')
        return sh_fail(err, -EINVAL, "-e %s: write NAME=VALUE, or NAME to pass on your own value", text);
    if (strchr(text, '=')) {
        sh_env_set(env, text);
        return 0;
    }
    const char *value = getenv(text);
    if (value) {
        cleanup_free char *pair = sh_format("%s=%s", text, value);
        sh_env_set(env, pair);
    }
    return 0;
}

int sh_env_file(struct sh_strings *env, const char *path, struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    size_t size;
    int r = sh_read_file(AT_FDCWD, path, 1 << 20, &text, &size, err);
    if (r)
        return r;
    if (memchr(text, 0, size))
        return sh_fail(err, -EINVAL, "the environment file %s holds a NUL byte", path);
    unsigned number = 0;
    for (char *line = (char *)text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        number++;
        line[strcspn(line, "\r")] = 0;
        line += strspn(line, " \t");
        if (!*line || *line == '#')
            continue;
        size_t name = strcspn(line, "=");
        if (!name || strcspn(line, " \t") < name)
            return sh_fail(err, -EINVAL, "line %u of the environment file %s is not NAME=VALUE", number,
                           path);
        r = sh_env_option(env, line, err);
        if (r)
            return r;
    }
    return 0;
}

static int add_port(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    o->ports = sh_realloc_array(o->ports, o->port_count + 1, sizeof(*o->ports));
    return sh_port_parse(text, &o->ports[o->port_count++], err);
}

static int add_mount(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    o->mounts = sh_realloc_array(o->mounts, o->mount_count + 1, sizeof(*o->mounts));
    return sh_mount_parse(text, &o->mounts[o->mount_count++], err);
}

static int set_memory(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    if (sh_parse_size(text, &o->memory))
        return sh_fail(err, -EINVAL, "-m %s: write a size such as 512M or 2G", text);
    if (o->memory < SH_LAUNCH_MEMORY_MIN)
        return sh_fail(err, -EINVAL, "-m %s: too little memory; a shelter needs at least %lluM", text,
                       SH_LAUNCH_MEMORY_MIN >> 20);
    uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (o->memory > host) {
        char shown[16];
        sh_format_size(shown, sizeof(shown), host);
        return sh_fail(err, -EINVAL, "-m %s: this machine has %s only", text, shown);
    }
    o->memory = (o->memory + MEMORY_UNIT - 1) / MEMORY_UNIT * MEMORY_UNIT;
    return 0;
}

static int set_cpus(struct sh_run_options *o, const char *text, struct sh_error *err)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (!*text || *end || *text == '-' || !n || n > SH_LAUNCH_CPUS_MAX)
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
    if (strcmp(text, "user") && strcmp(text, "none"))
        return sh_fail(err, -EINVAL, "--network %s: write user or none", text);
    return 0;
}

static int take_option(struct sh_run_options *o, int c, char *value, struct sh_error *err)
{
    switch (c) {
    case 't':
        o->image = value;
        o->image_by_tag_option = true;
        return 0;
    case 'c':
        o->has_command_text = true;
        return sh_split(value, &o->command, err);
    case 'i':
        free(o->broker);
        o->broker = sh_strdup(value);
        return 0;
    case 'd': o->detach = true; return 0;
    case 'a': o->attach = true; return 0;
    case 'e': return sh_env_option(&o->env, value, err);
    case 'v': return add_mount(o, value, err);
    case 'p': return add_port(o, value, err);
    case 'w': o->workdir = value; return 0;
    case 'u': o->user = value; return 0;
    case 'm': return set_memory(o, value, err);
    case OPT_TTY: o->tty = SH_TTY_YES; return 0;
    case OPT_NO_TTY: o->tty = SH_TTY_NO; return 0;
    case OPT_RM: o->remove = true; return 0;
    case OPT_NAME: o->name = value; return 0;
    case OPT_ENV_FILE: return sh_env_file(&o->env, value, err);
    case OPT_ENTRYPOINT: o->entrypoint = value; return 0;
    case OPT_NETWORK: return set_network(o, value, err);
    case OPT_HOSTNAME: o->hostname = value; return 0;
    case OPT_CPUS: return set_cpus(o, value, err);
    case OPT_TEE: o->tee = value; return 0;
    case OPT_BOOT: return set_boot(o, value, err);
    case OPT_FIRMWARE: o->firmware = value; return 0;
    case OPT_DEBUG: o->debug = true; return 0;
    case OPT_STATS: o->stats = value; return 0;
    case OPT_TRACE:
        o->trace = true;
        o->trace_file = value;
        return 0;
    default: return -EINVAL;
    }
}

static int check(const struct sh_run_options *o, struct sh_error *err)
{
    if (o->name && !sh_instance_name_ok(o->name))
        return sh_fail(err, -EINVAL, "--name %s: use letters, digits and _ . -, at most 63", o->name);
    if (o->workdir && o->workdir[0] != '/')
        return sh_fail(err, -EINVAL, "-w %s: the working directory is an absolute path", o->workdir);
    if (o->user && !*o->user)
        return sh_fail(err, -EINVAL, "-u: the user is empty");
    if (o->hostname && (!*o->hostname || strlen(o->hostname) > 64))
        return sh_fail(err, -EINVAL, "--hostname %s: use 1 to 64 characters", o->hostname);
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

int sh_run_options_parse(int argc, char **argv, struct sh_run_options *o, struct sh_error *err)
{
    *o = (struct sh_run_options){0};
    optind = 0;
    opterr = 0;
    for (;;) {
        int at = optind ? optind : 1;
        if (at < argc && sh_is_dash_it(argv[at]))
            return sh_fail(err, -EINVAL,
                           "there is no %s: a foreground run always forwards stdin and gets a terminal "
                           "when it has one (--tty forces it); -t names the image and -i the "
                           "attestation address", argv[at]);
        int c = getopt_long(argc, argv, "+:t:c:i:dae:v:p:w:u:m:h", long_options, NULL);
        if (c < 0)
            break;
        if (c == 'h' || c == OPT_HELP) {
            o->help = true;
            return 0;
        }
        if (c == '?')
            return sh_fail(err, -EINVAL, "there is no option %s", argv[optind - 1]);
        if (c == ':')
            return sh_fail(err, -EINVAL, "%s needs a value", argv[optind - 1]);
        int r = take_option(o, c, optarg, err);
        if (r)
            return r;
    }
    if (!o->image && optind < argc)
        o->image = argv[optind++];
    while (optind < argc)
        sh_strings_add(&o->command, argv[optind++]);
    return check(o, err);
}

void sh_run_options_free(struct sh_run_options *o)
{
    sh_strings_free(&o->command);
    sh_strings_free(&o->env);
    free(o->broker);
    free(o->ports);
    for (size_t i = 0; i < o->mount_count; i++) {
        free(o->mounts[i].source);
        free(o->mounts[i].target);
    }
    free(o->mounts);
    *o = (struct sh_run_options){0};
}
