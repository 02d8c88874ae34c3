// SPDX-License-Identifier: Apache-2.0
// The enclave's ELF file: checked, walked page by page, measured.
#include "host/sgx/image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "verifier/measure/sgx.h"

#define XFRM_WANTED 0xe7ull /* x87, SSE, AVX, AVX-512 */
#define ZEROS_SIZE (64u * SGX_PAGE_SIZE)

static const Elf64_Ehdr *elf_header(const struct sgx_image *image)
{
    return (const Elf64_Ehdr *)image->data;
}

static const Elf64_Phdr *elf_segment(const struct sgx_image *image, unsigned i)
{
    return (const Elf64_Phdr *)(image->data + elf_header(image)->e_phoff) + i;
}

static bool header_is_good(const struct sgx_image *image)
{
    const Elf64_Ehdr *h = elf_header(image);
    return image->size >= sizeof(*h) && !memcmp(h->e_ident, ELFMAG, SELFMAG) &&
           h->e_ident[EI_CLASS] == ELFCLASS64 && h->e_machine == EM_X86_64 &&
           h->e_type == ET_EXEC && h->e_phentsize == sizeof(Elf64_Phdr) && h->e_phnum > 0 &&
           h->e_phnum <= 64 && h->e_phoff % 8 == 0 && h->e_phoff < image->size &&
           h->e_phnum * sizeof(Elf64_Phdr) <= image->size - h->e_phoff;
}

static bool is_lazy(const Elf64_Phdr *p)
{
    return p->p_flags & SH_SEGMENT_LAZY;
}

static bool is_bare(const Elf64_Phdr *p)
{
    return p->p_flags & SH_SEGMENT_BARE;
}

static bool is_hashed(const Elf64_Phdr *p)
{
    return p->p_flags & SH_SEGMENT_HASHED;
}

static bool segment_is_good(const struct sgx_image *image, const Elf64_Phdr *p)
{
    uint64_t end = p->p_vaddr + p->p_memsz;
    return p->p_vaddr % SGX_PAGE_SIZE == 0 && p->p_offset % SGX_PAGE_SIZE == 0 &&
           p->p_memsz % SGX_PAGE_SIZE == 0 && p->p_memsz && end > p->p_vaddr &&
           p->p_vaddr >= SH_ENCLAVE_IMAGE && end <= SH_ENCLAVE_SIZE &&
           p->p_memsz <= SGX_IMAGE_SIZE_MAX && p->p_filesz <= p->p_memsz &&
           p->p_filesz % SGX_PAGE_SIZE == 0 && p->p_offset <= image->size &&
           p->p_filesz <= image->size - p->p_offset &&
           !((p->p_flags & PF_W) && (p->p_flags & PF_X)) && !(is_bare(p) && p->p_filesz) &&
           !(is_hashed(p) && ((p->p_flags & PF_W) || is_bare(p) || is_lazy(p)));
}

/* They follow each other, and only bare ones follow them. */
static bool take_lazy(struct sgx_image *image, const Elf64_Phdr *p)
{
    if (!is_lazy(p))
        return !image->lazy || is_bare(p);
    if (!image->lazy)
        image->lazy = image->data + p->p_offset;
    if (image->data + p->p_offset != image->lazy + image->lazy_size)
        return false;
    image->lazy_size += p->p_filesz;
    return true;
}

int sgx_image_open(struct sgx_image *image, const void *data, size_t size, struct sh_error *err)
{
    *image = (struct sgx_image){.data = data, .size = size, .start = SH_ENCLAVE_IMAGE};
    unsigned tcs = 0, identity = 0;
    if (size > SGX_IMAGE_SIZE_MAX || (uint64_t)data % 8 || !header_is_good(image))
        return sh_fail(err, -EINVAL, "base/enclave is not an enclave of Shelter's");
    uint64_t last = image->end = image->start;
    image->entry = elf_header(image)->e_entry;
    for (unsigned i = 0; i < elf_header(image)->e_phnum; i++) {
        const Elf64_Phdr *p = elf_segment(image, i);
        if (p->p_type != PT_LOAD)
            continue;
        if (!segment_is_good(image, p) || p->p_vaddr < last || !take_lazy(image, p))
            return sh_fail(err, -EINVAL, "base/enclave has a segment that cannot be loaded");
        last = p->p_vaddr + p->p_memsz;
        if (is_lazy(p))
            continue;
        if (!image->lazy)
            image->end = last;
        if (p->p_flags & SH_SEGMENT_TCS) {
            image->tcs = p->p_vaddr;
            tcs += (unsigned)(p->p_memsz / SGX_PAGE_SIZE);
        }
        identity += (p->p_flags & SH_SEGMENT_IDENTITY) != 0;
    }
    if (tcs != 1 || identity != 1)
        return sh_fail(err, -EINVAL, "base/enclave is not an enclave of Shelter's");
    return 0;
}

