// SPDX-License-Identifier: Apache-2.0
// sgx-loader: runs an image in an enclave. `shelter run` starts it; it is no command for people.
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/attest/aesm.h"
#include <openssl/crypto.h>

#include "host/base/util.h"
#include "host/sgx/loader/hostile.h"
#include "host/sgx/loader/loader.h"

struct loader loader = {.options = {.channel = -1}};

void loader_fail(const struct sh_error *err)
{
    int status = err->status ? err->status : SH_EXIT_FAILURE;
    if (loader.options.channel >= 0)
        channel_exit(status, err->text);
    sh_error_report(err);
    _exit(status);
}

void loader_exit(int status, bool never_ran)
{
    loader_stats_print();
    if (loader.options.channel < 0)
        _exit(status);
    if (!never_ran) {
        loader_has_started();
        channel_exit(status, NULL);
    }
    char *text = loader.last_words;
    if (!strncmp(text, "shelter: ", 9))
        text += 9;
    text[strcspn(text, "\n")] = 0;
    channel_exit(status, text[0] ? text : "the enclave could not start the workload");
}

void loader_has_started(void)
{
    if (!loader.started && !atomic_exchange(&loader.started, true) && loader.options.channel >= 0)
        channel_started();
}

static _Noreturn void usage(void)
{
    fprintf(
        stderr,
        "usage: sgx-loader [OPTION...] ENCLAVE ROOT MANIFEST\n"
        "  --tee sgx|sgx-sim    --strict    --debug    --epc-pages N\n"
        "  --signature FILE | --key FILE  --fuse-key FILE  --sim-tee FOLDER  --aesm SOCKET\n"
        "  --launch FILE  --sites FILE  --memory BYTES\n"
        "  --network none|user  --publish tcp|udp:PORT:IP:PORT  --resolver IP[:PORT]\n"
        "  --channel FD  --tty[=ROWSxCOLUMNS]  --trace[=FILE]  --stats[=FILE]  --verbose\n"
        "  tests: --attack EVERY  --hostile RULES  --notify on|off\n");
    _exit(SH_EXIT_FAILURE);
}

enum { OPT_TEE = 256, OPT_MEMORY, OPT_EPC, OPT_KEY, OPT_FUSE, OPT_SIM_TEE, OPT_AESM, OPT_LAUNCH,
       OPT_SITES, OPT_CHANNEL, OPT_TRACE, OPT_STATS, OPT_ATTACK, OPT_PUBLISH, OPT_NETWORK, OPT_TTY,
       OPT_SIGNATURE, OPT_HOSTILE, OPT_RESOLVER, OPT_NOTIFY };

static const char **ports;
static int port_count;

