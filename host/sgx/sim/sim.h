// SPDX-License-Identifier: Apache-2.0
// Inside the simulated processor: its state, and who changes it.
//
// Memory: a memfd holds the EPC pages of one enclave at their offsets in ELRANGE. It is mapped
// twice: writable, by the GiB in which there are pages, which is the processor's own view
// (`chunks`), and once at ELRANGE, where host page protections stand for what page tables and EPCM
// together allow. ELRANGE may be half of all addresses, so nothing has its size.
#ifndef HOST_SGX_SIM_SIM_H
#define HOST_SGX_SIM_SIM_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <ucontext.h>

/* SHA-256 without EVP: fetching an algorithm there costs as much as all else of a small enclave's
 * ECREATE to EINIT. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "host/sgx/sim/offsets.h"
#include "host/sgx/sim/sgxsim.h"

#define SIM_LOWEST 0x10000ull /* lowest address that is ever mapped */

/* EPCM, one entry for each page of ELRANGE (SDM 35.20); all zero: no EPC page there. */
#define PAGE_VALID 0x01u
#define PAGE_PENDING 0x02u
#define PAGE_MODIFIED 0x04u
#define PAGE_PR 0x08u
#define PAGE_BLOCKED 0x10u
#define PAGE_EVICTED 0x20u /* the driver's: EWB put it out, ELDU brings it back */
#define PAGE_REFERENCED 0x40u
#define PAGE_LEAVING 0x80u /* the driver's: EWB is under way */
struct sim_page {
    uint8_t state;  /* PAGE_* */
    uint8_t type;   /* enum sgx_page_type */
    uint8_t perm;   /* SGX_SECINFO_RWX */
    uint8_t max;    /* what the driver lets mmap ask for, PROT_* */
    uint32_t epoch; /* tracking epoch of EBLOCK, EMODPR or EMODT */
};

/* A GiB of ELRANGE, all zero until it has its first page. */
#define SIM_CHUNK_SHIFT 30
struct sim_chunk {
    uint8_t *epc;            /* processor's view; what follows the GiB can be seen, too */
    struct sim_page *pages;  /* EPCM */
    struct sim_backing *out; /* of pages that are put out; NULL until one was */
    uint8_t *store;          /* their encrypted bytes */
    uint64_t groups[8];      /* bitmap: these 512 pages may hold valid ones */
    uint64_t (*poked)[8];    /* bitmaps of 512 pages each: private mappings, for debuggers */
};

/* A page of versions (PT_VA): an EPC page of no enclave's addresses. */
#define SIM_VA_SLOTS 512u
struct sim_va {
    uint64_t slots[SIM_VA_SLOTS];
    bool valid;
    uint16_t used; /* the driver's */
};

/* Where the driver keeps a page that EWB has put out. */
struct sim_backing {
    struct sgx_pcmd pcmd;
    uint32_t va, slot;
};

struct sim_vma {
    uint64_t start, end; /* offsets */
    int prot;
};

struct sim_block; /* a jump block, see slots.c */

/* machine.c: the EPC of a machine, how much of it is taken and by which process. */
#define SIM_EPC_USERS 64u
struct sgxsim_epc {
    uint64_t limit; /* pages; 0: none */
    _Atomic uint64_t used;
    struct sim_epc_user {
        _Atomic int state;
        _Atomic uint32_t keeper; /* its thread, as it calls itself; 0: none */
        _Atomic uint32_t wanted; /* pages, by others */
        _Atomic uint64_t used;
    } users[SIM_EPC_USERS]; /* only of one in a file */
    bool shared;
};
bool sim_epc_charge(struct sgxsim_epc *epc); /* false: it is full */
void sim_epc_discharge(struct sgxsim_epc *epc, uint64_t count);
/* Asks the other process that has most of it for some, if that is more than this one has or
 * `anybody`; true: there may be. */