static uint64_t segment_secinfo(uint32_t flags)
{
    if (flags & SH_SEGMENT_TCS)
        return SGX_SECINFO_PT(SGX_PT_TCS);
    return SGX_SECINFO_PT(SGX_PT_REG) | (flags & PF_R ? SGX_SECINFO_R : 0) |
           (flags & PF_W ? SGX_SECINFO_W : 0) | (flags & PF_X ? SGX_SECINFO_X : 0);
}

int sgx_image_walk(const struct sgx_image *image, const uint8_t identity[SGX_IDENTITY_SIZE],
                   sgx_image_page_fn *fn, void *arg, struct sh_error *err)
{
    static const uint8_t zeros[ZEROS_SIZE] __attribute__((aligned(4096)));
    static _Thread_local uint8_t first[SGX_PAGE_SIZE] __attribute__((aligned(4096)));
    static _Thread_local uint8_t thread[SGX_PAGE_SIZE] __attribute__((aligned(4096)));
    int r = 0;
    for (unsigned i = 0; i < elf_header(image)->e_phnum; i++) {
        const Elf64_Phdr *p = elf_segment(image, i);
        if (p->p_type != PT_LOAD || is_lazy(p))
            continue;
        for (uint64_t at = 0; !r && at < p->p_memsz; at += SGX_PAGE_SIZE) {
            const uint8_t *page =
                at < p->p_filesz ? image->data + p->p_offset + at : zeros + at % sizeof(zeros);
            if (!at && (p->p_flags & SH_SEGMENT_IDENTITY)) {
                memcpy(first, page, sizeof(first));
                page = memcpy(first, identity, SGX_IDENTITY_SIZE);
            }
            if (image->notify && (p->p_flags & SH_SEGMENT_TCS)) {
                struct sgx_tcs *tcs = memcpy(thread, page, sizeof(thread));
                tcs->flags = SGX_TCS_AEXNOTIFY;
                page = thread;
            }
            r = fn(arg, p->p_vaddr + at, page, segment_secinfo(p->p_flags),
                   !is_bare(p) && !is_hashed(p), err);
        }
    }
    return r;
}

int sgx_image_segments(const struct sgx_image *image,
                       int (*fn)(void *arg, uint64_t offset, uint64_t size, int prot,
                                 struct sh_error *err),
                       void *arg, struct sh_error *err)
{
    int r = 0;
    for (unsigned i = 0; !r && i < elf_header(image)->e_phnum; i++) {
        const Elf64_Phdr *p = elf_segment(image, i);
        int prot = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
                   (p->p_flags & PF_X ? PROT_EXEC : 0);
        if (p->p_type == PT_LOAD && !is_lazy(p))
            r = fn(arg, p->p_vaddr, p->p_memsz, prot, err);
    }
    return r;
}

static int measure_page(void *arg, uint64_t offset, const uint8_t *page, uint64_t flags,
                        bool measured, struct sh_error *err)
{
    struct sgx_measure *m = arg;
    int r = sgx_measure_add(m, offset, flags);
    if (r)
        return sh_fail(err, r, "base/enclave has a page that cannot be measured");
    if (measured)
        sgx_measure_extend(m, offset, page);
    return 0;
}

int sgx_image_measure(const struct sgx_image *image, const uint8_t identity[SGX_IDENTITY_SIZE],
                      uint8_t mrenclave[32], struct sh_error *err)
{
    struct sgx_measure m;
    int r = sgx_measure_create(&m, SH_ENCLAVE_SIZE, SH_ENCLAVE_SSA_PAGES);
    if (r)
        return sh_fail(err, r, "cannot measure the enclave");
    r = sgx_image_walk(image, identity, measure_page, &m, err);
    if (!r)
        sgx_measure_final(&m, mrenclave);
    return r;
}

void sgx_image_secs(struct sgx_secs *secs, uint64_t xfrm, uint64_t attributes)
{
    *secs = (struct sgx_secs){
        .size = SH_ENCLAVE_SIZE,
        .ssa_frame_size = SH_ENCLAVE_SSA_PAGES,
        .miscselect = SGX_MISC_EXINFO,
        .attributes = {SGX_ATTR_MODE64BIT | SGX_ATTR_KSS | attributes, xfrm & XFRM_WANTED},
    };
    /* AVX-512's three components stand or fall together, and on AVX. */
    if ((secs->attributes.xfrm & 0xe4) != 0xe4)
        secs->attributes.xfrm &= 7;
}
