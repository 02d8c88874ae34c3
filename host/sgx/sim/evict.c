// SPDX-License-Identifier: Apache-2.0
// The leaves that put pages out of the EPC and bring them back (SDM 38.3: EPA, EWB, ELDB, ELDU),
// with versions in pages of their own and AES-GCM under the paging key of this boot; the debugger's
// EDBGRD and EDBGWR, and EUPDATESVN. The caller holds dev->lock.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

/* What the MAC covers beside the page (SDM 35.12.1: MAC_HDR). */
struct header {
    struct sgx_secinfo secinfo;
    uint64_t eid, linaddr;
    uint8_t zero[48];
};
_Static_assert(sizeof(struct header) == 128, "MAC_HDR");

static EVP_CIPHER_CTX *cipher;
static _Atomic bool cipher_taken; /* by one leaf at a time; enclaves have locks of their own */

int sim_paging_start(void)
{
    if (cipher != NULL)
        return 0;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    if (c == NULL || EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, sim_cpu.paging_key, NULL) != 1)
        return -ENOMEM;
    cipher = c;
    return 0;
}

/* Where pages can leave by themselves nothing is allocated: it may be a signal handler. */
static bool crypt_page(uint64_t version, const struct header *h, const void *from, void *to,
                       uint8_t mac[16], bool out)
{
    uint8_t iv[12] = {0};
    int n;
    memcpy(iv + 4, &version, 8);
    while (atomic_exchange(&cipher_taken, true))
        __builtin_ia32_pause();
    bool ok = sim_paging_start() == 0 &&
              EVP_CipherInit_ex(cipher, NULL, NULL, sim_cpu.paging_key, iv, out ? 1 : 0) == 1 &&
              EVP_CipherUpdate(cipher, NULL, &n, (const void *)h, sizeof(*h)) == 1 &&
              EVP_CipherUpdate(cipher, to, &n, from, SGX_PAGE_SIZE) == 1;
    if (ok && !out)
        ok = EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, 16, mac) == 1;
    ok = ok && EVP_CipherFinal_ex(cipher, (uint8_t *)to + SGX_PAGE_SIZE, &n) == 1;
    if (ok && out)
        ok = EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, 16, mac) == 1;
    cipher_taken = false;
    return ok;
}

int sim_epa(struct sim_va *va, uint64_t type)
{
    if (type != SGX_PT_VA)
        return SIM_GP;
    if (va->valid)
        return SIM_PF;
    memset(va->slots, 0, sizeof(va->slots));
    va->valid = true;
    return SGX_SUCCESS;
}

int sim_eremove_va(struct sim_va *va)
{
    va->valid = false;
    return SGX_SUCCESS;
}

static uint64_t flags_of(const struct sim_page *p)
{
    uint64_t flags = SGX_SECINFO_PT(p->type) | p->perm;
    flags |= (p->state & PAGE_PENDING) != 0 ? SGX_SECINFO_PENDING : 0;
    flags |= (p->state & PAGE_MODIFIED) != 0 ? SGX_SECINFO_MODIFIED : 0;
    return flags | ((p->state & PAGE_PR) != 0 ? SGX_SECINFO_PR : 0);
}

/* The frame of a valid page at addr, or a fault. */
static int find_page(const struct sgxsim *dev, uint64_t addr, struct sim_page **page)
{
    if (addr % SGX_PAGE_SIZE != 0)
        return SIM_GP;
    if (!dev->created || addr < dev->base || addr - dev->base >= dev->size)
        return SIM_PF;
    *page = sim_page(dev, addr - dev->base);
    return 0;
}

int sim_ewb(struct sgxsim *dev, struct sgx_pageinfo *info, uint64_t addr, struct sim_va *va,
            uint32_t slot)
{
    struct sgx_pcmd *pcmd = (struct sgx_pcmd *)info->secinfo;
    struct sim_page *p = NULL;
    int ret = find_page(dev, addr, &p);
    if (ret != 0)
        return ret;
    if (info->linaddr != 0 || info->secs != 0 || info->srcpge % SGX_PAGE_SIZE != 0 ||
        info->secinfo % 128 != 0)
        return SIM_GP;
    if ((p->state & PAGE_VALID) == 0 || !va->valid)
        return SIM_PF;
    if ((p->state & PAGE_BLOCKED) == 0)
        return SGX_PAGE_NOT_BLOCKED;
    if (!sim_tracked(dev, p->epoch))
        return SGX_NOT_TRACKED;
    struct header h = {.secinfo = {.flags = flags_of(p)}, .eid = dev->eid, .linaddr = addr};
    uint64_t version = ++sim_cpu.next_version;
    memset(pcmd, 0, sizeof(*pcmd));
    memcpy((void *)info->srcpge, sim_frame(dev, addr - dev->base), SGX_PAGE_SIZE);
    if (p->type == SGX_PT_TCS)
        ((struct sgx_tcs *)info->srcpge)->state = 0; /* nobody is inside, only on the way */
    if (!crypt_page(version, &h, (void *)info->srcpge, (void *)info->srcpge, pcmd->mac, true))
        return SIM_GP;
    pcmd->secinfo = h.secinfo;
    pcmd->enclaveid = dev->eid;
    info->linaddr = addr;
    bool occupied = va->slots[slot] != 0;
    va->slots[slot] = version;
    p->state = 0;
    SIM_COUNT(dev, ewb);
    return occupied ? SGX_VA_SLOT_OCCUPIED : SGX_SUCCESS;
}

