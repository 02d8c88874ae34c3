// SPDX-License-Identifier: Apache-2.0
// The leaves of the operating system, ENCLS (SDM 38.3). The caller holds dev->lock.
//
// Operands are checked in the SDM's order as far as it shows. PAGEINFO's pointers are trusted: the
// driver has copied what they point to.
#include "host/sgx/sim/sim.h"

#include <string.h>

#include "lib/bytes.h"
#include "verifier/measure/sgx.h"

static bool secinfo_is_good(const struct sgx_secinfo *info)
{
    return (info->flags & SGX_SECINFO_RESERVED) == 0 &&
           sim_zero(info->reserved, sizeof(info->reserved));
}

/* Not a page of ELRANGE, or not its first byte. */
static bool bad_address(const struct sgxsim *dev, uint64_t addr)
{
    return addr % SGX_PAGE_SIZE != 0 || addr < dev->base || addr - dev->base >= dev->size;
}

/* XFRM: x87 and SSE always; AVX-512's three together and with AVX (SDM 35.7.2.1, XSETBV's rules).
 */
static bool xfrm_is_legal(uint64_t xfrm)
{
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    if ((xfrm & SGX_XFRM_LEGACY) != SGX_XFRM_LEGACY || (xfrm & ~caps.attributes.xfrm) != 0)
        return false;
    uint64_t avx512 = xfrm & 0xe0;
    return avx512 == 0 || (avx512 == 0xe0 && (xfrm & 4) != 0);
}

/* SECS as ECREATE wants it (SDM 38.3, ECREATE). */
static bool secs_is_good(const struct sgx_secs *s)
{
    struct sgxsim_caps caps;
    sgxsim_caps(&caps);
    if (s->size < 2 * SGX_PAGE_SIZE || (s->size & (s->size - 1)) != 0 ||
        s->size > caps.max_enclave_size)
        return false;
    if ((s->base & (s->size - 1)) != 0 || (int64_t)(s->base << 16) >> 16 != (int64_t)s->base)
        return false;
    if ((s->attributes.flags & SGX_ATTR_MODE64BIT) == 0 ||
        (s->attributes.flags & ~caps.attributes.flags) != 0) /* INIT, CET and reserved ones too */
        return false;
    if (!xfrm_is_legal(s->attributes.xfrm) || (s->miscselect & ~caps.miscselect) != 0)
        return false;
    uint64_t need = sim_xsave_size(s->attributes.xfrm) + sizeof(struct sgx_gprsgx);
    if ((s->miscselect & SGX_MISC_EXINFO) != 0)
        need += sizeof(struct sgx_exinfo);
    if ((uint64_t)s->ssa_frame_size * SGX_PAGE_SIZE < need)
        return false;
    if ((s->attributes.flags & SGX_ATTR_KSS) == 0 &&
        (!sim_zero(s->configid, sizeof(s->configid)) || s->config_svn != 0))
        return false;
    return s->cet_leg_bitmap_offset == 0 && s->cet_attributes == 0 &&
           sim_zero(s->reserved1, sizeof(s->reserved1)) &&
           sim_zero(s->reserved2, sizeof(s->reserved2)) &&
           sim_zero(s->reserved3, sizeof(s->reserved3)) &&
           sim_zero(s->reserved4, sizeof(s->reserved4));
}

int sim_ecreate(struct sgxsim *dev, const struct sgx_pageinfo *info)
{
    const struct sgx_secs *secs = (const void *)info->srcpge;
    const struct sgx_secinfo *secinfo = (const void *)info->secinfo;
    if (info->linaddr != 0 || info->secs != 0)
        return SIM_GP;
    if (!secinfo_is_good(secinfo) || SGX_SECINFO_PT_OF(secinfo->flags) != SGX_PT_SECS)
        return SIM_GP;
    if (dev->created)
        return SIM_PF; /* the EPC page is valid already */
    if (!secs_is_good(secs))
        return SIM_GP;
    dev->secs = *secs;
    memset(dev->secs.mrenclave, 0, 32);
    memset(dev->secs.mrsigner, 0, 32);
    dev->secs.isv_prod_id = dev->secs.isv_svn = 0;
    dev->base = secs->base;
    dev->size = secs->size;
    uint8_t record[64] = "ECREATE";
    sh_put_le32(record + 8, secs->ssa_frame_size);
    sh_put_le64(record + 12, secs->size);
    SHA256_Init(&dev->hash);
    SHA256_Update(&dev->hash, record, sizeof(record));
    dev->epoch = 1;
    dev->eid = ++sim_cpu.next_eid;
    dev->created = true;
    return SGX_SUCCESS;
}

