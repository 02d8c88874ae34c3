// SPDX-License-Identifier: Apache-2.0
// shelter-runtime: global options, the verb, and errors in the form that engines read.
#include "host/oci/runtime.h"

#include <errno.h>
#include <getopt.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include <cjson/cJSON.h>

#include "host/base/utf8.h"

static const struct verb {
    const char *name;
    oci_verb *run;
    const char *usage, *summary;
} verbs[] = {
    {"create", oci_create, "[--bundle DIR] [--pid-file FILE] [--console-socket SOCKET] ID",
     "make a container; its program waits for start"},
    {"run", oci_run, "[--bundle DIR] [--pid-file FILE] [--detach] ID", "create and start"},
    {"start", oci_start, "ID", "start the program of a container"},
    {"state", oci_state, "ID", "print the state as JSON"},
    {"kill", oci_kill, "[--all] ID [SIGNAL]", "send a signal (default TERM)"},
    {"delete", oci_delete, "[--force] ID", "remove a stopped container"},
    {"exec", oci_exec, "[--process FILE] [--pid-file FILE] [--detach] [--tty] ID [PROGRAM ARG...]",
     "start a further program, where the image allows it"},
    {"list", oci_list, "[--format table|json] [--quiet]", "list containers"},
    {"ps", oci_ps, "[--format table|json] ID", "list the container's processes on the host"},
    {"pause", oci_pause, "ID", "stop all of it for a while"},
    {"resume", oci_resume, "ID", "let it go on"},
    {"update", oci_update, "--resources FILE ID", "change limits of its cgroup"},
    {"events", oci_events, "--stats ID", "print counts of its cgroup"},
    {"features", oci_features, "", "print what this runtime knows as JSON"},
    {"spec", oci_spec, "[--bundle DIR]", "write an example config.json"},
};

static void print_help(FILE *out)
{
    fprintf(out, "Usage: shelter-runtime [OPTION...] COMMAND [ARGUMENT...]\n\n"
                 "Runs OCI containers in enclaves and confidential VMs (runtime-spec " OCI_VERSION
                 ").\nEngines call it: podman --runtime, containerd's BinaryName, CRI-O's "
                 "runtime_path.\n\nCommands:\n");
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        fprintf(out, "  %-9s %s\n", verbs[i].name, verbs[i].summary);
    fprintf(out, "\nOptions:\n"
                 "  --root DIR             containers' state (/run/shelter-runtime)\n"
                 "  --store DIR            images (as for shelter: $SHELTER_STORE)\n"
                 "  --tee TEE              where an annotation names none; shelter-runtime-TEE,\n"
                 "                         as the name of a link to this program, says the same\n"
                 "  --log FILE             errors are written there, too\n"
                 "  --log-format text|json\n"
                 "  --debug                more in the log\n"
                 "  --systemd-cgroup       cgroupsPath is SLICE:PREFIX:NAME\n"
                 "  --rootless WORD        taken, and found out by looking\n"
                 "  --version, --help\n");
}

/* --- errors --- */

static void log_error(const struct oci_runtime *rt, const char *text)
{
    char when[40];
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
    cleanup_fclose FILE *f = rt->log ? fopen(rt->log, "ae") : NULL;
    if (!f)
        return;
    cJSON *line = cJSON_CreateObject();
    cleanup_free char *clean = sh_utf8_clean(text, strlen(text));
    cJSON_AddStringToObject(line, "level", "error");
    cJSON_AddStringToObject(line, "msg", clean);
    cJSON_AddStringToObject(line, "time", when);
    cleanup_free char *json = cJSON_PrintUnformatted(line);
    cleanup_free char *quoted =
        cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(line, "msg"));
    if (rt->log_json)
        fprintf(f, "%s\n", json);
    else
        fprintf(f, "time=\"%s\" level=error msg=%s\n", when, quoted);
    cJSON_Delete(line);
}

/* --- options --- */

enum {
    ROOT = 1,
    STORE,
    TEE,
    LOG,
    LOG_FORMAT,
    DEBUG,
    SYSTEMD_CGROUP,
    ROOTLESS,
    CRIU,
    VERSION,
    HELP
};