int sim_eld(struct sgxsim *dev, const struct sgx_pageinfo *info, uint64_t addr, struct sim_va *va,
            uint32_t slot, bool blocked)
{
    struct sgx_pcmd pcmd;
    struct sim_page *p = NULL;
    if (info->srcpge % SGX_PAGE_SIZE != 0 || info->secinfo % 128 != 0)
        return SIM_GP;
    int ret = find_page(dev, addr, &p);
    if (ret != 0)
        return ret;
    if ((p->state & PAGE_VALID) != 0 || !va->valid)
        return SIM_PF;
    memcpy(&pcmd, (const void *)info->secinfo, sizeof(pcmd));
    unsigned type = SGX_SECINFO_PT_OF(pcmd.secinfo.flags);
    if (type != SGX_PT_REG && type != SGX_PT_TCS && type != SGX_PT_TRIM)
        return SIM_GP; /* pages of versions and SECSs stay here */
    struct header h = {.secinfo = pcmd.secinfo, .eid = dev->eid, .linaddr = info->linaddr};
    if (!sim_epc_reach(dev, addr - dev->base))
        return SIM_PF;
    if (!sim_zero(pcmd.reserved, sizeof(pcmd.reserved)) || info->linaddr != addr ||
        !crypt_page(va->slots[slot], &h, (const void *)info->srcpge,
                    sim_frame(dev, addr - dev->base), pcmd.mac, false)) {
        memset(sim_frame(dev, addr - dev->base), 0, SGX_PAGE_SIZE);
        return SGX_MAC_COMPARE_FAIL;
    }
    va->slots[slot] = 0;
    uint64_t flags = pcmd.secinfo.flags;
    unsigned state = PAGE_VALID | PAGE_REFERENCED | (blocked ? PAGE_BLOCKED : 0);
    state |= (flags & SGX_SECINFO_PENDING) != 0 ? PAGE_PENDING : 0;
    state |= (flags & SGX_SECINFO_MODIFIED) != 0 ? PAGE_MODIFIED : 0;
    state |= (flags & SGX_SECINFO_PR) != 0 ? PAGE_PR : 0;
    sim_epc_set(dev, addr - dev->base,
                (struct sim_page){.state = (uint8_t)state,
                                  .type = (uint8_t)type,
                                  .perm = (uint8_t)(flags & SGX_SECINFO_RWX),
                                  .max = p->max}); /* tracked before it left: epoch 0 */
    SIM_COUNT(dev, eldu);
    return SGX_SUCCESS;
}

/* --- debugger -------------------------------------------------------------------------------- */

static int debug_word(struct sgxsim *dev, uint64_t addr, bool write, uint64_t **word)
{
    struct sim_page *p = NULL;
    if (addr % 8 != 0)
        return SIM_GP;
    int ret = find_page(dev, addr & ~(uint64_t)(SGX_PAGE_SIZE - 1), &p);
    if (ret != 0)
        return ret;
    if ((p->state & PAGE_VALID) == 0 || (p->type != SGX_PT_REG && p->type != SGX_PT_TCS))
        return SIM_PF;
    if ((p->state & (PAGE_PENDING | PAGE_MODIFIED)) != 0)
        return SGX_PAGE_NOT_DEBUGGABLE;
    uint64_t in = addr % SGX_PAGE_SIZE;
    if (p->type == SGX_PT_TCS &&
        (write ? in != offsetof(struct sgx_tcs, flags) : in >= offsetof(struct sgx_tcs, reserved)))
        return SIM_GP;
    if ((dev->secs.attributes.flags & SGX_ATTR_DEBUG) == 0)
        return SIM_GP;
    *word = (uint64_t *)sim_frame(dev, addr - dev->base);
    return SGX_SUCCESS;
}

int sim_edbgrd(struct sgxsim *dev, uint64_t addr, uint64_t *value)
{
    uint64_t *word = NULL;
    int ret = debug_word(dev, addr, false, &word);
    if (ret == SGX_SUCCESS)
        *value = *word;
    return ret;
}

int sim_edbgwr(struct sgxsim *dev, uint64_t addr, uint64_t value)
{
    uint64_t *word = NULL;
    int ret = debug_word(dev, addr, true, &word);
    if (ret == SGX_SUCCESS)
        *word = value;
    return ret;
}

/* --- microcode ------------------------------------------------------------------------------- */

void sgxsim_load_microcode(const uint8_t cpusvn[16])
{
    memcpy(sim_cpu.next_cpusvn, cpusvn, 16);
}

int sim_eupdatesvn(bool entropy)
{
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        const struct sgxsim *dev = sim_device_number(i);
        if (dev != NULL && dev->created)
            return SGX_EPC_NOT_READY;
    }
    if (!entropy)
        return SGX_INSUFFICIENT_ENTROPY;
    if (memcmp(sim_cpu.next_cpusvn, sim_cpu.cpusvn, 16) == 0)
        return SGX_NO_UPDATE;
    memcpy(sim_cpu.cpusvn, sim_cpu.next_cpusvn, 16);
    return SGX_SUCCESS;
}