/* The TCS that EADD and EACCEPT let through; bad reserved fields are #GP. */
static bool tcs_is_good(const struct sgxsim *dev, const struct sgx_tcs *tcs)
{
    uint64_t known = SGX_TCS_DBGOPTIN;
    if ((dev->secs.attributes.flags & SGX_ATTR_AEXNOTIFY) != 0)
        known |= SGX_TCS_AEXNOTIFY;
    return (tcs->flags & ~known) == 0 && tcs->ocetssa == 0 && tcs->prevssp == 0 &&
           sim_zero(tcs->reserved, sizeof(tcs->reserved));
}

int sim_eadd(struct sgxsim *dev, const struct sgx_pageinfo *info)
{
    struct sgx_secinfo secinfo = *(const struct sgx_secinfo *)info->secinfo;
    if (info->linaddr % SGX_PAGE_SIZE != 0 || info->srcpge % SGX_PAGE_SIZE != 0)
        return SIM_GP;
    if (!secinfo_is_good(&secinfo) ||
        (secinfo.flags & (SGX_SECINFO_PENDING | SGX_SECINFO_MODIFIED | SGX_SECINFO_PR)) != 0)
        return SIM_GP;
    unsigned type = SGX_SECINFO_PT_OF(secinfo.flags);
    if (type != SGX_PT_REG && type != SGX_PT_TCS)
        return SIM_GP;
    if (!dev->created)
        return SIM_PF;
    bool outside = bad_address(dev, info->linaddr);
    uint64_t offset = info->linaddr - dev->base;
    if (!outside && (sim_page(dev, offset)->state & PAGE_VALID) != 0)
        return SIM_PF;
    const uint8_t *src = (const uint8_t *)info->srcpge;
    if (type == SGX_PT_TCS) {
        if (!tcs_is_good(dev, (const struct sgx_tcs *)src))
            return SIM_GP;
        secinfo.flags &= ~SGX_SECINFO_RWX;
    } else if ((secinfo.flags & SGX_SECINFO_W) != 0 && (secinfo.flags & SGX_SECINFO_R) == 0) {
        return SIM_GP;
    }
    if (outside || dev->initialized)
        return SIM_GP;
    if (!sim_epc_reach(dev, offset))
        return SIM_PF;
    if (src != sim_frame(dev, offset)) /* else it is there already */
        sim_epc_fill(dev, offset, src);
    if (type == SGX_PT_TCS) {
        struct sgx_tcs *tcs = (struct sgx_tcs *)sim_frame(dev, offset);
        tcs->flags &= ~SGX_TCS_DBGOPTIN;
        tcs->state = tcs->aep = 0;
        tcs->cssa = 0;
    }
    uint8_t record[64] = "EADD";
    sh_put_le64(record + 8, offset);
    memcpy(record + 16, &secinfo, 48);
    SHA256_Update(&dev->hash, record, sizeof(record));
    sim_epc_set(dev, offset,
                (struct sim_page){.state = PAGE_VALID | PAGE_REFERENCED,
                                  .type = (uint8_t)type,
                                  .perm = (uint8_t)(secinfo.flags & SGX_SECINFO_RWX)});
    SIM_COUNT(dev, eadd);
    return SGX_SUCCESS;
}

