// SPDX-License-Identifier: Apache-2.0
// shelter: finds the verb and hands over.
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/oci/runtime.h"

#define VERB(id, name, plain, min, max, missing, summary) [SH_VERB_##id] = cmd_##id,
static int (*const run[SH_VERB_COUNT])(int argc, char **argv) = {
#include "host/cli/verbs.def"
};

/* What other tools call otherwise, and what there is not. */
static const char *hint_of(const char *name)
{
    static const char *const hints[][2] = {
        {"restart", "'shelter stop NAME', then 'shelter start NAME'"},
        {"top",
         "'shelter stats NAME' shows counts; 'shelter exec NAME ps' where the image allows exec"},
        {"port", "'shelter ps' shows published ports"},
        {"pull", "'shelter build docker://NAME@sha256:DIGEST' makes an image of one in a registry"},
        {"push", "'shelter save' writes an image to a file"},
        {"create", "'shelter run -d' makes and starts an instance"},
        {"pause", "an instance can be stopped and started, not paused"},
        {"unpause", "an instance can be stopped and started, not paused"},
        {"prune",
         "'shelter clean' removes dead instances, 'shelter rm --all' stopped ones, 'shelter rmi' "
         "images"},
        {"list", "'shelter ps' lists instances, 'shelter images' images"},
    };
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
        if (!strcmp(hints[i][0], name))
            return hints[i][1];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *called = argc ? strrchr(argv[0], '/') : NULL;
    if (argc && !strncmp(called ? called + 1 : argv[0], OCI_NAME, strlen(OCI_NAME)))
        return oci_main(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        cmd_help(1, argv);
        return SH_EXIT_FAILURE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--help") || !strcmp(name, "-h"))
        name = "help";
    if (!strcmp(name, "--version") || !strcmp(name, "-V"))
        name = "version";
    const struct sh_verb *v = sh_verb_find(name, argc > 2 ? argv[2] : NULL);
    if (!v && hint_of(name))
        return sh_cli_usage("", "there is no verb '%s': %s", name, hint_of(name));
    if (!v)
        return sh_cli_usage("", "there is no verb '%s'", name);
    int words = strchr(v->name, ' ') ? 2 : 1;
    int status = run[v - sh_verbs](argc - words, argv + words);
    /* A full disk or closed pipe behind stdout must not look like success. */
    if (fflush(stdout) && status == 0 && errno != EPIPE) {
        struct sh_error err = {0};
        sh_fail_errno(&err, -errno, "cannot write the output");
        return sh_error_report(&err);
    }
    return status;
}