bool sim_epc_ask(struct sgxsim_epc *epc, bool anybody);
/* What others ask this process for, and takes it over: so many pages should go. */
uint32_t sim_epc_asked(struct sgxsim_epc *epc);
void sim_epc_ask_self(struct sgxsim_epc *epc, uint32_t count); /* what is left of it */
/* This process's place in a shared one; NULL: it has none. */
struct sim_epc_user *sim_epc_place(struct sgxsim_epc *epc);
struct sgxsim_epc *sim_epc_shared(void); /* that it has a place in, or had; or NULL */
bool sim_epc_enter(struct sgxsim_epc *epc);
void sim_epc_exit(struct sgxsim_epc *epc);
void sim_epc_wake(struct sim_epc_user *u); /* its keeper */
void sim_epc_after_fork(void);
/* keeper.c: before this process takes pages of one, if it is shared. */
void sim_epc_enrol(struct sgxsim_epc *epc);

/* One enclave, and the driver's open file that it belongs to. */
struct sgxsim {
    /* The processor's */
    uint64_t base, size;
    struct sgx_secs secs;
    bool created;                                   /* ECREATE was done */
    _Atomic bool initialized;                       /* EINIT was done */
    SHA256_CTX hash;                                /* MRENCLAVE so far */
    uint8_t isv_family_id[16], isv_ext_prod_id[16]; /* SECS fields without a place in the SDM */
    uint64_t eid;
    _Atomic uint32_t epoch; /* ETRACK counts it up */
    int fd;
    struct sim_chunk *chunks;
    uint64_t *used;        /* bitmap of chunks that there are */
    _Atomic uint32_t lock; /* EPCM and everything below; futex */
    /* Concurrency (SDM 38.1.4): the page that the leaf with the lock changes, + 1; and the one that
     * it had when the driver came for the lock. */
    uint64_t leaf_page, met_page;

    /* The driver's */
    struct sgxsim_options options;
    struct sim_vma *vmas;
    unsigned vma_count, vma_room;
    _Atomic bool busy; /* one ioctl at a time */
    uint64_t allowed_attributes;
    bool closing;
    uint64_t clock_hand; /* of the pages looked at for eviction */
    struct sgxsim_epc *epc, own_epc;
    struct sim_va *va;
    uint32_t va_count;
    uint64_t pages_ever; /* of the kernel's page count: 512 pages have a page of versions */

    /* Pages that may be used since a moment, while the host's protections do not say so yet. */
    uint64_t lag_start, lag_end;
    uint64_t granted_end; /* behind the last one, lagging or not */

    struct sim_block *blocks;
    struct sgxsim_stats stats; /* plain fields: counted with relaxed atomics */
};

#define SIM_COUNT(dev, field) __atomic_fetch_add(&(dev)->stats.field, 1, __ATOMIC_RELAXED)

/* Registers, in the order of GPRSGX. */
struct sim_regs {
    uint64_t rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rflags, rip;
    uint64_t fs, gs;
};

#define RFLAGS_STATUS 0x8d5ull /* CF PF AF ZF SF OF */
#define RFLAGS_ZF 0x40ull
#define RFLAGS_TF 0x100ull
#define RFLAGS_RF 0x10000ull
#define RFLAGS_AC 0x40000ull

/* One host thread that enters enclaves: the logical processor it runs on. */
struct sim_thread {
    struct sim_regs r; /* while a leaf or an AEX is in progress */
    uint64_t host_fs, host_gs;
    uint64_t stack_top;
    void (*stub)(void);
    const void *xrstor; /* XSAVE area to load on the way out, or NULL */
    uint64_t xmask;
    union {
        _Atomic uint64_t leave_by_trap; /* either of these */
        struct {
            _Atomic uint32_t pending; /* signals were deferred */
            _Atomic uint32_t trap;    /* a signal must be raised */
        };
    };
    uint64_t insn; /* size of the ENCLU slot at r.rip */
    void *code;
    uint64_t lib_fs; /* the thread pointer that our C code wants: host_fs, or sim_foreign's */

