// SPDX-License-Identifier: Apache-2.0
// What struct sh_backend asks of every machine, whatever its TEE.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "host/attest/sim_tee.h"
#include "host/store/base_files.h"
#include "host/launch/qemu/parts.h"

int sh_qemu_check_image(int image_fd, struct sh_error *err)
{
    if (sh_base_has(image_fd, 0))
        return 0;
    return sh_fail(
        err, -ENOENT,
        "the image was built without a guest kernel; run 'make tools' in Shelter's folder "
        "and build it again, or use --tee sgx-sim");
}

void sh_qemu_config_init(struct sh_qemu_config *c, const struct sh_launch_spec *spec)
{
    const char *image = spec->image->path;
    *c = (struct sh_qemu_config){
        .spec = spec,
        .tee = (const struct sh_qemu_tee *)spec->backend,
        .boot = spec->backend->simulated ? spec->boot : SH_QEMU_BOOT_BZIMAGE,
        .vmlinux = sh_format("%s/base/vmlinux", image),
        .bzimage = sh_format("%s/base/bzImage", image),
        .initramfs = sh_format("%s/base/initramfs", image),
        .root_image = sh_format("%s/root.img", image),
        .sim_tee = sh_format("%s/" SH_STORE_SIM_TEE, spec->store_path),
        .firmware = spec->firmware,
    };
    sh_launch_data(spec, &c->data);
}

void sh_qemu_config_free(struct sh_qemu_config *c)
{
    free(c->vmlinux);
    free(c->bzimage);
    free(c->initramfs);
    free(c->root_image);
    sh_strings_free(&c->data);
    free(c->sim_tee);
}

static int refuse_spec(const struct sh_launch_spec *spec, struct sh_error *err)
{
    const char *what = spec->stats_file ? "--stats" : spec->trace_file ? "--trace" : NULL;
    if (!what)
        return 0;
    return sh_fail(err, -ENOTSUP, "%s needs an enclave, and --tee is %s; use --tee sgx-sim%s", what,
                   spec->backend->name,
                   spec->stats_file ? ", or 'shelter stats' while it runs" : "");
}

/* Here, since whoever started us still reads; the child looks again. */
static int check_walls(const struct sh_launch_spec *spec, struct sh_error *err)
{
    unsigned missing = ((1u << SH_WALL_COUNT) - 1) & ~sh_walls_probe();
    char text[256];
    sh_wall_names(missing, text, sizeof(text));
    if (!missing)
        return 0;
    if (spec->require_confinement)
        return sh_fail(err, -EPERM,
                       "this host cannot confine QEMU by %s, and --require-confinement asks for "
                       "it; 'shelter doctor' shows why",
                       text);
    fprintf(stderr, "shelter: warning: QEMU runs without %s; 'shelter doctor' shows why\n", text);
    return 0;
}

int sh_qemu_prepare(struct sh_launch_spec *spec, struct sh_error *err)
{
    int r = refuse_spec(spec, err);
    if (r)
        return r;
    struct sh_qemu_config *c = spec->own = sh_alloc(sizeof(*c));
    sh_qemu_config_init(c, spec);
    c->qemu = sh_qemu_find();
    if (!c->qemu)
        return sh_fail(err, -ENOENT,
                       "qemu-system-x86_64 is not there; install QEMU (Debian: "
                       "qemu-system-x86) or name it in SHELTER_QEMU");
    sh_launch_warn_shares(spec);
    if ((r = check_walls(spec, err)))
        return r;
    return c->tee->prepare(c, err);
}

void sh_qemu_release(struct sh_launch_spec *spec)
{
    if (spec->own)
        sh_qemu_config_free(spec->own);
    free(spec->own);
    spec->own = NULL;
}

int sh_qemu_write_files(int instance_fd, struct sh_view manifest, struct sh_view launch,
                        struct sh_error *err)
{
    return sh_qemu_write_config_disk(instance_fd, SH_QEMU_CONFIG_DISK, manifest.data, manifest.size,
                                     launch.data, launch.size, err);
}

int sh_qemu_backend_command(const struct sh_launch_spec *spec, struct sh_strings *argv,
                            struct sh_error *err)
{
    return sh_qemu_command(spec->own, argv, err);
}

int sh_qemu_measure(struct sh_launch_spec *spec, cJSON **result, struct sh_error *err)
{
    struct sh_qemu_config *c = spec->own;
    *result = NULL;
    if (!spec->backend->simulated)
        return 0;
    int r = sh_qemu_measure_simulated(c, &c->measurement, err);
    c->measured = !r;
    if (!r)
        *result = sh_qemu_measurement_json(&c->measurement);
    return r;
}

void sh_qemu_explain(const struct sh_death *d, char *out, size_t size)
{
    switch (d->kind) {
    case SH_DEATH_UNBORN:
        if (d->number == ENOENT)
            snprintf(out, size,
                     "%s is not there: install it ('apt-get install qemu-system-x86'); 'shelter "
                     "doctor' shows what else is missing",
                     d->program);
        else
            snprintf(out, size, "cannot run %s: %s", d->program, strerror(d->number));
        return;
    case SH_DEATH_KILLED:
        snprintf(out, size, "QEMU was killed by signal %d (%s)%s", d->number, strsignal(d->number),
                 d->number == SIGKILL ? "; perhaps the host ran out of memory" : "");
        return;
    case SH_DEATH_LATE:
        snprintf(out, size,
                 "the guest did not come up within %d s; see its console with --debug, or 'shelter "
                 "doctor'",
                 d->number);
        return;
    case SH_DEATH_EXITED:
        break;
    }
    if (d->number)
        snprintf(out, size, "QEMU failed: %s", d->words[0] ? d->words : "it does not say why");
    else
        snprintf(
            out, size,
            "the guest stopped %s: its kernel panicked, perhaps for lack of memory; give it more "
            "with -m, or see its console with --debug",
            d->workload_ran   ? "without an exit status"
            : d->inside_spoke ? "before its workload ran"
                              : "while it booted");
}
