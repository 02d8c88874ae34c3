// SPDX-License-Identifier: Apache-2.0
// Evidence drivers of the confidential VM: one line a TEE, the first way that is there.
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "trusted/agent/linux.h"

struct agent_sources agent_sources = {"an unknown TEE", -1, -1, -1, -1};

const char *agent_os_tee(void)
{
    return agent_sources.tee;
}

static const struct {
    const char *tee;
    bool tsm;
    int (*device)(int fd, const uint8_t report_data[64], struct agent_raw *raw, const char **why);
} drivers[] = {
    {"tdx", true, agent_tdx_guest_evidence},
    {"snp", true, agent_sev_guest_evidence},
    {"csv", false, agent_csv_guest_evidence},
    {"tdx-sim", false, agent_tdx_sim_evidence},
};

/* The firmware's log, where there is one: without it a verifier cannot replay the registers. */
static void add_log(struct agent_raw *raw)
{
    if (agent_sources.log < 0 || raw->more || lseek(agent_sources.log, 0, SEEK_SET) ||
        agent_read_whole(agent_sources.log, AGENT_MORE_MAX, &raw->more, &raw->more_size)) {
        if (!raw->more)
            raw->more_size = 0;
    }
}

int agent_os_evidence(const uint8_t report_data[64], struct agent_raw *raw, const char **why)
{
    int rc = -ENODEV;
    *raw = (struct agent_raw){0};
    *why = "this version has no driver for it";
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (strcmp(drivers[i].tee, agent_sources.tee))
            continue;
        if (drivers[i].tsm && agent_sources.tsm >= 0) {
            rc = agent_tsm_evidence(agent_sources.tsm, report_data, raw, why);
        } else if (agent_sources.device >= 0) {
            rc = drivers[i].device(agent_sources.device, report_data, raw, why);
        } else {
            *why = "its device is not there";
        }
        if (!rc && !strncmp(agent_sources.tee, "tdx", 3))
            add_log(raw);
    }
    if (rc) {
        agent_os_free(raw->quote);
        agent_os_free(raw->more);
        *raw = (struct agent_raw){0};
    }
    return rc;
}

int agent_os_extend(const uint8_t digest[48])
{
    if (agent_sources.device >= 0 && !strcmp(agent_sources.tee, "tdx-sim"))
        return agent_tdx_sim_extend(agent_sources.device, digest);
    if (agent_sources.rtmr3 < 0)
        return -ENODEV;
    ssize_t n = pwrite(agent_sources.rtmr3, digest, 48, 0);
    return n == 48 ? 0 : n < 0 ? -errno : -EIO;
}
