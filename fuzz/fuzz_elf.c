// SPDX-License-Identifier: Apache-2.0
// ELF headers of programs that go into an image.
#include <stdlib.h>
#include <string.h>

#include "host/image/elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sh_elf elf;
    struct sh_error err = {0};
    /* The fuzzer need not find the magic and the machine first. */
    uint8_t *copy = malloc(size + 64);
    static const uint8_t head[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0,  0,
                                     0,    0,   0,   0,   0, 0, 3, 0, 62, 0};
    memcpy(copy, data, size);
    if (size >= sizeof(head))
        memcpy(copy, head, sizeof(head));
    if (!sh_elf_parse(copy, size, "fuzz", &elf, &err))
        sh_elf_free(&elf);
    else if (!err.text[0])
        abort();
    free(copy);
    return 0;
}
