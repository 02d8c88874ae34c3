// SPDX-License-Identifier: Apache-2.0
// agent_evidence TEE FOLDER: what the agent makes of a configfs-tsm entry (outblob, auxblob) in a
// folder: evidence as CoCo's JSON, on stdout. TEE: tdx, snp.
#include "tests/evidence_json.h"
#include "trusted/agent/core.h"
#include "trusted/agent/linux.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    uint8_t report_data[64] = {0};
    struct agent_error e = {0};
    size_t size = 0;
    char *out = NULL;

    if (argc != 3) {
        fprintf(stderr, "usage: agent_evidence TEE FOLDER\n");
        return 2;
    }
    agent_sources = (struct agent_sources){
        argv[1], open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC), -1, -1, -1};
    if (agent_evidence_json(report_data, &out, &size, &e)) {
        fprintf(stderr, "agent_evidence: %s\n", e.text);
        return 1;
    }
    fwrite(out, 1, size, stdout);
    agent_os_free(out);
    return 0;
}