    /* Enclave mode (SDM 35.1: CR_ENCLAVE_MODE, CR_ACTIVE_SECS, CR_TCS_PA …) */
    _Atomic bool inside;
    struct sgxsim *entering; /* whose lock an entry holds */
    _Atomic bool resolving;  /* its fault is dealt with: to the processor it has left */
    struct sgxsim *dev;
    struct sgx_tcs *tcs; /* processor's view */
    uint64_t tcs_addr;
    struct sgx_gprsgx *gpr; /* of the current SSA frame */
    _Atomic uint32_t epoch; /* tracking epoch in which it entered */
    _Atomic uint64_t entries;

    uint8_t *frame; /* XSAVE area of the signal frame, or NULL: the live registers */
    void *fpu;      /* where live registers wait while C code uses them */
    /* Last fault, for AEX */
    unsigned vector;
    int raise; /* a signal that the kernel would send at the AEP */
    uint32_t error;
    uint64_t addr;

    int tid;
    unsigned index; /* in the table and in the LDT */
    bool free;
    void *altstack;
    uint64_t altstack_size;
    struct sgxsim *guarded; /* whose ELRANGE traps system calls */
    sigset_t saved_mask;    /* before signals were deferred */
    sgxsim_step_hook step;
    sgxsim_over_hook step_over;
    void *step_arg;
    struct sim_thread *next;
};
_Static_assert(offsetof(struct sim_thread, host_fs) == T_HOST_FS, "T_HOST_FS");
_Static_assert(offsetof(struct sim_thread, stack_top) == T_STACK, "T_STACK");
_Static_assert(offsetof(struct sim_thread, stub) == T_STUB, "T_STUB");
_Static_assert(offsetof(struct sim_thread, xrstor) == T_XRSTOR, "T_XRSTOR");
_Static_assert(offsetof(struct sim_thread, pending) == T_PENDING, "T_PENDING");
_Static_assert(offsetof(struct sim_thread, insn) == T_INSN, "T_INSN");
_Static_assert(offsetof(struct sim_thread, code) == T_CODE, "T_CODE");
_Static_assert(offsetof(struct sim_thread, lib_fs) == T_LIB_FS, "T_LIB_FS");

