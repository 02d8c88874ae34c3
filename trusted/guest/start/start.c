// SPDX-License-Identifier: Apache-2.0
// /start of the confidential VM's initramfs.
#include "trusted/guest/start/start.h"

#include <fcntl.h>

int main(int argc, char **argv, char **env)
{
    if (argc < 1 || fcntl(START_STATUS_FD, F_SETFD, FD_CLOEXEC))
        return 125;
    start_run(argv, env);
}
