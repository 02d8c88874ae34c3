// SPDX-License-Identifier: Apache-2.0
// quoter FOLDER [SECONDS_AGO]: a made-up platform that quotes on demand, under test roots that stay
// the same. Writes FOLDER/KIND/{root.pem,collateral.json} for each KIND (tdx, sim, sgx), then
// answers each line "KIND REPORT_DATA CONFIG_ID [debug]" (hex; "-" for an unset config) with the
// quote in base64.
#include "tests/gen/evidence.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/hex.h"

static const char *const kinds[] = {"tdx", "sim", "sgx"};

static struct gen_intel_options options_of(const char *kind)
{
    struct gen_intel_options o = {.version = 4, .tdx = true, .keep_pki = true};

    o.simulated_root = !strcmp(kind, "sim");
    if (!strcmp(kind, "sgx")) {
        o.version = 3;
        o.tdx = false;
    }
    return o;
}

static void prepare(const char *folder, const char *kind)
{
    struct gen_intel_options o = options_of(kind);
    struct gen_intel g;
    char path[4096], *json;

    snprintf(path, sizeof(path), "%s/%s", folder, kind);
    if (mkdir(path, 0700) && errno != EEXIST) {
        perror(path);
        exit(1);
    }
    gen_intel(&o, &g);
    json = gen_intel_collateral(&g);
    gen_save(path, "root.pem", g.root.data, g.root.size);
    gen_save(path, "collateral.json", json, strlen(json));
    free(json);
    gen_intel_free(&g);
}

static void answer(const char *kind, const char *report_data, const char *config, bool debug)
{
    struct gen_intel_options o = options_of(kind);
    struct gen_intel g;
    char *text;

    o.debug = debug;
    o.have_config_id = true;
    if (sh_unhex(o.report_data, 64, report_data) ||
        (strcmp(config, "-") && sh_unhex(o.config_id, 64, config))) {
        puts("error");
        return;
    }
    gen_intel(&o, &g);
    text = malloc(4 * (g.quote.size / 3 + 2));
    EVP_EncodeBlock((unsigned char *)text, g.quote.data, (int)g.quote.size);
    puts(text);
    free(text);
    gen_intel_free(&g);
}

int main(int argc, char **argv)
{
    char line[1024], kind[8], data[160], config[160], debug[8];

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: quoter FOLDER [SECONDS_AGO]\n");
        return 1;
    }
    gen_now = (int64_t)time(NULL) - (argc == 3 ? atoll(argv[2]) : 0);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        prepare(argv[1], kinds[i]);
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        debug[0] = 0;
        if (sscanf(line, "%7s %159s %159s %7s", kind, data, config, debug) >= 3)
            answer(kind, data, config, !strcmp(debug, "debug"));
        else
            puts("error");
        fflush(stdout);
    }
    return 0;
}
