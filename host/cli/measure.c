// SPDX-License-Identifier: Apache-2.0
// shelter measure
#include <errno.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/cli/measure.h"
#include "host/image/settings.h"
#include "host/launch/launch.h"
#include "verifier/base/json.h"

/* For people: one register a line. */
static void print_plain(const cJSON *result)
{
    const cJSON *field, *item;
    cJSON_ArrayForEach(field, sv_json_get(result, "measurement"))
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

static void print_events(const cJSON *events)
{
    const cJSON *event;
    cJSON_ArrayForEach(event, events)
        printf("%-14s %s  %s\n", sv_json_text(event, "field"), sv_json_text(event, "digest"),
               sv_json_text(event, "what"));
}

static int show_image(const char *reference, const struct sh_predict *what, bool json,
                      struct sh_error *err)
{
    cJSON *result = NULL;
    int r = sh_measure_image(reference, what, &result, err);
    if (r)
        return r;
    if (what->steps)
        cJSON_AddItemToObject(result, "events", what->steps);
    if (cJSON_IsTrue(sv_json_get(result, "simulated")))
        sh_tee_warn_simulated(cJSON_GetObjectItem(result, "tee")->valuestring);
    if (json) {
        char *text = cJSON_Print(result);
        puts(text);
        free(text);
    } else {
        print_plain(result);
        print_events(what->steps);
    }
    cJSON_Delete(result);
    return 0;
}

struct options {
    struct sh_predict image;
    struct sh_measure_files files;
    const char *diff;
    bool json, events;
    bool files_only;        /* an option was given that files alone have */
    const char *image_only; /* ... or images */
};

static int take_memory(struct options *o, const char *text)
{
    if (sh_parse_size(text, &o->image.memory) || !o->image.memory)
        return sh_cli_usage("measure", "-m %s is not a size; write 512M or 2G", text);
    o->files.memory = o->image.memory;
    o->image.memory = (o->image.memory + (1 << 20) - 1) >> 20 << 20; /* as run does */
    return -1;
}

static int take_cpus(struct options *o, const char *text)
{
    uint64_t n;
    if (sh_parse_number(text, 1, SH_LAUNCH_CPUS_MAX, &n))
        return sh_cli_usage("measure", "--cpus %s: write a number from 1 to %u", text,
                            SH_LAUNCH_CPUS_MAX);
    o->image.cpus = (unsigned)n;
    return -1;
}

static int take_boot(struct options *o, const char *text)
{
    if (strcmp(text, "pvh") && strcmp(text, "bzimage"))
        return sh_cli_usage("measure", "--boot %s: write pvh or bzimage", text);
    o->image.boot = strcmp(text, "pvh") ? SH_QEMU_BOOT_BZIMAGE : SH_QEMU_BOOT_PVH;
    return -1;
}

/* -1, or a sentence was printed and this is the exit status. */
static int take_option(struct options *o, enum sh_measure_option option, const char *value)
{
    struct sh_measure_files *f = &o->files;
    switch (option) {
    case SH_measure_tee:
        o->image.tee = f->tee = value;
        return -1;
    case SH_measure_firmware:
        o->image.firmware = f->firmware = value;
        return -1;
    case SH_measure_json:
        o->json = f->json = true;
        return -1;
    case SH_measure_memory:
        return take_memory(o, value);
    case SH_measure_cpus:
        o->image_only = "--cpus";
        return take_cpus(o, value);
    case SH_measure_boot:
        o->image_only = "--boot";
        return take_boot(o, value);
    case SH_measure_debug:
        o->image_only = "--debug";
        o->image.debug = true;
        return -1;
    case SH_measure_cpu_model:
        o->image_only = "--cpu-model";
        o->image.cpu_model = value;
        return -1;
    case SH_measure_events:
        o->image_only = "--events";
        o->events = true;
        return -1;
    case SH_measure_diff:
        o->image_only = "--diff";
        o->diff = value;
        return -1;
    case SH_measure_kernel:
        f->kernel = value;
        break;
    case SH_measure_initrd:
        f->initrd = value;
        break;
    case SH_measure_append:
        f->append = value;
        break;
    case SH_measure_vcpus:
        f->vcpus = value;
        break;
    case SH_measure_vcpu_type:
        f->vcpu_type = value;
        break;
    case SH_measure_guest_features:
        f->features = value;
        break;
    case SH_measure_vmm:
        f->vmm = value;
        break;
    case SH_measure_ovmf_hash:
        f->ovmf_hash = value;
        break;
    case SH_measure_two_pass:
        f->two_pass = true;
        break;
    case SH_measure_unpatched_kernel:
        f->unpatched = true;
        break;
    case SH_measure_end:
        break;
    }
    o->files_only = true;
    return -1;
}

int cmd_measure(int argc, char **argv)
{
    struct options o = {0};
    struct sh_error err = {0};
    struct sh_cli c = sh_cli_start(SH_VERB_measure, argc, argv);
    int status = -1;
    for (int i; status < 0 && (i = sh_cli_next(&c)) >= 0;)
        status = take_option(&o, (enum sh_measure_option)i, c.value);
    if (status < 0)
        status = c.status;
    if (status >= 0)
        return status;
    if (o.files_only || (o.files.firmware && !c.count)) {
        if (c.count)
            return sh_cli_usage(
                "measure", "unexpected argument '%s': the options are about files, not an image",
                c.args[0]);
        if (o.image_only)
            return sh_cli_usage("measure", "%s is for images, not for files", o.image_only);
        return sh_measure_files(&o.files);
    }
    if (!c.count)
        return sh_cli_usage("measure", "name the image");
    if (!o.image.tee)
        o.image.tee = "auto";
    if (o.diff)
        return sh_measure_diff(c.args[0], &o.image, o.diff, o.json);
    o.image.steps = o.events ? cJSON_CreateArray() : NULL;
    return show_image(c.args[0], &o.image, o.json, &err) ? sh_error_report(&err) : 0;
}
