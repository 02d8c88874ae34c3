// SPDX-License-Identifier: Apache-2.0
// sgx-loader: runs an image in an enclave. `shelter run` starts it; it is no command for people.
#include "host/sgx/loader/loader.h"

static const struct loader_hooks hooks = {
    .make_slot = loader_make_slot,
    .enter = loader_enter,
    .serve_exit = loader_serve_exit,
    .serve_call = loader_serve_call,
};

int main(int argc, char **argv)
{
    loader_main(argc, argv, &hooks);
}
