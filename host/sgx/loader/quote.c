// SPDX-License-Identifier: Apache-2.0
// The enclave's quotes: from the simulated quoting enclave, or from AESM on hardware.
#include <errno.h>
#include <string.h>

#include "host/attest/aesm.h"
#include "host/attest/sim_tee.h"
#include "host/sgx/loader/loader.h"

_Static_assert(SH_QUOTE_MAX == SH_QUOTE_SIZE_MAX, "what is made fits what is asked for");

/* The enclave gets a number only; the sentence is for whoever runs the machine. */
static int say_why(int r, const struct sh_error *err)
{
    if (r < 0 && loader.options.verbose)
        sh_error_report(err);
    return r;
}

int64_t call_qe_target(struct loader_thread *t, struct sh_slot *s)
{
    struct sgx_targetinfo target;
    struct sh_error err = {0};
    int r = 0;
    if (loader.options.driver->simulated)
        sh_sim_qe_target(&target);
    else
        r = say_why(sh_aesm_target(loader.options.aesm, &target, &err), &err);
    s->size_a = r ? 0 : sizeof(target);
    if (!r)
        memcpy(s->a, &target, sizeof(target));
    return r ? r : (int64_t)sizeof(target);
}

int64_t call_quote(struct loader_thread *t, struct sh_slot *s, uint64_t most)
{
    struct sgx_report report;
    struct sh_error err = {0};
    uint8_t quote[SH_QUOTE_MAX];
    if (s->size_a != sizeof(report))
        return -EINVAL;
    memcpy(&report, s->a, sizeof(report));
    s->size_a = 0;
    int r = -ENODEV;
    if (!loader.options.driver->simulated)
        r = sh_aesm_quote(loader.options.aesm, &report, quote, &err);
    else if (loader.options.sim_tee)
        r = sh_sim_qe_quote_sgx(loader.options.sim_tee, &report, quote, &err);
    if (say_why(r, &err) < 0)
        return r;
    if ((uint64_t)r > most)
        return -ENOSPC;
    memcpy(s->a, quote, (size_t)r);
    s->size_a = (uint64_t)r;
    return r;
}