static void parse(int argc, char **argv)
{
    ports = calloc((size_t)argc, sizeof(*ports));
    struct loader_options *o = &loader.options;
    static int strict, debug, verbose;
    int notify = -1;
    static const struct option options[] = {
        {"tee", required_argument, NULL, OPT_TEE},
        {"memory", required_argument, NULL, OPT_MEMORY},
        {"epc-pages", required_argument, NULL, OPT_EPC},
        {"key", required_argument, NULL, OPT_KEY},
        {"signature", required_argument, NULL, OPT_SIGNATURE},
        {"fuse-key", required_argument, NULL, OPT_FUSE},
        {"sim-tee", required_argument, NULL, OPT_SIM_TEE},
        {"aesm", required_argument, NULL, OPT_AESM},
        {"launch", required_argument, NULL, OPT_LAUNCH},
        {"sites", required_argument, NULL, OPT_SITES},
        {"channel", required_argument, NULL, OPT_CHANNEL},
        {"attack", required_argument, NULL, OPT_ATTACK},
        {"hostile", required_argument, NULL, OPT_HOSTILE},
        {"notify", required_argument, NULL, OPT_NOTIFY},
        {"strict", no_argument, &strict, 1},
        {"debug", no_argument, &debug, 1},
        {"publish", required_argument, NULL, OPT_PUBLISH},
        {"network", required_argument, NULL, OPT_NETWORK},
        {"resolver", required_argument, NULL, OPT_RESOLVER},
        {"trace", optional_argument, NULL, OPT_TRACE},
        {"stats", optional_argument, NULL, OPT_STATS},
        {"verbose", no_argument, &verbose, 1},
        {"tty", optional_argument, NULL, OPT_TTY},
        {NULL, 0, NULL, 0},
    };
    o->driver = &sgx_driver_sim;
    o->aesm = SH_AESM_SOCKET;
    for (int c; (c = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        switch (c) {
        case OPT_TEE:
            o->driver = sgx_driver_find(optarg);
            break;
        case OPT_MEMORY:
            o->memory_size = strtoull(optarg, NULL, 10);
            break;
        case OPT_EPC:
            o->epc_pages = strtoull(optarg, NULL, 10);
            break;
        case OPT_SIGNATURE:
            o->signature = optarg;
            break;
        case OPT_KEY:
            o->key = optarg;
            break;
        case OPT_SIM_TEE:
            o->sim_tee = optarg;
            break;
        case OPT_AESM:
            o->aesm = optarg;
            break;
        case OPT_FUSE:
            o->fuse_key = optarg;
            break;
        case OPT_LAUNCH:
            o->launch = optarg;
            break;
        case OPT_SITES:
            o->sites = optarg;
            break;
        case OPT_CHANNEL:
            o->channel = atoi(optarg);
            break;
        case OPT_PUBLISH:
            ports[port_count++] = optarg;
            break;
        case OPT_RESOLVER:
            o->resolver = optarg;
            break;
        case OPT_NETWORK:
            o->network = strcmp(optarg, "none") ? LOADER_NETWORK_USER : LOADER_NETWORK_NONE;
            break;
        case OPT_TTY:
            o->tty = true;
            if (optarg)
                (void)sscanf(optarg, "%hux%hu", &o->rows, &o->columns);
            break;
        case OPT_TRACE:
            o->trace = true;
            o->trace_file = optarg;
            break;
        case OPT_STATS:
            o->stats = true;
            o->stats_file = optarg;
            break;
        case OPT_ATTACK:
            o->attack = (unsigned)atoi(optarg);
            break;
        case OPT_HOSTILE:
            o->hostile = optarg;
            break;
        case OPT_NOTIFY:
            notify = !strcmp(optarg, "on");
            break;
        case 0:
            break;
        default:
            usage();
        }
    }
    o->strict = strict;
    o->debug = debug;
    o->verbose = verbose;
    o->notify = notify < 0 ? !o->attack && !o->hostile : notify;
    if (argc - optind != 3 || !o->driver || (!o->key && !o->signature))
        usage();
    o->enclave = argv[optind];
    o->root = argv[optind + 1];
    o->manifest = argv[optind + 2];
}

static void on_signal(int sig)
{
    loader_signal(sig);
}

/* The terminal's and the service manager's signals go to the workload. */
static void forward_signals(void)
{
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        loader.options.driver->sigaction(list[i], &act, NULL);
}

int main(int argc, char **argv)
{
    struct sh_error err = {0};
    parse(argc, argv);
    /* Only digests and a signature check: what OpenSSL loads by itself takes as long as all of them. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                            OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
                        NULL);
    signal(SIGPIPE, SIG_IGN);
    if (loader.options.debug) /* `shelter debug` is no ancestor of ours */
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    int r = loader.options.hostile ? hostile_init(loader.options.hostile, &err) : 0;
    if (r)
        loader_fail(&err);
    struct loader_thread *first = loader_thread_new(0);
    r = first ? 0 : sh_fail(&err, -ENOMEM, "no memory");
    for (int i = 0; i < 3; i++)
        loader_handle_set(i, i);
    if (!r && loader.options.channel >= 0)
        r = channel_init(&err);
    if (!r)
        r = loader_open_files(&err);
    if (!r && loader.options.resolver)
        r = loader_resolver(loader.options.resolver, &err);
    for (int i = 0; !r && i < port_count; i++)
        r = loader_publish(ports[i], &err);
    if (!r)
        r = loader_build(first, &err);
    if (!r)
        r = loader_kicks_init();
    if (!r && loader.options.attack)
        r = attack_init(loader.options.attack, &err);
    if (r)
        loader_fail(&err);
    if (loader.options.hostile)
        hostile_start(first->slot);
    forward_signals();
    first->running = true;
    if (loader_thread_run(first))
        first->running = false;
    for (;;)
        pause(); /* other threads go on; the last one ends us */
}
