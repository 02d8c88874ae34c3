// SPDX-License-Identifier: Apache-2.0
// Copies between the workload's root and the host, as tar archives.
#include "trusted/guest/serve.h"

int guest_copy_out(const char *path, int out_fd)
{
    return 1;
}

int guest_copy_in(const char *directory, int in_fd)
{
    return 1;
}
