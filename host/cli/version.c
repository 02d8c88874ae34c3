// SPDX-License-Identifier: Apache-2.0
// shelter version
#include "host/cli/cli.h"

int cmd_version(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_version, argc, argv);
    if (c.status < 0)
        puts("shelter " SHELTER_VERSION);
    return c.status < 0 ? 0 : c.status;
}
