// SPDX-License-Identifier: Apache-2.0
// What an ELF program or library for x86-64 Linux needs to run; read from its headers, never run.
#ifndef HOST_IMAGE_ELF_H
#define HOST_IMAGE_ELF_H

#include "host/base/util.h"

struct sh_elf {
    bool program;             /* ET_EXEC, or ET_DYN with an entry: can be started */
    char *interpreter;        /* PT_INTERP, or NULL */
    struct sh_strings needed; /* DT_NEEDED in order */
    char *rpath, *runpath;    /* or NULL */
};

/* Reads a file's headers. -ENOEXEC when it is no ELF file at all; else -EINVAL with a sentence when
 * it is broken or for another machine. `name` is for the sentence. */
int sh_elf_read(int fd, const char *name, struct sh_elf *elf, struct sh_error *err);

/* The same from memory. */
int sh_elf_parse(const uint8_t *data, size_t size, const char *name, struct sh_elf *elf,
                 struct sh_error *err);
void sh_elf_free(struct sh_elf *elf);

#endif
