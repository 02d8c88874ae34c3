// SPDX-License-Identifier: Apache-2.0
// The command line: one table, which is also its help.
#include <getopt.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/attest/aesm.h"
#include "host/base/util.h"
#include "host/sgx/loader/loader.h"

struct loader loader = {
    .options = {.driver = &sgx_driver_sim, .outside.aesm = SH_AESM_SOCKET, .channel = -1}};

struct row {
    const char *name;
    const char *value; /* as the help shows it; NULL: there is none; with "[=": it may lack */
    bool (*take)(const struct row *row, const char *text); /* false: not understood */
    void *to; /* the field, where `take` does not know it */
};

static bool take_flag(const struct row *row, const char *text)
{
    return *(bool *)row->to = true;
}

static bool take_text(const struct row *row, const char *text)
{
    *(const char **)row->to = text;
    return *text;
}

static bool take_number(const struct row *row, const char *text)
{
    return !sh_parse_number(text, 0, UINT64_MAX, row->to);
}

static bool take_fd(const struct row *row, const char *text)
{
    uint64_t fd;
    bool good = !sh_parse_number(text, 0, INT_MAX, &fd);
    *(int *)row->to = good ? (int)fd : -1;
    return good;
}

static bool take_tee(const struct row *row, const char *text)
{
    return (loader.options.driver = sgx_driver_find(text));
}

static bool take_network(const struct row *row, const char *text)
{
    struct outside_options *o = &loader.options.outside;
    o->egress.host_loopback = !strcmp(text, "host-loopback");
    o->network = o->egress.host_loopback || !strcmp(text, "user");
    return o->network || !strcmp(text, "none");
}

static bool take_broker(const struct row *row, const char *text)
{
    return !sh_egress_parse(text, &loader.options.outside.egress.broker);
}

static bool take_resolver(const struct row *row, const char *text)
{
    return text[0] != '[' && !sh_egress_parse(text, &loader.options.outside.resolver);
}

static bool take_port(const struct row *row, const char *text)
{
    struct outside_options *o = &loader.options.outside;
    struct sh_error err = {0};
    if (o->port_count == OUTSIDE_PORTS_MAX)
        return false;
    o->ports = sh_realloc_array(o->ports, o->port_count + 1, sizeof(*o->ports));
    return !sh_port_parse(text, &o->ports[o->port_count++], &err);
}

static bool take_volume(const struct row *row, const char *text)
{
    struct loader_options *o = &loader.options;
    if (o->volume_count == LOADER_VOLUMES_MAX)
        return false;
    const struct row to = {.to = &o->volumes[o->volume_count++]};
    return take_fd(&to, text);
}

static bool take_data(const struct row *row, const char *text)
{
    struct loader_options *o = &loader.options;
    if (o->data_count == SH_DATA_MAX)
        return false;
    o->data[o->data_count++] = text;
    return *text;
}

static bool take_share(const struct row *row, const char *text)
{
    struct outside_options *o = &loader.options.outside;
    const char *rest = strchr(text, ':');
    char number[4] = "";
    uint64_t n = 0;
    if (!rest || (size_t)(rest - text) >= sizeof(number))
        return false;
    memcpy(number, text, (size_t)(rest - text));
    bool read_only = !strncmp(rest, ":ro:/", 5);
    if (sh_parse_number(number, 0, OUTSIDE_SHARES_MAX - 1, &n) ||
        (!read_only && strncmp(rest, ":rw:/", 5)))
        return false;
    o->shares[n] = (struct outside_share){rest + 4, read_only};
    o->share_count = n < o->share_count ? o->share_count : (unsigned)n + 1;
    return true;
}

static bool take_tty(const struct row *row, const char *text)
{
    char rows[8] = "";
    const char *x = text ? strchr(text, 'x') : NULL;
    uint64_t r = 0, c = 0;
    loader.options.tty = true;
    if (x && (size_t)(x - text) < sizeof(rows))
        memcpy(rows, text, (size_t)(x - text));
    if (text &&
        (sh_parse_number(rows, 0, UINT16_MAX, &r) || sh_parse_number(x + 1, 0, UINT16_MAX, &c)))
        return false;
    loader.options.rows = (uint16_t)r;
    loader.options.columns = (uint16_t)c;
    return true;
}