int sim_eextend(struct sgxsim *dev, uint64_t addr)
{
    if (addr % 256 != 0)
        return SIM_GP;
    if (!dev->created || bad_address(dev, addr & ~(uint64_t)(SGX_PAGE_SIZE - 1)))
        return SIM_PF;
    uint64_t offset = addr - dev->base;
    const struct sim_page *p = sim_page(dev, offset);
    if ((p->state & PAGE_VALID) == 0)
        return SIM_PF;
    if (p->type != SGX_PT_REG && p->type != SGX_PT_TCS)
        return SIM_PF;
    if (dev->initialized)
        return SIM_GP;
    uint8_t record[64] = "EEXTEND";
    sh_put_le64(record + 8, offset);
    SHA256_Update(&dev->hash, record, sizeof(record));
    SHA256_Update(&dev->hash, sim_frame(dev, offset), 256);
    SIM_COUNT(dev, eextend);
    return SGX_SUCCESS;
}

/* Reserved bits are zero in ATTRIBUTES; what the mask covers is the same on both sides. */
static bool attributes_match(const struct sgxsim *dev, const struct sgx_sigstruct *css)
{
    const struct sgx_attributes *is = &dev->secs.attributes, *mask = &css->attribute_mask;
    return (is->flags & mask->flags) == (css->attributes.flags & mask->flags) &&
           (is->xfrm & mask->xfrm) == (css->attributes.xfrm & mask->xfrm) &&
           (dev->secs.miscselect & css->miscmask) == (css->miscselect & css->miscmask);
}

/* MRENCLAVE of what was measured so far; a refused EINIT changes nothing. */
static void finish_hash(const struct sgxsim *dev, uint8_t mrenclave[32])
{
    SHA256_CTX copy = dev->hash;
    SHA256_Final(mrenclave, &copy);
}

/* A token of the launch enclave's, whose signer the launch key's hash names. */
static int check_token(const struct sgxsim *dev, const struct sgx_einittoken *token,
                       const uint8_t mrenclave[32], const uint8_t mrsigner[32])
{
    if ((token->masked_attributes_le.flags & SGX_ATTR_DEBUG) != 0 &&
        (dev->secs.attributes.flags & SGX_ATTR_DEBUG) == 0)
        return SGX_INVALID_EINITTOKEN;
    if (token->valid != 1 || !sim_zero(token->reserved1, sizeof(token->reserved1)) ||
        !sim_zero(token->reserved2, sizeof(token->reserved2)) ||
        !sim_zero(token->reserved3, sizeof(token->reserved3)) ||
        !sim_zero(token->reserved4, sizeof(token->reserved4)) ||
        token->cet_masked_attributes_le != 0)
        return SGX_INVALID_EINITTOKEN;
    int ret = sim_token_check(token);
    if (ret != SGX_SUCCESS)
        return ret;
    if (memcmp(token->mrenclave, mrenclave, 32) != 0 || memcmp(token->mrsigner, mrsigner, 32) != 0)
        return SGX_INVALID_MEASUREMENT;
    if (memcmp(&token->attributes, &dev->secs.attributes, sizeof(token->attributes)) != 0)
        return SGX_INVALID_ATTRIBUTE;
    return SGX_SUCCESS;
}

int sim_einit(struct sgxsim *dev, const struct sgx_sigstruct *css,
              const struct sgx_einittoken *token)
{
    uint8_t mrsigner[32], mrenclave[32];
    if (!dev->created)
        return SIM_PF;
    if (dev->initialized)
        return SIM_GP;
    if (sgx_sigstruct_check_format(css) != SGX_SUCCESS)
        return SGX_INVALID_SIG_STRUCT;
    if ((dev->secs.attributes.flags & SGX_ATTR_KSS) == 0 &&
        (!sim_zero(css->isv_family_id, 16) || !sim_zero(css->isv_ext_prod_id, 16)))
        return SGX_INVALID_SIG_STRUCT;
    if (sgx_sigstruct_check_signature(css) != SGX_SUCCESS)
        return SGX_INVALID_SIGNATURE;
    finish_hash(dev, mrenclave);
    if (memcmp(mrenclave, css->enclave_hash, 32) != 0)
        return SGX_INVALID_MEASUREMENT;
    sgx_mrsigner(css, mrsigner);
    bool launcher = memcmp(mrsigner, sim_cpu.lepubkeyhash, 32) == 0;
    /* EINITTOKENKEY only for the one that may launch; the vendor's own attributes likewise. */
    if ((dev->secs.attributes.flags & SGX_ATTR_EINITTOKENKEY) != 0 && !launcher)
        return SGX_INVALID_ATTRIBUTE;
    if (!attributes_match(dev, css))
        return SGX_INVALID_ATTRIBUTE;
    if ((token->valid & 1) == 0) {
        if (!launcher)
            return SGX_INVALID_EINITTOKEN;
    } else {
        int ret = check_token(dev, token, mrenclave, mrsigner);
        if (ret != SGX_SUCCESS)
            return ret;
    }
    memcpy(dev->secs.mrenclave, mrenclave, 32);
    memcpy(dev->secs.mrsigner, mrsigner, 32);
    memcpy(dev->isv_family_id, css->isv_family_id, 16);
    memcpy(dev->isv_ext_prod_id, css->isv_ext_prod_id, 16);
    dev->secs.isv_prod_id = css->isv_prod_id;
    dev->secs.isv_svn = css->isv_svn;
    dev->secs.attributes.flags |= SGX_ATTR_INIT;
    dev->initialized = true;
    return SGX_SUCCESS;
}

