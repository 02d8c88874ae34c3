// SPDX-License-Identifier: Apache-2.0
// shelter build
#include <errno.h>
#include <getopt.h>

#include "host/base/split.h"
#include "host/cli/cli.h"
#include "host/image/input/buildfile.h"

const char sh_usage_build[] =
    "Usage: shelter build [OPTION...] -f FILE... | -r TAR | oci:DIR[:TAG] | -C FILE\n"
    "\n"
    "Builds an image and prints its id. The same inputs give the same image, bit for bit.\n"
    "\n"
    "Inputs:\n"
    "  -f, --file SRC[:DST]    a program; it goes to /bin, its libraries come along. With DST any\n"
    "                          file. Can be repeated, and added to the other inputs\n"
    "  -r, --rootfs TAR        root file system, plain, gzip, zstd or xz, as docker export writes\n"
    "                          it; - is standard input\n"
    "  oci:DIR[:TAG]           OCI image layout; its command, environment, directory, user count\n"
    "  oci-archive:FILE[:TAG]  the same as a tar\n"
    "  docker-archive:FILE[:TAG]  what docker save writes\n"
    "  -C, --config FILE       build file (TOML); options here win over it\n"
    "  -a, --agent FILE        your own API server in place of the attestation agent's\n"
    "      --base DIR          guest kernel and initramfs to put into the image\n"
    "\n"
    "Settings, all measured:\n"
    "  -t, --tag NAME[:TAG]    tag\n"
    "  -c, --command 'CMD'     default command; split by quotes, no shell\n"
    "      --entrypoint 'CMD'  leading words that stay when another command is given\n"
    "  -e, --env NAME=VALUE    environment; can be repeated\n"
    "  -w, --workdir DIR       working directory\n"
    "  -u, --user USER[:GROUP] user, by name or number\n"
    "      --hostname NAME     host name\n"
    "  -p, --port PORT[/udp]   port it listens on (for documentation)\n"
    "  -m, --memory SIZE       memory it asks for\n"
    "      --cpus N            processors it asks for\n"
    "      --network NET       none, dhcp or ADDR/LEN[,GATEWAY[,DNS...]]\n"
    "      --tmpfs PATH[:size=SIZE,mode=MODE]  memory file system\n"
    "      --ulimit NAME=SOFT[:HARD]  limit, as in nofile=1024\n"
    "      --stop-signal SIG   what `shelter stop` sends; TERM if not given\n"
    "\n"
    "Policy: what the host may do with it, beside start and stop\n"
    "      --allow WORD[,WORD...]  exec, mount, signal, trace, stats, debug\n"
    "      --lock              command, environment, directory and user stay as built\n"
    "      --no-input          standard input is empty\n"
    "      --no-output         output does not reach the host\n"
    "\n"
    "Secrets:\n"
    "      --broker URL        key broker\n"
    "      --broker-key FILE   its public key (PEM or DER)\n"
    "      --secret NAME=kbs:///REPOSITORY/TYPE/TAG[:file|:env]\n"
    "                          fetched before the command starts; implies --lock\n"
    "\n"
    "      --firmware TEE=FILE   compute the reference values of snp, tdx or tdx-sim (bzimage) for\n"
    "                          this firmware, not the distribution's\n"
    "      --enclave-key FILE  signs the enclave: RSA-3072, exponent 3, PEM; else the store's own key\n"
    "  -q, --quiet             no progress\n";

enum long_option {
    OPT_ENTRYPOINT = 256,
    OPT_HOSTNAME,
    OPT_CPUS,
    OPT_NETWORK,
    OPT_TMPFS,
    OPT_ULIMIT,
    OPT_STOP,
    OPT_ALLOW,
    OPT_LOCK,
    OPT_NO_INPUT,
    OPT_NO_OUTPUT,
    OPT_BROKER,
    OPT_BROKER_KEY,
    OPT_SECRET,
    OPT_BASE,
    OPT_ENCLAVE_KEY,
    OPT_FIRMWARE,
    OPT_HELP,
};

static const struct option options[] = {
    {"file", required_argument, NULL, 'f'},
    {"rootfs", required_argument, NULL, 'r'},
    {"config", required_argument, NULL, 'C'},
    {"agent", required_argument, NULL, 'a'},
    {"base", required_argument, NULL, OPT_BASE},
    {"enclave-key", required_argument, NULL, OPT_ENCLAVE_KEY},
    {"firmware", required_argument, NULL, OPT_FIRMWARE},
    {"tag", required_argument, NULL, 't'},
    {"command", required_argument, NULL, 'c'},
    {"entrypoint", required_argument, NULL, OPT_ENTRYPOINT},
    {"env", required_argument, NULL, 'e'},
    {"workdir", required_argument, NULL, 'w'},
    {"user", required_argument, NULL, 'u'},
    {"hostname", required_argument, NULL, OPT_HOSTNAME},
    {"port", required_argument, NULL, 'p'},
    {"memory", required_argument, NULL, 'm'},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"network", required_argument, NULL, OPT_NETWORK},
    {"tmpfs", required_argument, NULL, OPT_TMPFS},
    {"ulimit", required_argument, NULL, OPT_ULIMIT},
    {"stop-signal", required_argument, NULL, OPT_STOP},
    {"allow", required_argument, NULL, OPT_ALLOW},
    {"lock", no_argument, NULL, OPT_LOCK},
    {"no-input", no_argument, NULL, OPT_NO_INPUT},
    {"no-output", no_argument, NULL, OPT_NO_OUTPUT},
    {"broker", required_argument, NULL, OPT_BROKER},
    {"broker-key", required_argument, NULL, OPT_BROKER_KEY},
    {"secret", required_argument, NULL, OPT_SECRET},
    {"quiet", no_argument, NULL, 'q'},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static int set_command(struct sh_strings *slot, const char *text, struct sh_error *err)
{
    sh_strings_free(slot);
    int r = sh_split(text, slot, err);
    if (!r && !slot->count) /* an empty list, but a given one */
        slot->v = sh_alloc(sizeof(*slot->v));
    return r;
}

