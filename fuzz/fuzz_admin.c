// SPDX-License-Identifier: Apache-2.0
// What an operator sends to the admin API: the first byte says which operation, the rest is its
// object. A reader changes nothing and sees no secret, whatever they send.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verifier/base/json_read.h"
#include "verifier/broker/admin.h"

#define SECRET "what nobody reads"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const operations[] = {"whoami",
                                         "list",
                                         "attested",
                                         "log",
                                         "log-check",
                                         "volumes",
                                         "certificates",
                                         "authority",
                                         "policy",
                                         "explain",
                                         "proposal",
                                         "resource-set",
                                         "resource-remove",
                                         "policy-set",
                                         "policy-remove",
                                         "identity-set",
                                         "volume-set",
                                         "identity-revoke",
                                         "volume-reset",
                                         "reference-set",
                                         "reference-reject",
                                         "operators",
                                         "reference-approve",
                                         "reference-remove",
                                         "operator-add",
                                         "operator-remove"};
static char folder[] = "/dev/shm/fuzz-admin.XXXXXX";
static struct sb_store *store;

static void end_store(void)
{
    char command[64];

    sb_store_close(store);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    if (system(command))
        abort();
}

static void make_store(void)
{
    char why[300];

    if (!mkdtemp(folder) || sb_store_open(folder, true, &store, why, sizeof(why)) ||
        sb_resource_put(store, "a/secret/one", SECRET, sizeof(SECRET) - 1, false))
        abort();
    atexit(end_store);
}

static char *do_one(unsigned may, const char *operation, const cJSON *args)
{
    struct sb_asker a = {.store = store, .who = "a", .name = "a", .may = may, .now_ms = 1000};
    struct sb_refusal no;
    cJSON *o = sb_admin_do(&a, operation, args, &no);
    char *text = o ? cJSON_PrintUnformatted(o) : NULL;

    if (!o && (!no.status || !*no.code || !*no.detail))
        abort();
    cJSON_Delete(o);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *operation;
    char *before, *after, *text;
    cJSON *args;

    if (!store)
        make_store();
    if (!size)
        return 0;
    operation = operations[*data % (sizeof(operations) / sizeof(operations[0]))];
    args = sv_json_read(data + 1, size - 1, 10000, NULL, 0);
    if (!cJSON_IsObject(args)) {
        cJSON_Delete(args);
        return 0;
    }
    before = do_one(SB_MAY_READ, "list", NULL);
    text = do_one(SB_MAY_READ, operation, args);
    after = do_one(SB_MAY_READ, "list", NULL);
    if (!before || !after || strcmp(before, after) || (text && strstr(text, SECRET)))
        abort();
    free(text);
    text = do_one(SB_MAY_ALL, operation, args);
    if (text && strstr(text, SECRET))
        abort();
    free(before);
    free(after);
    free(text);
    cJSON_Delete(args);
    return 0;
}