int sim_eaug(struct sgxsim *dev, const struct sgx_pageinfo *info)
{
    if (info->linaddr % SGX_PAGE_SIZE != 0 || info->srcpge != 0)
        return SIM_GP;
    if (info->secinfo != 0) { /* EAUG of a shadow-stack page: no CET here */
        return SIM_GP;
    }
    if (!dev->created)
        return SIM_PF;
    if (!dev->initialized || bad_address(dev, info->linaddr))
        return SIM_GP;
    if ((sim_page(dev, info->linaddr - dev->base)->state & PAGE_VALID) != 0)
        return SIM_PF;
    if (!sim_epc_reach(dev, info->linaddr - dev->base))
        return SIM_PF;
    sim_epc_set(dev, info->linaddr - dev->base,
                (struct sim_page){.state = PAGE_VALID | PAGE_PENDING | PAGE_REFERENCED,
                                  .type = SGX_PT_REG,
                                  .perm = SGX_SECINFO_R | SGX_SECINFO_W});
    SIM_COUNT(dev, eaug);
    return SGX_SUCCESS;
}

/* The page at `addr`, or the fault of a leaf that changes it. */
static int find_child(struct sgxsim *dev, uint64_t addr, struct sim_page **page)
{
    if (addr % SGX_PAGE_SIZE != 0)
        return SIM_GP;
    if (!dev->created || bad_address(dev, addr))
        return SIM_PF;
    *page = sim_page(dev, addr - dev->base);
    return ((*page)->state & PAGE_VALID) != 0 ? 0 : SIM_PF;
}

/* The page was another leaf's when this one came. Once: then that leaf is done. */
static bool is_taken(struct sgxsim *dev, uint64_t addr)
{
    if (dev->met_page == 0 || dev->met_page != addr - dev->base + 1)
        return false;
    dev->met_page = 0;
    return true;
}

int sim_emodpr(struct sgxsim *dev, const struct sgx_secinfo *info, uint64_t addr)
{
    struct sim_page *p = NULL;
    if (!secinfo_is_good(info))
        return SIM_GP;
    if ((info->flags & SGX_SECINFO_W) != 0 && (info->flags & SGX_SECINFO_R) == 0)
        return SIM_GP;
    int ret = find_child(dev, addr, &p);
    if (ret != 0)
        return ret;
    if (is_taken(dev, addr))
        return SGX_EPC_PAGE_CONFLICT;
    if ((p->state & (PAGE_PENDING | PAGE_MODIFIED)) != 0)
        return SGX_PAGE_NOT_MODIFIABLE;
    if (p->type != SGX_PT_REG)
        return SIM_PF;
    if (!dev->initialized)
        return SIM_GP;
    p->perm &= info->flags & SGX_SECINFO_RWX;
    p->state |= PAGE_PR;
    p->epoch = dev->epoch;
    SIM_COUNT(dev, emodpr);
    return SGX_SUCCESS;
}

