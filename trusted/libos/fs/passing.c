// SPDX-License-Identifier: Apache-2.0
// Which streams of the host the ports may use: those of the settings, and of programs that it asked
// for.
#include <shelter/channel.h>

#include "lib/settings.h"
#include "trusted/libos/fs/file.h"

/* Streams of programs that the host asked for: handle * 2 + write. Read without the lock. */
static uint32_t passing[3 * SH_SESSION_MAX];

static bool replace_passing(uint32_t old, uint32_t new)
{
    for (size_t i = 0; i < ARRAY_COUNT(passing); i++) {
        uint32_t expected = old;
        if (__atomic_compare_exchange_n(&passing[i], &expected, new, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return true;
    }
    return false;
}

bool stdio_let_pass(int32_t handle, bool write)
{
    return handle > 2 && replace_passing(0, (uint32_t)handle * 2 + write);
}

void stdio_bar(int32_t handle, bool write)
{
    if (handle > 2)
        replace_passing((uint32_t)handle * 2 + write, 0);
}

bool port_stream_allowed(int32_t handle, bool write)
{
    for (size_t i = 0; handle > 2 && i < ARRAY_COUNT(passing); i++)
        if (__atomic_load_n(&passing[i], __ATOMIC_RELAXED) == (uint32_t)handle * 2 + write)
            return true;
    return write ? settings.output && (handle == 1 || handle == 2) : settings.input && handle == 0;
}
