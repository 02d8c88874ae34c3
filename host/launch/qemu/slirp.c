// SPDX-License-Identifier: Apache-2.0
// Loads libslirp.
#include "host/launch/qemu/slirp.h"

#include <dlfcn.h>
#include <errno.h>

int sh_slirp_load(struct sh_slirp_library *library, struct sh_error *err)
{
    const struct {
        const char *name;
        void **to;
    } functions[] = {
        {"slirp_new", (void **)&library->slirp_new},
        {"slirp_pollfds_fill", (void **)&library->slirp_pollfds_fill},
        {"slirp_pollfds_poll", (void **)&library->slirp_pollfds_poll},
        {"slirp_input", (void **)&library->slirp_input},
        {"slirp_add_hostfwd", (void **)&library->slirp_add_hostfwd},
    };
    void *file = dlopen("libslirp.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!file)
        return sh_fail(err, -ENOENT,
                       "a machine's network needs libslirp.so.0, which is not there; install it "
                       "(Debian: libslirp0), or use --network none");
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        *functions[i].to = dlsym(file, functions[i].name);
        if (!*functions[i].to)
            return sh_fail(err, -ENOENT, "libslirp.so.0 has no %s; install version 4",
                           functions[i].name);
    }
    return 0;
}
