// SPDX-License-Identifier: Apache-2.0
// TCB status by Intel's rules: matching level, TDX module, quoting enclave, relaunch advice.
#include "verifier/quote/tcb.h"

static const char *const names[] = {
    [SV_TCB_NOT_SUPPORTED] = "NOT-SUPPORTED",
    [SV_TCB_UP_TO_DATE] = "UpToDate",
    [SV_TCB_SW_HARDENING] = "SWHardeningNeeded",
    [SV_TCB_CONFIG] = "ConfigurationNeeded",
    [SV_TCB_CONFIG_AND_SW_HARDENING] = "ConfigurationAndSWHardeningNeeded",
    [SV_TCB_OUT_OF_DATE] = "OutOfDate",
    [SV_TCB_OUT_OF_DATE_CONFIG] = "OutOfDateConfigurationNeeded",
    [SV_TCB_RELAUNCH] = "TDRelaunchAdvised",
    [SV_TCB_RELAUNCH_CONFIG] = "TDRelaunchAdvisedConfigurationNeeded",
    [SV_TCB_REVOKED] = "Revoked",
};

const char *sv_tcb_status_name(enum sv_tcb_status status)
{
    return names[status];
}

bool sv_tcb_status_parse(const char *name, enum sv_tcb_status *out)
{
    // Relaunch advice and "not supported" are conclusions; no JSON of Intel's says them.
    for (int i = SV_TCB_UP_TO_DATE; i <= SV_TCB_REVOKED; i++) {
        if (i == SV_TCB_RELAUNCH || i == SV_TCB_RELAUNCH_CONFIG)
            continue;
        if (!strcmp(name, names[i])) {
            *out = (enum sv_tcb_status)i;
            return true;
        }
    }
    return false;
}

static bool svn_covers(const uint8_t *have, const uint8_t *want, size_t from)
{
    for (size_t i = from; i < 16; i++)
        if (have[i] < want[i])
            return false;
    return true;
}

const struct sv_tdx_module *sv_tdx_module_find(const struct sv_tcb_info *info, uint8_t version)
{
    for (size_t i = 0; i < info->module_count; i++)
        if (info->module[i].version == version)
            return &info->module[i];
    return NULL;
}

static const struct sv_isv_level *isv_level(const struct sv_isv_level *level, size_t count,
                                            uint32_t isvsvn)
{
    for (size_t i = 0; i < count; i++)
        if (isvsvn >= level[i].isvsvn)
            return &level[i];
    return NULL;
}

// A part (TDX module, quoting enclave) that is behind or revoked takes the platform with it.
static enum sv_tcb_status join_status(enum sv_tcb_status platform, enum sv_tcb_status part)
{
    if (platform == SV_TCB_REVOKED || part == SV_TCB_REVOKED)
        return SV_TCB_REVOKED;
    if (part == SV_TCB_OUT_OF_DATE || part == SV_TCB_OUT_OF_DATE_CONFIG) {
        if (platform == SV_TCB_UP_TO_DATE || platform == SV_TCB_SW_HARDENING)
            return SV_TCB_OUT_OF_DATE;
        if (platform == SV_TCB_CONFIG || platform == SV_TCB_CONFIG_AND_SW_HARDENING)
            return SV_TCB_OUT_OF_DATE_CONFIG;
    }
    return platform;
}

static void take_date(struct sv_tcb_result *out, int64_t date)
{
    if (date < out->date)
        out->date = date;
}

void sv_tcb_evaluate(const struct sv_tcb_info *info, const struct sv_qe_identity *qe,
                     const struct sv_pck *pck, uint16_t qe_isvsvn, const uint8_t *tee_tcb_svn,
                     struct sv_tcb_result *out)
{
    const struct sv_tcb_level *level = NULL;
    const struct sv_isv_level *part;
    // Where the module has a version of its own, its SVN bytes are judged by its identity.
    size_t from = tee_tcb_svn && tee_tcb_svn[1] > 0 ? 2 : 0;

    *out = (struct sv_tcb_result){.status = SV_TCB_NOT_SUPPORTED};
    part = isv_level(qe->level, qe->level_count, qe_isvsvn);
    out->qe = part ? part->status : SV_TCB_NOT_SUPPORTED;
    for (size_t i = 0; i < info->level_count && !level; i++) {
        const struct sv_tcb_level *l = &info->level[i];

        if (svn_covers(pck->svn, l->sgx, 0) && pck->pcesvn >= l->pcesvn &&
            (!tee_tcb_svn || svn_covers(tee_tcb_svn, l->tdx, from)))
            level = l;
    }
    if (!level)
        return;
    out->platform = level->status;
    out->date = level->date;
    out->advisories[0] = level->advisories;
    if (!part)
        return;
    out->advisories[1] = part->advisories;
    take_date(out, part->date);
    out->status = join_status(level->status, part->status);
    if (from) {
        const struct sv_tdx_module *module = sv_tdx_module_find(info, tee_tcb_svn[1]);

        part = module ? isv_level(module->level, module->level_count, tee_tcb_svn[0]) : NULL;
        if (!part) {
            out->status = SV_TCB_NOT_SUPPORTED;
            return;
        }
        out->module = part->status;
        out->advisories[2] = part->advisories;
        take_date(out, part->date);
        out->status = join_status(out->status, part->status);
    }
}

enum sv_tcb_status sv_tcb_relaunch(enum sv_tcb_status launch, enum sv_tcb_status current)
{
    bool config = launch == SV_TCB_OUT_OF_DATE_CONFIG || current == SV_TCB_CONFIG ||
                  current == SV_TCB_CONFIG_AND_SW_HARDENING;

    if (current == SV_TCB_REVOKED)
        return SV_TCB_REVOKED;
    if (launch != SV_TCB_OUT_OF_DATE && launch != SV_TCB_OUT_OF_DATE_CONFIG)
        return launch;
    if (current == SV_TCB_UP_TO_DATE || current == SV_TCB_SW_HARDENING ||
        current == SV_TCB_CONFIG || current == SV_TCB_CONFIG_AND_SW_HARDENING)
        return config ? SV_TCB_RELAUNCH_CONFIG : SV_TCB_RELAUNCH;
    return launch;
}