static const struct option options[] = {
    {"root", required_argument, NULL, ROOT},
    {"store", required_argument, NULL, STORE},
    {"tee", required_argument, NULL, TEE},
    {"log", required_argument, NULL, LOG},
    {"log-format", required_argument, NULL, LOG_FORMAT},
    {"debug", no_argument, NULL, DEBUG},
    {"systemd-cgroup", no_argument, NULL, SYSTEMD_CGROUP},
    {"rootless", required_argument, NULL, ROOTLESS},
    {"criu", required_argument, NULL, CRIU},
    {"version", no_argument, NULL, VERSION},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* -1: go on; else the exit status. */
static int take_option(struct oci_runtime *rt, int option)
{
    switch (option) {
    case ROOT:
        rt->root = optarg;
        return -1;
    case STORE:
        setenv("SHELTER_STORE", optarg, true);
        return -1;
    case TEE:
        rt->tee = optarg;
        return -1;
    case LOG:
        rt->log = strcmp(optarg, "/dev/stderr") ? optarg : NULL;
        return -1;
    case LOG_FORMAT:
        rt->log_json = !strcmp(optarg, "json");
        if (rt->log_json || !strcmp(optarg, "text"))
            return -1;
        fprintf(stderr, "shelter-runtime: --log-format is text or json\n");
        return 1;
    case DEBUG:
        rt->debug = true;
        return -1;
    case SYSTEMD_CGROUP:
        rt->systemd_cgroup = true;
        return -1;
    case ROOTLESS:
    case CRIU: /* of no use to a TEE, and given by some engines always */
        return -1;
    case VERSION:
        printf("shelter-runtime version %s\nspec: %s\n", SHELTER_VERSION, OCI_VERSION);
        return 0;
    case HELP:
        print_help(stdout);
        return 0;
    default:
        return 1;
    }
}

static char *default_root(void)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    /* Root of an ordinary user's namespace (rootless podman) may not write there either. */
    return run && (geteuid() || access("/run", W_OK)) ? sh_format("%s/shelter-runtime", run)
                                                      : sh_strdup("/run/shelter-runtime");
}

static int run_verb(const struct oci_runtime *rt, int argc, char **argv)
{
    struct sh_error err = {0};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
        if (strcmp(argv[0], verbs[i].name))
            continue;
        if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
            printf("Usage: shelter-runtime %s %s\n\n%s\n", argv[0], verbs[i].usage,
                   verbs[i].summary);
            return 0;
        }
        int r = verbs[i].run(rt, argc, argv, &err);
        if (!r && fflush(stdout))
            r = sh_fail_errno(&err, -errno, "cannot write the output");
        if (r >= 0)
            return r;
        for (char *p = err.text; *p; p++) /* one line, whatever a bundle or hook says */
            if ((unsigned char)*p < ' ' || *p == 127)
                *p = '?';
        log_error(rt, err.text);
        fprintf(stderr, "shelter-runtime: %s\n", err.text);
        return 1;
    }
    fprintf(stderr, "shelter-runtime: there is no command '%s'; --help lists them\n", argv[0]);
    return 1;
}

int oci_main(int argc, char **argv)
{
    struct oci_runtime rt = {0};
    cleanup_free char *root = default_root();
    rt.root = root;
    const char *suffix = strstr(argv[0], OCI_NAME "-");
    rt.tee = suffix ? suffix + strlen(OCI_NAME "-") : getenv("SHELTER_TEE");
    signal(SIGPIPE, SIG_IGN);
    /* What an engine left open is not for the container: it has no descriptors of the host. */
    syscall(SYS_close_range, 3, ~0u, 0);
    for (int o; (o = getopt_long(argc, argv, "+h", options, NULL)) != -1;) {
        int status = take_option(&rt, o == 'h' ? HELP : o);
        if (status >= 0)
            return status;
    }
    cleanup_free char *absolute = NULL;
    if (*rt.root != '/') {
        cleanup_free char *here = realpath(".", NULL);
        rt.root = absolute = sh_format("%s/%s", here ? here : "", rt.root);
    }
    if (optind == argc) {
        print_help(stderr);
        return 1;
    }
    return run_verb(&rt, argc - optind, argv + optind);
}
