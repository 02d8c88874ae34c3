// SPDX-License-Identifier: Apache-2.0
// Extended attributes: none are kept, and programs are told so in the way they expect.
#include "trusted/libos/calls.h"

long sys_setxattr(uint64_t path, uint64_t name, uint64_t value, uint64_t size, int flags)
{
    return -EOPNOTSUPP;
}

long sys_getxattr(uint64_t path, uint64_t name, uint64_t value, uint64_t size)
{
    return -EOPNOTSUPP;
}

long sys_listxattr(uint64_t path, uint64_t list, uint64_t size)
{
    return 0;
}
