// SPDX-License-Identifier: Apache-2.0
// shelter attest: evidence from a running instance; the simulated TEEs' root and collateral.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <openssl/rand.h>

#include "host/attest/sim_tee.h"
#include "host/base/temp.h"
#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/cli/verify.h"
#include "host/run/control.h"
#include "lib/hex.h"
#include "verifier/base/json_read.h"

struct options {
    const char *instance, *nonce, *output, *collateral, *tee;
    bool json, root;
};

/* The nonce's bytes; a random one where none is given. */
static int take_nonce(const struct options *o, uint8_t nonce[SH_ATTEST_NONCE_MAX], size_t *size,
                      struct sh_error *err)
{
    size_t digits = o->nonce ? strlen(o->nonce) : 0;
    char text[65];
    if (o->nonce) {
        *size = digits / 2;
        if (!*size || *size > SH_ATTEST_NONCE_MAX || sh_unhex(nonce, *size, o->nonce))
            return sh_fail(err, -EINVAL, "--nonce takes 2 to %u hex digits, an even number",
                           2 * SH_ATTEST_NONCE_MAX);
        return 0;
    }
    *size = 32;
    if (RAND_bytes(nonce, (int)*size) != 1)
        return sh_fail(err, -EIO, "the system provides no random bytes");
    sh_hex(text, nonce, *size);
    fprintf(stderr, "nonce %s\n", text);
    return 0;
}

static int write_evidence(const struct options *o, const char *text, struct sh_error *err)
{
    size_t size = strlen(text);
    if (o->output && strcmp(o->output, "-"))
        return sh_write_file(AT_FDCWD, o->output, text, size, 0644, err);
    fputs(text, stdout);
    if (size && text[size - 1] != '\n')
        putchar('\n');
    return fflush(stdout) ? sh_fail_errno(err, -errno, "cannot write the evidence") : 0;
}

static int attest_instance(struct sh_store *store, const char *name, const struct options *o,
                           struct sh_error *err)
{
    struct sh_instance instance;
    uint8_t nonce[SH_ATTEST_NONCE_MAX];
    char hex[2 * SH_ATTEST_NONCE_MAX + 1];
    cleanup_free char *answer = NULL, *text = NULL;
    size_t size = 0;
    int r = sh_instance_open(store, name, &instance, err);
    if (r)
        return r;
    if (!sh_instance_alive(&instance))
        r = sh_fail(err, -ESRCH, "instance %s is not running", instance.config.name);
    if (!r)
        r = take_nonce(o, nonce, &size, err);
    if (!r)
        r = sh_control_request(&instance, SH_FRAME_ATTEST, nonce, size, &answer, err);
    cJSON *evidence = r ? NULL : sv_json_read_text(answer, NULL, 0);
    if (!r && !cJSON_IsObject(evidence))
        r = sh_fail(err, -EBADMSG, "instance %s gave no evidence", instance.config.name);
    if (!r && instance.config.simulated)
        sh_tee_warn_simulated(instance.config.tee);
    if (!r && o->json) {
        sh_hex(hex, nonce, size);
        cJSON_AddStringToObject(evidence, "instance", instance.config.name);
        cJSON_AddStringToObject(evidence, "tee", instance.config.tee);
        cJSON_AddStringToObject(evidence, "nonce", hex);
    }
    if (!r && !(text = cJSON_PrintUnformatted(evidence)))
        r = sh_fail(err, -ENOMEM, "no memory for the evidence");
    cJSON_Delete(evidence);
    sh_instance_close(&instance);
    return r ? r : write_evidence(o, text, err);
}

static int write_simulated(struct sh_store *store, const struct options *o, struct sh_error *err)
{
    cleanup_free char *dir = sh_format("%s/" SH_STORE_SIM_TEE, store->path);
    cleanup_free char *path = sh_format("%s/" SH_SIM_ROOT, dir);
    cleanup_free uint8_t *text = NULL;
    size_t size;
    int r = sh_sim_tee_make(dir, err);
    if (!r && o->collateral)
        return sh_sim_collateral_write(dir, o->collateral, !strcmp(o->tee, "tdx-sim"), err);
    if (!r)
        r = sh_read_file(AT_FDCWD, path, 65536, &text, &size, err);
    return r ? r : write_evidence(o, (char *)text, err);
}

/* -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    struct sh_cli c = sh_cli_start(SH_VERB_attest, argc, argv);
    for (int i; (i = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_attest_option)i) {
        case SH_attest_nonce:
            o->nonce = c.value;
            break;
        case SH_attest_output:
            o->output = c.value;
            break;
        case SH_attest_collateral:
            o->collateral = c.value;
            break;
        case SH_attest_tee:
            o->tee = c.value;
            break;
        case SH_attest_json:
            o->json = true;
            break;
        case SH_attest_simulated_root:
            o->root = true;
            break;
        case SH_attest_tls: /* cmd_attest saw it */
        case SH_attest_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    if (o->collateral && (!o->tee || (strcmp(o->tee, "sgx-sim") && strcmp(o->tee, "tdx-sim"))))
        return sh_cli_usage("attest", "--collateral is for --tee sgx-sim or tdx-sim");
    if (o->collateral && o->root)
        return sh_cli_usage("attest", "give --simulated-root or --collateral, not both");
    if (o->tee && !o->collateral)
        return sh_cli_usage("attest", "--tee belongs to --collateral");
    bool names = !o->root && !o->collateral;
    if (c.count != names)
        return sh_cli_usage("attest", names ? "name an instance" : "unexpected argument '%s'",
                            c.args[0]);
    o->instance = c.args[0];
    return -1;
}

int cmd_attest(int argc, char **argv)
{
    /* A TLS server is no instance of ours: that is the verifier's business, with its options. */
    for (int i = 1; i < argc; i++)
        if (!strncmp(argv[i], "--tls", 5) && (!argv[i][5] || argv[i][5] == '='))
            return cmd_verify(argc, argv);
    struct options o = {0};
    struct sh_error err = {0};
    struct sh_store store;
    int status = parse_options(argc, argv, &o);
    if (status >= 0)
        return status;
    int r = sh_store_open(&store, &err);
    if (r)
        return sh_error_report(&err);
    r = o.root || o.collateral ? write_simulated(&store, &o, &err)
                               : attest_instance(&store, o.instance, &o, &err);
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}
