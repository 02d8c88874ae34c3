// SPDX-License-Identifier: Apache-2.0
// shelter measure
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/verify.h"
#include "host/launch/launch.h"

const char sh_usage_measure[] =
    "Usage: shelter measure [OPTION...] IMAGE\n"
    "       shelter measure --tee TEE --firmware FILE [--kernel FILE] [OPTION...]\n"
    "\n"
    "Predicts the launch measurement of an image, from the image alone; nothing is started. The\n"
    "launch config (command, environment, ...) is not part of it: it has a field of its own.\n"
    "\n"
    "      --tee TEE        auto (default), tdx, snp, csv, tdx-sim, sgx, sgx-sim\n"
    "  -m, --memory SIZE    memory of the machine (default: the image's, or 512M)\n"
    "      --cpus N         its CPUs (default: the image's, or 1)\n"
    "      --boot HOW       simulation only: pvh (default) or bzimage, under OVMF\n"
    "      --firmware FILE  the firmware (default: the distribution's for this TEE)\n"
    "      --cpu-model NAME snp: QEMU's name of the CPU model (default: EPYC-v4)\n"
    "      --debug          as run with --debug\n"
    "      --json           as JSON: tee, simulated, image, memory, cpus, boot, firmware,\n"
    "                       measurement\n"
    "\n"
    "Without IMAGE it is about files (TEE: tdx, snp, sev, seves):\n"
    "      --kernel FILE --initrd FILE --append LINE   measured direct boot\n"
    "      --vcpus N --vcpu-type MODEL --guest-features HEX   what SEV measures of the CPUs\n"
    "      --vmm qemu|ec2|gce, --ovmf-hash HEX, --two-pass (tdx: KVM before Linux 6.16)\n";

enum { OPT_TEE = 256, OPT_CPUS, OPT_BOOT, OPT_FIRMWARE, OPT_CPU_MODEL, OPT_DEBUG, OPT_JSON };

static const struct option options[] = {
    {"tee", required_argument, NULL, OPT_TEE},
    {"memory", required_argument, NULL, 'm'},
    {"cpus", required_argument, NULL, OPT_CPUS},
    {"boot", required_argument, NULL, OPT_BOOT},
    {"firmware", required_argument, NULL, OPT_FIRMWARE},
    {"cpu-model", required_argument, NULL, OPT_CPU_MODEL},
    {"debug", no_argument, NULL, OPT_DEBUG},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* For people: one register a line. */
static void print_plain(const cJSON *result)
{
    const cJSON *field, *item;
    cJSON_ArrayForEach(field, cJSON_GetObjectItem(result, "measurement"))
    {
        int i = 0;
        if (cJSON_IsNumber(field))
            printf("%-14s %d\n", field->string, field->valueint);
        if (cJSON_IsString(field))
            printf("%-14s %s\n", field->string, field->valuestring);
        cJSON_ArrayForEach(item, field)
            printf("%s%-*d %s\n", field->string, 14 - (int)strlen(field->string), i++,
                   cJSON_IsString(item) ? item->valuestring : "-");
    }
}

static int measure_image(const char *reference, const struct sh_predict *what, bool json,
                         struct sh_error *err)
{
    struct sh_store store;
    struct sh_image image;
    cJSON *result = NULL;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_image_open(&store, reference, &image, err);
    if (!r) {
        r = sh_predict_image(&image, what, &result, err);
        sh_image_close(&image);
    }
    sh_store_close(&store);
    if (r)
        return r;
    if (cJSON_IsTrue(cJSON_GetObjectItem(result, "simulated")))
        sh_tee_warn_simulated(cJSON_GetObjectItem(result, "tee")->valuestring);
    if (json) {
        char *text = cJSON_Print(result);
        puts(text);
        free(text);
    } else {
        print_plain(result);
    }
    cJSON_Delete(result);
    return 0;
}

/* One option; 0, or a sentence was printed and this is the exit status. */
static int take_option(int c, struct sh_predict *what, bool *json)
{
    char *end;
    unsigned long n;
    switch (c) {
    case OPT_TEE:
        what->tee = optarg;
        return 0;
    case OPT_FIRMWARE:
        what->firmware = optarg;
        return 0;
    case OPT_CPU_MODEL:
        what->cpu_model = optarg;
        return 0;
    case OPT_DEBUG:
        what->debug = true;
        return 0;
    case OPT_JSON:
        *json = true;
        return 0;
    case 'm':
        if (sh_parse_size(optarg, &what->memory) || !what->memory)
            return sh_cli_usage("measure", "-m %s is no size; write 512M or 2G", optarg);
        what->memory = (what->memory + (1 << 20) - 1) >> 20 << 20; /* as run does */
        return 0;
    case OPT_CPUS:
        n = strtoul(optarg, &end, 10);
        if (!*optarg || *end || *optarg == '-' || !n || n > SH_LAUNCH_CPUS_MAX)
            return sh_cli_usage("measure", "--cpus %s: write a number from 1 to %u", optarg,
                                SH_LAUNCH_CPUS_MAX);
        what->cpus = (unsigned)n;
        return 0;
    case OPT_BOOT:
        if (strcmp(optarg, "pvh") && strcmp(optarg, "bzimage"))
            return sh_cli_usage("measure", "--boot %s: write pvh or bzimage", optarg);
        what->boot = strcmp(optarg, "pvh") ? SH_QEMU_BOOT_BZIMAGE : SH_QEMU_BOOT_PVH;
        return 0;
    default:
        return sh_cli_usage("measure", "wrong arguments");
    }
}

/* With --firmware and no image, or with an option that only files have, it is about files. */
static bool about_files(int argc, char **argv)
{
    bool firmware = false;
    int c;
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "m:", options, NULL)) != -1) {
        firmware |= c == OPT_FIRMWARE;
        if (c == '?')
            break;
    }
    for (int i = 1; i < argc && c == '?'; i++)
        firmware |= !strncmp(argv[i], "--firmware", 10);
    return firmware && (c == '?' || optind == argc);
}

int cmd_measure(int argc, char **argv)
{
    struct sh_predict what = {.tee = "auto"};
    struct sh_error err = {0};
    bool json = false;
    int c;
    if (about_files(argc, argv))
        return cmd_measure_files(argc, argv);
    optind = 0;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "m:", options, NULL)) != -1) {
        if (c == 'h')
            return sh_cli_help("measure");
        int status = take_option(c, &what, &json);
        if (status)
            return status;
    }
    if (optind + 1 != argc)
        return sh_cli_usage("measure", optind == argc ? "name the image" : "name one image");
    if (measure_image(argv[optind], &what, json, &err))
        return sh_error_report(&err);
    return 0;
}
