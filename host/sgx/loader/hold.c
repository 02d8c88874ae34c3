// SPDX-License-Identifier: Apache-2.0
// Between a finished enclave and its first entry: an enclave of a pool waits here.
//
// On the channel, before its first frame: from us one byte, HELD. From whoever takes it a word
// (32 bits, the host's order), how many bytes follow, and so many: options of ours, each with a NUL
// behind it.
#include <string.h>
#include <unistd.h>

#include "host/sgx/hold.h"
#include "host/sgx/loader/loader.h"

int loader_hold(struct sh_error *err)
{
    static char text[SGX_HOLD_MAX + 1];
    static char *argv[SGX_HOLD_MAX / 2 + 2] = {"sgx-loader"};
    const uint8_t held = SGX_HELD;
    int fd = loader.options.channel, argc = 1;
    uint32_t size;
    if (sh_write_all(fd, &held, 1) || sh_read_all(fd, &size, sizeof(size)) || size > SGX_HOLD_MAX ||
        sh_read_all(fd, text, size))
        _exit(SH_EXIT_FAILURE); /* whoever could take it is gone */
    for (char *p = text; p < text + size && *p; p += strlen(p) + 1)
        argv[argc++] = p;
    loader_parse_more(argc, argv);
    return outside_network_publish(err);
}
