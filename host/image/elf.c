// SPDX-License-Identifier: Apache-2.0
// Reads ELF headers (System V gABI; x86-64 psABI). The file may be hostile: every offset is
// checked.
#include "host/image/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TAGS_MAX 65536u
#define NEEDED_MAX 4096u

struct file {
    const uint8_t *data;
    size_t size;
    const char *name;
    Elf64_Ehdr head;
};

static bool read_at(const struct file *f, uint64_t offset, void *out, size_t size)
{
    if (offset > f->size || size > f->size - offset)
        return false;
    memcpy(out, f->data + offset, size);
    return true;
}

static bool read_segment(const struct file *f, unsigned i, Elf64_Phdr *p)
{
    uint64_t offset = f->head.e_phoff + (uint64_t)i * sizeof(*p);
    return offset >= f->head.e_phoff && read_at(f, offset, p, sizeof(*p));
}

/* The file offset of an address that a PT_LOAD maps. */
static bool offset_of(const struct file *f, uint64_t address, uint64_t *offset)
{
    Elf64_Phdr p;
    for (unsigned i = 0; i < f->head.e_phnum; i++) {
        if (read_segment(f, i, &p) && p.p_type == PT_LOAD && address >= p.p_vaddr &&
            address - p.p_vaddr < p.p_filesz) {
            *offset = p.p_offset + (address - p.p_vaddr);
            return *offset >= p.p_offset;
        }
    }
    return false;
}

/* A NUL-terminated string inside the file, at most a path long; NULL when it is none. */
static char *string_at(const struct file *f, uint64_t offset)
{
    if (offset >= f->size)
        return NULL;
    size_t max = f->size - offset < 4096 ? f->size - offset : 4096;
    size_t n = strnlen((const char *)f->data + offset, max);
    return n == max ? NULL : sh_strdup((const char *)f->data + offset);
}

static int report_broken(const struct file *f, struct sh_error *err)
{
    return sh_fail(err, -EINVAL, "%s is a broken ELF file", f->name);
}

static int read_dynamic(const struct file *f, const Elf64_Phdr *dynamic, struct sh_elf *elf,
                        struct sh_error *err)
{
    Elf64_Dyn d;
    uint64_t strings = 0, count = dynamic->p_filesz / sizeof(d);
    bool found = false;
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < count && i < TAGS_MAX; i++) {
            if (!read_at(f, dynamic->p_offset + i * sizeof(d), &d, sizeof(d)))
                return report_broken(f, err);
            if (d.d_tag == DT_NULL)
                break;
            if (!pass) {
                if (d.d_tag == DT_STRTAB)
                    found = offset_of(f, d.d_un.d_ptr, &strings);
                continue;
            }
            if (d.d_tag != DT_NEEDED && d.d_tag != DT_RPATH && d.d_tag != DT_RUNPATH)
                continue;
            cleanup_free char *s = NULL;
            if (found && strings + d.d_un.d_val >= strings)
                s = string_at(f, strings + d.d_un.d_val);
            if (!s || elf->needed.count >= NEEDED_MAX)
                return report_broken(f, err);
            if (d.d_tag == DT_NEEDED) {
                sh_strings_add(&elf->needed, s);
            } else {
                char **slot = d.d_tag == DT_RPATH ? &elf->rpath : &elf->runpath;
                free(*slot);
                *slot = sh_take_ptr(s);
            }
        }
    }
    return 0;
}

int sh_elf_parse(const uint8_t *data, size_t size, const char *name, struct sh_elf *elf,
                 struct sh_error *err)
{
    struct file f = {.data = data, .size = size, .name = name};
    Elf64_Phdr p;
    *elf = (struct sh_elf){0};
    if (size < SELFMAG || memcmp(data, ELFMAG, SELFMAG))
        return sh_fail(err, -ENOEXEC, "%s is not an ELF program", name);
    if (!read_at(&f, 0, &f.head, sizeof(f.head)))
        return report_broken(&f, err);
    if (f.head.e_ident[EI_CLASS] != ELFCLASS64 || f.head.e_ident[EI_DATA] != ELFDATA2LSB ||
        f.head.e_machine != EM_X86_64)
        return sh_fail(err, -EINVAL, "%s is a program for another machine; x86-64 is needed", name);
    if ((f.head.e_type != ET_EXEC && f.head.e_type != ET_DYN) || f.head.e_phentsize != sizeof(p) ||
        !f.head.e_phnum)
        return sh_fail(err, -EINVAL, "%s is an ELF file, but neither a program nor a library",
                       name);
    uint64_t sections = (uint64_t)f.head.e_shnum * f.head.e_shentsize;
    if (f.head.e_shoff && (f.head.e_shoff > size || sections > size - f.head.e_shoff))
        return sh_fail(err, -EINVAL, "%s is truncated", name);
    elf->program = f.head.e_type == ET_EXEC || f.head.e_entry;
    int r = 0;
    for (unsigned i = 0; !r && i < f.head.e_phnum; i++) {
        if (!read_segment(&f, i, &p)) {
            r = report_broken(&f, err);
        } else if (p.p_type == PT_INTERP && !elf->interpreter) {
            elf->interpreter = string_at(&f, p.p_offset);
            if (!elf->interpreter || *elf->interpreter != '/')
                r = report_broken(&f, err);
        } else if (p.p_type == PT_LOAD && p.p_filesz &&
                   (p.p_offset > size || p.p_filesz > size - p.p_offset)) {
            r = sh_fail(err, -EINVAL, "%s is truncated", name);
        } else if (p.p_type == PT_DYNAMIC) {
            r = read_dynamic(&f, &p, elf, err);
        }
    }
    if (r)
        sh_elf_free(elf);
    return r;
}

int sh_elf_read(int fd, const char *name, struct sh_elf *elf, struct sh_error *err)
{
    struct stat st;
    *elf = (struct sh_elf){0};
    if (fstat(fd, &st))
        return sh_fail_errno(err, -errno, "cannot read %s", name);
    if (!S_ISREG(st.st_mode))
        return sh_fail(err, -EINVAL, "%s is not a file", name);
    if (st.st_size < SELFMAG)
        return sh_fail(err, -ENOEXEC, "%s is not an ELF program", name);
    void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return sh_fail_errno(err, -errno, "cannot read %s", name);
    int r = sh_elf_parse(data, (size_t)st.st_size, name, elf, err);
    munmap(data, (size_t)st.st_size);
    return r;
}

void sh_elf_free(struct sh_elf *elf)
{
    free(elf->interpreter);
    sh_strings_free(&elf->needed);
    free(elf->rpath);
    free(elf->runpath);
    *elf = (struct sh_elf){0};
}