int sim_emodt(struct sgxsim *dev, const struct sgx_secinfo *info, uint64_t addr)
{
    struct sim_page *p = NULL;
    unsigned type = SGX_SECINFO_PT_OF(info->flags);
    if (!secinfo_is_good(info) || (type != SGX_PT_TCS && type != SGX_PT_TRIM))
        return SIM_GP;
    int ret = find_child(dev, addr, &p);
    if (ret != 0)
        return ret;
    if (is_taken(dev, addr))
        return SGX_EPC_PAGE_CONFLICT;
    /* PT_REG may become TCS or TRIM, PT_TCS only TRIM. */
    if (p->type != SGX_PT_REG && (p->type != SGX_PT_TCS || type != SGX_PT_TRIM))
        return SIM_PF;
    if ((p->state & (PAGE_PENDING | PAGE_MODIFIED)) != 0)
        return SGX_PAGE_NOT_MODIFIABLE;
    if (!dev->initialized)
        return SIM_GP;
    p->state = (uint8_t)((p->state & ~PAGE_PR) | PAGE_MODIFIED);
    p->type = (uint8_t)type;
    p->perm = 0;
    p->epoch = dev->epoch;
    SIM_COUNT(dev, emodt);
    return SGX_SUCCESS;
}

int sim_eremove(struct sgxsim *dev, uint64_t addr)
{
    if (addr % SGX_PAGE_SIZE != 0)
        return SIM_GP;
    if (!dev->created || bad_address(dev, addr))
        return SIM_PF;
    struct sim_page *p = sim_page(dev, addr - dev->base);
    if ((p->state & PAGE_VALID) == 0)
        return SGX_SUCCESS; /* an invalid page is left alone */
    /* A trimmed page that the enclave has accepted may go; any other only with nobody inside. */
    bool trimmed = p->type == SGX_PT_TRIM && (p->state & PAGE_MODIFIED) == 0;
    if (!trimmed && sim_inside(dev, UINT32_MAX))
        return SGX_ENCLAVE_ACT;
    *p = (struct sim_page){0};
    SIM_COUNT(dev, eremove);
    return SGX_SUCCESS;
}

int sim_eremove_secs(struct sgxsim *dev)
{
    if (!dev->created)
        return SGX_SUCCESS;
    if (sim_epc_next(dev, 0, dev->size) < dev->size)
        return SGX_CHILD_PRESENT;
    dev->created = false;
    dev->initialized = false;
    return SGX_SUCCESS;
}

int sim_eblock(struct sgxsim *dev, uint64_t addr)
{
    if (addr % SGX_PAGE_SIZE != 0)
        return SIM_GP;
    if (!dev->created || bad_address(dev, addr))
        return SIM_PF;
    struct sim_page *p = sim_page(dev, addr - dev->base);
    if (is_taken(dev, addr))
        return SGX_EPC_PAGE_CONFLICT;
    if ((p->state & PAGE_VALID) == 0)
        return SGX_PG_INVLD;
    if (p->type != SGX_PT_REG && p->type != SGX_PT_TCS && p->type != SGX_PT_TRIM)
        return SGX_NOTBLOCKABLE;
    if ((p->state & PAGE_BLOCKED) != 0)
        return SGX_BLKSTATE;
    p->state |= PAGE_BLOCKED;
    p->epoch = dev->epoch;
    return SGX_SUCCESS;
}

bool sim_inside(const struct sgxsim *dev, uint32_t before)
{
    for (const struct sim_thread *t = sim_threads; t != NULL; t = t->next) {
        if (t->inside && t->dev == dev && t->epoch < before &&
            (!t->resolving || before == UINT32_MAX))
            return true;
    }
    return false;
}

bool sim_tracked(const struct sgxsim *dev, uint32_t epoch)
{
    return dev->epoch > epoch && !sim_inside(dev, epoch + 1);
}

int sim_etrack(struct sgxsim *dev)
{
    if (!dev->created)
        return SIM_PF;
    if (sim_inside(dev, dev->epoch))
        return SGX_PREV_TRK_INCMPL;
    dev->epoch++;
    SIM_COUNT(dev, etrack);
    return SGX_SUCCESS;
}