static inline bool sim_zero(const void *data, size_t size)
{
    const volatile uint8_t *p = data; /* may be memory that the enclave writes */
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

/* machine.c: the open devices. By address also from leaves and signal handlers. */
#define SIM_DEVICES 64u
int sim_device_add(struct sgxsim *dev); /* -EMFILE */
void sim_device_drop(struct sgxsim *dev);
struct sgxsim *sim_device_at(uint64_t addr);
struct sgxsim *sim_device_number(unsigned i); /* NULL: none */
bool sim_devices_hold(void); /* none is closed until sim_devices_let; false: not now */
void sim_devices_let(void);

/* A leaf's outcome: an error code of the SDM (>= 0), or a fault. */
#define SIM_GP (-(int)SGX_VECTOR_GP)
#define SIM_PF (-(int)SGX_VECTOR_PF)
#define SIM_UD (-(int)SGX_VECTOR_UD)
#define SIM_RESTART (-1000) /* of a leaf: a fault on the way was resolved */

/* cpu.c: what this processor has. */
struct sim_cpu {
    uint64_t xcr0;
    uint64_t xfrm;   /* XCR0 without what the kernel grants only on request */
    uint32_t absent; /* bitmap: user leaves that this kind of processor does not have */
    uint32_t mxcsr_mask;
    struct {
        uint32_t offset, size;
    } xstate[64];
    uint8_t fuse_key[32];
    uint8_t cpusvn[16], next_cpusvn[16]; /* the second: of microcode that was loaded */
    uint8_t report_keyid[32];            /* of this boot, that is, this process */
    uint8_t paging_key[16];              /* likewise: CR_BASE_PK */
    _Atomic uint64_t next_eid, next_version;
    uint64_t lepubkeyhash[4]; /* MSRs IA32_SGXLEPUBKEYHASHn; the driver writes MRSIGNER */
};
extern struct sim_cpu sim_cpu;
int sim_cpu_init(const char *key_file);
/* Bytes that XSAVE writes for these components, standard format. */
uint32_t sim_xsave_size(uint64_t xfrm);

/* epc.c: EPC memory and protections. The caller holds dev->lock. */
int sim_epc_create(struct sgxsim *dev);
void sim_epc_destroy(struct sgxsim *dev);
/* The page's entry. Only one that is valid, or was just set, may be changed. */
static inline struct sim_page *sim_page(const struct sgxsim *dev, uint64_t offset)
{
    static const struct sim_page none;
    struct sim_page *p =
        __atomic_load_n(&dev->chunks[offset >> SIM_CHUNK_SHIFT].pages, __ATOMIC_ACQUIRE);
    uint64_t in = offset & ((1ull << SIM_CHUNK_SHIFT) - 1);
    return p != NULL ? &p[in >> SGX_PAGE_SHIFT] : (struct sim_page *)&none;
}
/* The processor's view of a byte; NULL: there is no page near it. */
static inline uint8_t *sim_frame(const struct sgxsim *dev, uint64_t offset)
{
    uint8_t *p = __atomic_load_n(&dev->chunks[offset >> SIM_CHUNK_SHIFT].epc, __ATOMIC_ACQUIRE);
    return p != NULL ? p + (offset & ((1ull << SIM_CHUNK_SHIFT) - 1)) : NULL;
}
bool sim_epc_reach(struct sgxsim *dev,
                   uint64_t offset); /* before a page comes there; or no memory */
/* Room for what is put out of this page's chunk; or no memory. */
bool sim_epc_outside(struct sgxsim *dev, uint64_t offset);
/* Next page from `offset` with a valid entry; `end` if none. */
uint64_t sim_epc_next(struct sgxsim *dev, uint64_t offset, uint64_t end);
int sim_epc_take(struct sgxsim *dev);                    /* an EPC page: 0, -ENOMEM */
void sim_epc_return(struct sgxsim *dev, uint64_t count); /* pages without frames */
void sim_epc_set(struct sgxsim *dev, uint64_t offset, struct sim_page entry);
void sim_epc_give(struct sgxsim *dev, uint64_t offset, uint64_t size);
void sim_epc_fill(struct sgxsim *dev, uint64_t offset, const uint8_t *from); /* one page */
/* Frames of pages that are to be added, from what may not be readable: bytes, whole pages. What is
 * not added then is to be cleared. */
uint64_t sim_epc_fill_row(struct sgxsim *dev, uint64_t offset, uint64_t from, uint64_t size);
void sim_epc_clear(struct sgxsim *dev, uint64_t offset, uint64_t size);
void sim_epc_sync(struct sgxsim *dev, uint64_t offset, uint64_t size);
/* Gives back what is mapped of our own view of the pages; it comes again when it is used. */
void sim_epc_unview(struct sgxsim *dev);
/* An mprotect is dear, and accepted pages come in rows: from the second one in a row on, or where
 * the next one is there to be accepted, the protections of a page that may now be used wait for
 * those of its successors, until another leaf, or until the enclave trips over them. */
void sim_epc_grant(struct sgxsim *dev, uint64_t offset);
void sim_epc_catch_up(struct sgxsim *dev);
static inline bool sim_epc_lags(const struct sgxsim *dev, uint64_t offset)
{
    return offset >= dev->lag_start && offset < dev->lag_end;
}
void sim_epc_hide(struct sgxsim *dev, uint64_t offset, uint64_t size);
/* Before these pages' mapping goes: keeps what a debugger wrote into it. */
void sim_epc_forget(struct sgxsim *dev, uint64_t offset, uint64_t size);
int sim_vma_prot(const struct sgxsim *dev, uint64_t offset);                 /* -1: not mapped */
int sim_vma_set(struct sgxsim *dev, uint64_t start, uint64_t end, int prot); /* -1: unmap */

void sim_lock(struct sgxsim *dev);
bool sim_try_lock(struct sgxsim *dev);
/* For a leaf that changes a page (offset + 1), until leaf_page is 0: false, without the lock, if
 * another leaf has that page just now. */
bool sim_lock_page(struct sgxsim *dev, uint64_t page);
void sim_unlock(struct sgxsim *dev);

/* encls.c: the OS leaves (SDM 38.3). An EPC page is named by its enclave and offset. */
int sim_ecreate(struct sgxsim *dev, const struct sgx_pageinfo *info);
int sim_eadd(struct sgxsim *dev, const struct sgx_pageinfo *info);
int sim_eextend(struct sgxsim *dev, uint64_t addr);
int sim_einit(struct sgxsim *dev, const struct sgx_sigstruct *css,
              const struct sgx_einittoken *token);
int sim_eaug(struct sgxsim *dev, const struct sgx_pageinfo *info);
int sim_emodpr(struct sgxsim *dev, const struct sgx_secinfo *info, uint64_t addr);
int sim_emodt(struct sgxsim *dev, const struct sgx_secinfo *info, uint64_t addr);
int sim_eremove(struct sgxsim *dev, uint64_t addr);
int sim_eremove_secs(struct sgxsim *dev);
int sim_eblock(struct sgxsim *dev, uint64_t addr);
int sim_etrack(struct sgxsim *dev);
/* evict.c: pages leave the EPC and come back. A version's place is a page of versions and a slot in
 * it; info->secinfo is the PCMD. */
int sim_paging_start(void);
int sim_epa(struct sim_va *va, uint64_t type);
int sim_ewb(struct sgxsim *dev, struct sgx_pageinfo *info, uint64_t addr, struct sim_va *va,
            uint32_t slot);
int sim_eld(struct sgxsim *dev, const struct sgx_pageinfo *info, uint64_t addr, struct sim_va *va,
            uint32_t slot, bool blocked);
int sim_eremove_va(struct sim_va *va);
int sim_eupdatesvn(bool entropy);
int sim_edbgrd(struct sgxsim *dev, uint64_t addr, uint64_t *value);
int sim_edbgwr(struct sgxsim *dev, uint64_t addr, uint64_t value);
/* True if no thread is inside since before `epoch` ended (ETRACK after it, and all have left). */
bool sim_tracked(const struct sgxsim *dev, uint32_t epoch);
/* True if a thread is inside that entered in an epoch before `before`. */
bool sim_inside(const struct sgxsim *dev, uint32_t before);

/* enclu.c: the user leaves (SDM 38.4): registers in t->r, in and out. */
void sim_enclu(struct sim_thread *t);
void sim_enclu_live(struct sim_thread *t); /* from entry.S */

/* Asked before each leaf, if set: SIM_AS_IS, or its outcome. */
#define SIM_AS_IS 0x10000
extern int (*sim_leaf_fault)(uint32_t leaf);

/* aex.c: asynchronous exits (SDM 36.4). State in t->r is the enclave's before, the host's after. */
void sim_aex(struct sim_thread *t, uint32_t exitinfo);
/* EXITINFO of a vector. */
uint32_t sim_exitinfo(const struct sgxsim *dev, unsigned vector);
void sim_xsave(struct sim_thread *t, uint8_t *area, uint64_t xfrm);
bool sim_xrstor_check(const uint8_t *area, uint64_t xfrm);
void sim_xrstor(struct sim_thread *t, const uint8_t *area, uint64_t xfrm); /* NULL: initial state */
/* The fault t->vector, t->error, t->addr: AEX, and then the vDSO's fix-up. */
void sim_fault(struct sim_thread *t);
/* Live registers around C code that uses vectors; no-ops when a signal frame holds them. */
void sim_fpu_begin(struct sim_thread *t);
void sim_fpu_end(struct sim_thread *t);

/* keys.c: EREPORT's MAC and EGETKEY's derivation (vector registers are used). */
int sim_report(const struct sgxsim *dev, const struct sgx_targetinfo *target,
               const uint8_t data[64], struct sgx_report *report);
int sim_getkey(const struct sgxsim *dev, const struct sgx_keyrequest *req, uint8_t key[16]);
/* Was the token made by the launch enclave of this processor? SGX_SUCCESS or a code of EINIT's. */
int sim_token_check(const struct sgx_einittoken *token);

/* paging.c: dev->lock with signals blocked; IPIs; EPC pages, at need somebody else's (0, -ENOMEM);
 * and what the kernel's fault handler does, with dev->lock held. */
void sim_enter(struct sgxsim *dev, sigset_t *mask);
void sim_leave(struct sgxsim *dev, const sigset_t *mask);
void sim_kick_out(struct sgxsim *dev);
int sim_take_page(struct sgxsim *dev);
int sim_grow(struct sgxsim *dev); /* before a page is added: its share of a page of versions */
/* 0, -ENOMEM, or -EIO: what was kept outside is not what EWB put there. */
int sim_bring_back(struct sgxsim *dev, uint64_t offset);
/* Puts out what others want of a shared one; false: some of it could not be looked at now. */
bool sim_reclaim_asked(struct sgxsim_epc *epc);
enum sim_fault_result {
    SIM_FAULT_RETRY, /* resolved */
    SIM_FAULT_SIGNAL,
};
/* `error` in: P-less access bits (W, I); out: the error code that is reported. */
enum sim_fault_result sim_page_fault(struct sgxsim *dev, uint64_t addr, uint32_t *error);

/* thread.c */
extern __thread struct sim_thread *sim_self;
extern _Atomic(struct sim_thread *) sim_threads;
extern uint8_t sim_strict;
extern bool sim_always_strict; /* no way to know a thread but by its id */
/* Ways of later kernels may be passed over, to test the ones for older kernels. */
extern enum sim_guard_method {
    SIM_GUARD_ANY,
    SIM_GUARD_INCLUSIVE,
    SIM_GUARD_EXCLUSIVE,
    SIM_GUARD_SECCOMP,
} sim_guard_method;
extern bool sim_no_ldt;
int sim_attach(void);
void sim_detach(void);                            /* this thread ends */
void sim_show_thread(const struct sim_thread *t); /* sets ES */
void sim_after_fork(void);
struct sim_thread *sim_thread_by_es(void);
bool sim_can_guard(void);
int sim_guard(struct sim_thread *t); /* traps system calls in t->dev's ELRANGE */
void sim_unguard(void);              /* this thread */
int sim_table_renew(void);
int sim_table_map(uint8_t *at); /* maps the table of threads at the start of a jump block */
#define SIM_TABLE_SIZE 0x8000u

/* slots.c */
void sim_masks_narrow(struct sgxsim *dev); /* what saves or loads all state means XFRM */
void sim_slots_patch(struct sgxsim *dev);
void sim_slots_free(struct sgxsim *dev);
void sim_slots_renew(struct sgxsim *dev); /* after sim_table_renew */
bool sim_slots_contain(const struct sgxsim *dev, uint64_t rip);

/* signal.c */
#define SIM_KICK (SIGRTMAX - 3) /* our IPI */
int sim_signals_init(void);
/* Enclaves of a program that is not linked with us (host/sgx/foreign): its thread pointers are not
 * the C library's, and its handlers are not called from here. */
struct sim_foreign {
    void (*deliver)(int sig, siginfo_t *info, ucontext_t *uc);
};
extern const struct sim_foreign *sim_foreign;
/* What a handler does, once FS is ours. `base`: FS and GS of the signal, in and out. */
void sim_handle_signal(struct sim_thread *t, int sig, siginfo_t *info, ucontext_t *uc,
                       uint64_t base[2], uint64_t fs);
void sim_kick(const struct sim_thread *t);

/* entry.S */
extern const uint8_t sim_aep[], sim_aep_enclu[], sim_exception[];
extern const uint8_t sim_foreign_aep[], sim_foreign_enclu[], sim_foreign_exception[];
extern struct sim_thread **sim_table; /* [index]; seen read-only at the start of every jump block */
/* __vdso_sgx_enter_enclave for such a program. */
int sim_foreign_enter(unsigned long rdi, unsigned long rsi, unsigned long rdx,
                      unsigned int function, unsigned long r8, unsigned long r9,
                      struct sgx_enclave_run *run);
extern const uint8_t sim_trans_begin[], sim_trans_end[], sim_commit_begin[], sim_commit_end[];
extern const uint8_t sim_trap[], sim_code_begin[], sim_code_end[];
extern const uint8_t sim_stub_begin[], sim_stub_site[], sim_stub_end[];
void sim_from_enclave(void);

#endif
