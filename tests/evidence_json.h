// SPDX-License-Identifier: Apache-2.0
// The agent's evidence without events, for who looks at it alone.
#ifndef TESTS_EVIDENCE_JSON_H
#define TESTS_EVIDENCE_JSON_H

#include "trusted/agent/state.h"

/* CoCo's JSON over report_data, NUL-terminated, for agent_os_free; *size without the NUL. */
static inline int agent_evidence_json(const uint8_t report_data[64], char **out, size_t *size,
                                      struct agent_error *e)
{
    struct agent_text t = {0};
    int rc = agent_evidence_text(&t, report_data, NULL, false, e);
    if (rc) {
        agent_text_free(&t);
        return rc;
    }
    *out = t.data;
    *size = t.size;
    return 0;
}

#endif
