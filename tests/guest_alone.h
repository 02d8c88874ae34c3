// SPDX-License-Identifier: Apache-2.0
// PID 1's other parts, for programs that have one of them alone: no processes to end, no volumes.
#ifndef TESTS_GUEST_ALONE_H
#define TESTS_GUEST_ALONE_H

#include "trusted/guest/serve.h"

void guest_kill_rest(struct guest *g)
{
}

bool guest_volumes_alone(const struct guest *g)
{
    return false;
}

bool guest_volume_reaped(struct guest *g, pid_t pid)
{
    return false;
}

int guest_volumes_close(struct guest *g)
{
    return 0;
}

void guest_volumes_hurry(struct guest *g)
{
}

size_t guest_volume_said(struct guest *g, size_t number, char line[GUEST_LINE])
{
    return 0;
}

#endif