static int take_option(struct sh_build *b, int o, struct sh_error *err)
{
    struct sh_config *c = &b->config;
    switch (o) {
    case 'f':
        sh_strings_add(&b->files, optarg);
        return 0;
    case 'r':
        sh_config_set(&b->rootfs, optarg);
        return 0;
    case 'a':
        sh_config_set(&b->agent, optarg);
        return 0;
    case OPT_BASE:
        sh_config_set(&b->base, optarg);
        return 0;
    case OPT_FIRMWARE:
        if (strncmp(optarg, "snp=", 4) && strncmp(optarg, "tdx=", 4) &&
            strncmp(optarg, "tdx-sim=", 8))
            return sh_fail(err, -EINVAL,
                           "--firmware %s: write snp=FILE, tdx=FILE or tdx-sim=FILE", optarg);
        sh_strings_add(&b->firmware, optarg);
        return 0;
    case OPT_ENCLAVE_KEY:
        sh_config_set(&b->enclave_key, optarg);
        return 0;
    case 't':
        sh_config_set(&b->tag, optarg);
        return 0;
    case 'c':
        return set_command(&c->command, optarg, err);
    case OPT_ENTRYPOINT:
        return set_command(&c->entrypoint, optarg, err);
    case 'e':
        return sh_config_env(c, optarg, err);
    case 'w':
        sh_config_set(&c->workdir, optarg);
        return 0;
    case 'u':
        sh_config_set(&c->user, optarg);
        return 0;
    case OPT_HOSTNAME:
        return sh_config_hostname(c, optarg, err);
    case 'p':
        return sh_config_port(c, optarg, err);
    case 'm':
        return sh_config_memory(c, optarg, err);
    case OPT_CPUS:
        return sh_config_cpus(c, optarg, err);
    case OPT_NETWORK:
        return sh_config_network(c, optarg, err);
    case OPT_TMPFS:
        return sh_config_mount(c, optarg, err);
    case OPT_ULIMIT:
        return sh_config_limit(c, optarg, err);
    case OPT_STOP:
        return sh_config_stop_signal(c, optarg, err);
    case OPT_ALLOW:
        return sh_config_policy(c, optarg, err);
    case OPT_LOCK:
        return sh_config_policy(c, "lock", err);
    case OPT_NO_INPUT:
        return sh_config_policy(c, "no-input", err);
    case OPT_NO_OUTPUT:
        return sh_config_policy(c, "no-output", err);
    case OPT_BROKER:
        return sh_config_broker(c, optarg, err);
    case OPT_BROKER_KEY:
        return sh_config_broker_key(c, optarg, err);
    case OPT_SECRET:
        return sh_config_secret(c, optarg, err);
    default: /* 'q' */
        b->quiet = true;
        return 0;
    }
}

/* One pass over the arguments: first for the build file alone, then for all that goes over it. -1:
 * usage was wrong or help was given, *status says. */
static int read_options(struct sh_build *b, int argc, char **argv, bool file_only, int *status,
                        struct sh_error *err)
{
    int r = 0;
    optind = 0;
    for (int o;
         !r && (o = getopt_long(argc, argv, ":f:r:C:a:t:c:e:w:u:p:m:q", options, NULL)) != -1;) {
        if (o == OPT_HELP) {
            *status = sh_cli_help("build");
            return 1;
        }
        if (o == '?' || o == ':') {
            *status = sh_cli_usage("build", o == ':' ? "%s needs a value" : "there is no option %s",
                                   argv[optind - 1]);
            return 1;
        }
        if (o == 'C')
            r = file_only ? sh_buildfile_read(optarg, b, err) : 0;
        else if (!file_only)
            r = take_option(b, o, err);
    }
    return r;
}

static int check_inputs(struct sh_build *b, int argc, char **argv)
{
    if (optind < argc - 1)
        return sh_cli_usage("build", "one image is enough, '%s' is too much", argv[optind + 1]);
    if (optind < argc)
        sh_config_set(&b->image, argv[optind]);
    if (!b->files.count && !b->rootfs && !b->image)
        return sh_cli_usage("build", "nothing to build from: give -f FILE, -r TAR or oci:DIR");
    return 0;
}

int cmd_build(int argc, char **argv)
{
    struct sh_build b = {0};
    struct sh_error err = {0};
    char id[SH_ID_TEXT_SIZE];
    int status = 0;
    int r = read_options(&b, argc, argv, true, &status, &err);
    if (!r)
        r = read_options(&b, argc, argv, false, &status, &err);
    if (!r)
        status = check_inputs(&b, argc, argv);
    if (!r && !status)
        r = sh_build_run(&b, id, &err);
    if (r < 0)
        status = sh_error_report(&err);
    else if (!r && !status)
        puts(id);
    sh_build_free(&b);
    return status;
}
