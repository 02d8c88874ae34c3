// SPDX-License-Identifier: Apache-2.0
// shelter tcb
#include <fcntl.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "host/store/base_files.h"
#include "verifier/base/json.h"

static bool part_belongs(const cJSON *part, const char *tee)
{
    const cJSON *t;
    cJSON_ArrayForEach(
        t, cJSON_GetObjectItem(part, "tees")) if (cJSON_IsString(t) &&
                                                  !strcmp(t->valuestring, tee)) return true;
    return false;
}

/* A number or "-"; adds it to the sum. False when it is not known. */
static bool print_number(const cJSON *part, const char *name, int width, double *sum)
{
    const cJSON *n = sv_json_get(part, name);
    if (!cJSON_IsNumber(n)) {
        printf(" %*s", width, "-");
        return false;
    }
    printf(" %*.0f", width, n->valuedouble);
    if (sum)
        *sum += n->valuedouble;
    return true;
}

static void print_tee(const cJSON *parts, const char *tee)
{
    double lines = 0, bytes = 0;
    bool any = false, known = true;
    const cJSON *p;
    cJSON_ArrayForEach(p, parts)
    {
        if (!part_belongs(p, tee))
            continue;
        if (!any)
            printf("%s\n  %-16s %7s %9s %10s\n", tee, "part", "files", "lines", "bytes");
        any = true;
        printf("  %-16s", sv_json_text(p, "part"));
        print_number(p, "files", 7, NULL);
        known &= print_number(p, "lines", 9, &lines);
        print_number(p, "bytes", 10, &bytes);
        printf("  %s\n", sv_json_text(p, "what"));
    }
    if (any)
        printf("  %-16s %7s %9.0f %10.0f%s\n", "total", "", lines, bytes,
               known ? "" : "  (at least: - is not known here)");
}

static int print_tcb(bool json, struct sh_error *err)
{
    static const char *const tees[] = {"sgx", "sgx-sim", "tdx", "snp", "csv", "tdx-sim"};
    cleanup_free char *dir = sh_base_find(NULL, err);
    if (!dir)
        return -1;
    cleanup_free char *path = sh_format("%s/tcb.json", dir);
    cleanup_free uint8_t *text = NULL;
    size_t size;
    if (sh_read_file(AT_FDCWD, path, 1 << 20, &text, &size, err))
        return -1;
    cJSON *root = cJSON_Parse((char *)text);
    if (!root)
        return sh_fail(err, -1, "%s is damaged; run 'make tools' in Shelter's folder", path);
    if (json)
        fputs((char *)text, stdout);
    else
        for (size_t i = 0; i < sizeof(tees) / sizeof(tees[0]); i++)
            print_tee(cJSON_GetObjectItem(root, "parts"), tees[i]);
    cJSON_Delete(root);
    return 0;
}

int cmd_tcb(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_tcb, argc, argv);
    struct sh_error err = {0};
    bool json = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_tcb_option)o) {
        case SH_tcb_json:
            json = true;
            break;
        case SH_tcb_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return print_tcb(json, &err) ? sh_error_report(&err) : 0;
}
