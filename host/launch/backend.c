// SPDX-License-Identifier: Apache-2.0
// The table of TEE back ends of confidential VMs, in the order in which `--tee auto` tries them.
#include <errno.h>
#include <string.h>

#include "host/launch/qemu/parts.h"

/* Real ones first. Among them a machine before an enclave, and likewise of the simulated: an image
 * may start further programs, which an enclave cannot yet. */
static const struct sh_backend *const tees[] = {&sh_tee_tdx, &sh_tee_snp,     &sh_tee_csv,
                                            &sh_tee_sgx, &sh_tee_tdx_sim, &sh_tee_sgx_sim};

/* Simulation needs no hardware; without QEMU only the enclave is left. A QEMU that the user names and
 * that is not there is an error for him to see. */
static bool usable(const struct sh_backend *tee)
{
    struct sh_error ignored = {0}, why = {0};
    if (tee != &sh_tee_tdx_sim)
        return !tee->probe(&ignored);
    const char *named = getenv("SHELTER_QEMU");
    return (named && *named) || sh_qemu_find() || sh_tee_sgx_sim.probe(&why);
}

int sh_backend_find(const char *name, const struct sh_backend **tee, struct sh_error *err)
{
    bool automatic = !strcmp(name, "auto");
    for (size_t i = 0; i < sizeof(tees) / sizeof(tees[0]); i++) {
        if (automatic ? usable(tees[i]) : !strcmp(name, tees[i]->name)) {
            *tee = tees[i];
            return 0;
        }
    }
    return sh_fail(err, -ENOENT,
                   "there is no TEE '%s'; use auto, tdx, snp, csv, sgx, tdx-sim or sgx-sim", name);
}

void sh_tee_warn_simulated(const char *name)
{
    fprintf(stderr,
            "shelter: warning: %s is a simulated TEE: it protects nothing and is for development "
            "only\n",
            name);
}

int sh_qemu_prepare(struct sh_qemu_config *config, struct sh_error *err)
{
    if (config->tee->enclave)
        return config->tee->prepare(config, err);
    if (!config->qemu)
        config->qemu = sh_qemu_find();
    if (!config->qemu)
        return sh_fail(err, -ENOENT,
                       "qemu-system-x86_64 is not there; install QEMU (Debian: "
                       "qemu-system-x86) or name it in SHELTER_QEMU");
    return config->tee->prepare(config, err);
}
