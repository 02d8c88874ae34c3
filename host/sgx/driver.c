// SPDX-License-Identifier: Apache-2.0
// Finds drivers by the TEE's name.
#include "host/sgx/driver.h"

#include <string.h>

const struct sgx_driver *sgx_driver_find(const char *name)
{
    static const struct sgx_driver *const all[] = {&sgx_driver_hw, &sgx_driver_sim};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    }
    return NULL;
}
