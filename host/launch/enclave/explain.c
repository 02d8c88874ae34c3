// SPDX-License-Identifier: Apache-2.0
// The end of the loader process, in words.
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "host/launch/enclave/enclave.h"

static bool is_crash(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
           number == SIGTRAP || number == SIGABRT || number == SIGSYS;
}

void sh_enclave_explain(const struct sh_death *d, char *out, size_t size)
{
    const char *colon = d->words[0] ? ": " : "";
    switch (d->kind) {
    case SH_DEATH_UNBORN:
        if (d->number == ENOENT)
            snprintf(
                out, size,
                "the enclave loader %s is not there; run 'make' in Shelter's folder, or name it in "
                "SHELTER_SGX_LOADER",
                d->program);
        else
            snprintf(out, size, "cannot run the enclave loader %s: %s", d->program,
                     strerror(d->number));
        return;
    case SH_DEATH_KILLED:
        snprintf(
            out, size, "the enclave loader %s signal %d (%s)%s%s%s",
            is_crash(d->number) ? "crashed with" : "was killed by", d->number, strsignal(d->number),
            d->number == SIGKILL ? "; perhaps the host ran out of memory" : "", colon, d->words);
        return;
    case SH_DEATH_LATE:
        snprintf(
            out, size,
            "the enclave did not start within %d s; 'shelter doctor' shows what this host lacks",
            d->number);
        return;
    case SH_DEATH_EXITED:
        break;
    }
    if (d->number)
        snprintf(out, size, "the enclave loader failed with status %d%s%s", d->number, colon,
                 d->words);
    else
        snprintf(out, size, "the enclave loader ended %s and named no reason%s%s",
                 d->workload_ran   ? "without the workload's exit status"
                 : d->inside_spoke ? "before the workload ran"
                                   : "before the enclave ran",
                 colon, d->words);
}