static bool take_trace(const struct row *row, const char *text)
{
    loader.options.trace_file = text;
    return loader.options.trace = true;
}

static bool take_stats(const struct row *row, const char *text)
{
    loader.options.stats_file = text;
    return loader.options.stats = true;
}

#define TO(field) &loader.options.field
static const struct row table[] = {
    {"tee", "sgx|sgx-sim", take_tee, NULL},
    {"epc-pages", "N", take_number, TO(epc_pages)},
    {"signature", "FILE", take_text, TO(signature)},
    {"fuse-key", "FILE", take_text, TO(outside.fuse_key)},
    {"sim-tee", "FOLDER", take_text, TO(outside.sim_tee)},
    {"aesm", "SOCKET", take_text, TO(outside.aesm)},
    {"launch", "FILE", take_text, TO(launch)},
    {"sites", "FILE", take_text, TO(sites)},
    {"uses", "FILE", take_text, TO(uses)},
    {"channel", "FD", take_fd, TO(channel)},
    {"network", "user|none|host-loopback", take_network, NULL},
    {"broker", "IP:PORT", take_broker, NULL},
    {"publish", "[IP:]PORT:PORT[/udp]", take_port, NULL},
    {"publish-all", NULL, take_flag, TO(outside.publish_all)},
    {"volume", "FD", take_volume, NULL},
    {"data", "FILE", take_data, NULL},
    {"share", "N:ro|rw:FOLDER", take_share, NULL},
    {"resolver", "IP:PORT", take_resolver, NULL},
    {"tty", "[=ROWSxCOLUMNS]", take_tty, NULL},
    {"hold", NULL, take_flag, TO(hold)},
    {"trace", "[=FILE]", take_trace, NULL},
    {"stats", "[=FILE]", take_stats, NULL},
    {"require-confinement", NULL, take_flag, TO(require_confinement)},
    {"strict", NULL, take_flag, TO(strict)},
    {"debug", NULL, take_flag, TO(debug)},
};
#define COUNT (sizeof(table) / sizeof(table[0]))

static bool may_lack(const struct row *row)
{
    return row->value && !strncmp(row->value, "[=", 2);
}

static _Noreturn void fail_usage(void)
{
    fprintf(stderr, "usage: sgx-loader --signature FILE [OPTION...] ENCLAVE ROOT MANIFEST\n");
    for (size_t i = 0; i < COUNT; i++) {
        const char *value = table[i].value;
        fprintf(stderr, "  --%s%s%s\n", table[i].name, value && !may_lack(&table[i]) ? " " : "",
                value ? value : "");
    }
    _exit(SH_EXIT_FAILURE);
}

/* Where the plain arguments begin. `more`: of an enclave that is made already. */
static int parse_options(int argc, char **argv, bool more)
{
    struct option options[COUNT + 1] = {{0}};
    optind = 0;
    for (size_t i = 0; i < COUNT; i++)
        options[i] = (struct option){table[i].name,
                                     !table[i].value       ? no_argument
                                     : may_lack(&table[i]) ? optional_argument
                                                           : required_argument,
                                     NULL, (int)i + 256};
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        const struct row *row = c < 256 ? NULL : &table[c - 256];
        bool known = row && (!more || row->take == take_tty || row->take == take_port);
        if (known && row->take(row, optarg))
            continue;
        if (!known)
            fail_usage();
        fprintf(stderr, "sgx-loader: --%s %s: write %s\n", row->name, optarg, row->value);
        _exit(SH_EXIT_FAILURE);
    }
    return optind;
}

void loader_parse_more(int argc, char **argv)
{
    loader.options.outside.port_count = 0;
    (void)parse_options(argc, argv, true);
}

void loader_parse(int argc, char **argv)
{
    struct loader_options *o = &loader.options;
    int at = parse_options(argc, argv, false);
    if (argc - at != 3 || !o->signature || (o->hold && o->channel < 0))
        fail_usage();
    o->outside.number = (unsigned)getpid();
    o->outside.simulated = o->driver->simulated;
    o->outside.has_channel = o->channel >= 0;
    o->outside.publish_later = o->hold;
    o->enclave = argv[at];
    o->root = argv[at + 1];
    o->manifest = argv[at + 2];
}
