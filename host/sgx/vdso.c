// SPDX-License-Identifier: Apache-2.0
// Finds a function in the vDSO by name: its ELF image is in memory, without section headers to
// trust.
#include <elf.h>
#include <string.h>

#include "host/sgx/driver_hw.h"

struct image {
    const uint8_t *base;
    size_t size;
};

/* `count` objects of `size` bytes at `at`, or NULL. */
static const void *find_part(const struct image *v, uint64_t at, uint64_t count, uint64_t size)
{
    if (at > v->size || size == 0 || at % (size < 8 ? size : 8) != 0 ||
        count > (v->size - at) / size)
        return NULL;
    return v->base + at;
}

struct dynamic {
    const Elf64_Sym *symbols;
    const char *names;
    uint64_t names_size;
    uint64_t symbol_count;
};

/* DT_HASH tells the number of symbols; a vDSO with DT_GNU_HASH only has the symbols right before
 * its string table. */
static int read_dynamic(const struct image *v, const Elf64_Phdr *ph, uint64_t bias,
                        struct dynamic *d)
{
    uint64_t symbols = 0, names = 0, hash = 0;
    const Elf64_Dyn *dyn = find_part(v, ph->p_offset, ph->p_filesz / sizeof(*dyn), sizeof(*dyn));
    if (dyn == NULL)
        return -1;
    for (uint64_t i = 0; i < ph->p_filesz / sizeof(*dyn) && dyn[i].d_tag != DT_NULL; i++) {
        if (dyn[i].d_tag == DT_SYMTAB)
            symbols = dyn[i].d_un.d_ptr - bias;
        else if (dyn[i].d_tag == DT_STRTAB)
            names = dyn[i].d_un.d_ptr - bias;
        else if (dyn[i].d_tag == DT_STRSZ)
            d->names_size = dyn[i].d_un.d_val;
        else if (dyn[i].d_tag == DT_HASH)
            hash = dyn[i].d_un.d_ptr - bias;
    }
    const uint32_t *buckets = hash != 0 ? find_part(v, hash, 2, sizeof(*buckets)) : NULL;
    if (buckets != NULL)
        d->symbol_count = buckets[1];
    else if (names > symbols)
        d->symbol_count = (names - symbols) / sizeof(Elf64_Sym);
    d->symbols = find_part(v, symbols, d->symbol_count, sizeof(Elf64_Sym));
    d->names = find_part(v, names, d->names_size, 1);
    return d->symbols != NULL && d->names != NULL ? 0 : -1;
}

void *sgx_vdso_symbol(const void *base, size_t size, const char *name)
{
    struct image v = {base, size};
    struct dynamic d = {0};
    const Elf64_Phdr *dynamic = NULL, *ph;
    const Elf64_Ehdr *eh = find_part(&v, 0, 1, sizeof(*eh));
    uint64_t bias = 0;
    if (eh == NULL || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 || eh->e_phentsize != sizeof(*ph) ||
        (ph = find_part(&v, eh->e_phoff, eh->e_phnum, sizeof(*ph))) == NULL)
        return NULL;
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD && ph[i].p_offset == 0)
            bias = ph[i].p_vaddr;
        else if (ph[i].p_type == PT_DYNAMIC)
            dynamic = &ph[i];
    }
    if (dynamic == NULL || read_dynamic(&v, dynamic, bias, &d) != 0)
        return NULL;
    for (uint64_t i = 0; i < d.symbol_count; i++) {
        const Elf64_Sym *s = &d.symbols[i];
        if (s->st_shndx == SHN_UNDEF || s->st_name >= d.names_size ||
            strnlen(d.names + s->st_name, d.names_size - s->st_name) == d.names_size - s->st_name)
            continue;
        if (strcmp(d.names + s->st_name, name) == 0 && s->st_value - bias < size)
            return (void *)(v.base + (s->st_value - bias));
    }
    return NULL;
}
