// SPDX-License-Identifier: Apache-2.0
// The simulated SGX processor and the Linux device in front of it, as a library of its own.
//
// It protects nothing: it lets the same enclave, with the same MRENCLAVE, run where there is no
// SGX. The processor (leaves, EPCM, AEX) follows Intel's SDM, volume 3D; the device follows
// Linux 6.x: <asm/sgx.h>, arch/x86/kernel/cpu/sgx and the vDSO's __vdso_sgx_enter_enclave. Every
// function returns 0 or -errno, as the kernel would, unless it says otherwise.
#ifndef HOST_SGX_SIM_SGXSIM_H
#define HOST_SGX_SIM_SGXSIM_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <asm/sgx.h>

#include <shelter/sgx.h>

/* How ENCLU inside the enclave reaches the simulator. Both measure the same. */
enum sgxsim_speed {
    SGXSIM_PATCHED, /* slots `enclu; xchg %ax,%ax` become jumps at EINIT; other ENCLUs are strict */
    SGXSIM_STRICT,  /* every ENCLU is the #UD that it is on a processor without SGX */
};

/* The EPC of a machine, which enclaves share; also those of several processes, if it lies in a
 * file. -errno. It stays until the process ends. */
struct sgxsim_epc;
int sgxsim_epc_open(const char *file, uint64_t pages, struct sgxsim_epc **out);
/* A process that shares one has a thread of ours, which gives pages to others. It goes before the
 * last thread of the program ends by itself, and comes again if that was not the last. */
void sgxsim_epc_leave(void);
void sgxsim_epc_keep(void);
/* Pages in use, of all. */
uint64_t sgxsim_epc_used(const struct sgxsim_epc *epc);

struct sgxsim_options {
    enum sgxsim_speed speed;
    struct sgxsim_epc *epc; /* NULL: one of this device alone, with */
    uint64_t epc_pages;     /* so many pages; 0: no limit */
    const char *key_file;   /* the fuse key: 32 random bytes, made with mode 0600 if absent;
                               NULL: a key of this process only */
};

/* The processor's keys, as sgxsim_open takes them: before a fork, so that both processes have the
 * same one. 0 or -errno. */
int sgxsim_power_on(const char *key_file);

/* What the simulated processor enumerates in CPUID.12H. */
struct sgxsim_caps {
    struct sgx_attributes attributes; /* bits that may be set */
    uint32_t miscselect;
    bool sgx2, edeccssa;
    bool cet; /* the processor has it, outside enclaves */
    uint64_t max_enclave_size;
};
void sgxsim_caps(struct sgxsim_caps *caps);

/* The kind of processor, before a device is opened: "icelake", "sapphire-rapids", "emerald",
 * "client", "sgx1" (with launch control, but no SGX2). -EINVAL for any other. Without it: all that
 * there is. */
int sgxsim_set_cpu(const char *name);
bool sgxsim_cpu_known(const char *name);
uint32_t sgxsim_cpu_signature(void); /* family, model and stepping, as in CPUID.1.EAX */

/* Newer microcode, which the processor's SVN follows once nobody uses the EPC (EUPDATESVN, which
 * Linux 6.18 does when the device is opened by the first). */
void sgxsim_load_microcode(const uint8_t cpusvn[16]);

/* Events since the device was opened. All monotonic except epc_pages. */
struct sgxsim_stats {
    uint64_t eenter, eresume, eexit, aex; /* aex counts each kind: faults, traps, interrupts */
    uint64_t aex_fault, aex_interrupt;
    uint64_t ereport, egetkey, eaccept, eacceptcopy, emodpe, edeccssa;
    uint64_t eadd, eextend, eaug, emodpr, emodt, eremove, etrack;
    uint64_t ewb, eldu; /* pages moved out of and back into a limited EPC */
    uint64_t epc_pages, epc_peak_pages;
    uint64_t slots; /* ENCLU slots patched */
};
/* Their names, in that order. */
static const char *const sgxsim_counters[] = {
    "eenter",  "eresume", "eexit",   "aex",         "aex_fault",      "aex_interrupt",
    "ereport", "egetkey", "eaccept", "eacceptcopy", "emodpe",         "edeccssa",
    "eadd",    "eextend", "eaug",    "emodpr",      "emodt",          "eremove",
    "etrack",  "ewb",     "eldu",    "epc_pages",   "epc_peak_pages", "slots"};
_Static_assert(sizeof(sgxsim_counters) / sizeof(char *) ==
                   sizeof(struct sgxsim_stats) / sizeof(uint64_t),
               "each has its name");
#define SGXSIM_COUNTERS (sizeof(sgxsim_counters) / sizeof(sgxsim_counters[0]))

/* An open /dev/sgx_enclave. -ENOSYS: this machine lacks FSGSBASE, XSAVE or a way to trap system
 * calls (Linux 5.11's Syscall User Dispatch, or seccomp). */
struct sgxsim;
int sgxsim_open(const struct sgxsim_options *options, struct sgxsim **out);
/* Frees the enclave; -EBUSY while a thread is inside or a TCS holds a frame in flight on one. */
int sgxsim_close(struct sgxsim *dev);

/* The device's system calls. `map` is mmap(MAP_SHARED | MAP_FIXED) of the device file. */
int sgxsim_ioctl(struct sgxsim *dev, unsigned long request, void *arg);
/* Likewise, for a caller whose argument is known to be there: it is not copied. */
int sgxsim_ioctl_at(struct sgxsim *dev, unsigned long request, void *arg);
int sgxsim_map(struct sgxsim *dev, uint64_t addr, uint64_t size, int prot);
int sgxsim_protect(struct sgxsim *dev, uint64_t addr, uint64_t size, int prot);
int sgxsim_unmap(struct sgxsim *dev, uint64_t addr, uint64_t size);
/* Touches each page from outside the enclave, so that the kernel adds those that are not there. */
int sgxsim_populate(struct sgxsim *dev, uint64_t addr, uint64_t size);

/* A descriptor that SGX_IOC_ENCLAVE_PROVISION accepts; the caller closes it. */
int sgxsim_open_provision(void);

/* The vDSO's function: the same registers, the same struct, the same fix-up of exceptions. An
 * enclave must not be entered from a signal handler that interrupted an enclave. */
int sgxsim_enter_enclave(unsigned long rdi, unsigned long rsi, unsigned long rdx,
                         unsigned int function, unsigned long r8, unsigned long r9,
                         struct sgx_enclave_run *run);

/* sigaction(2) for a process that has threads in simulated enclaves: the handler runs after an AEX,
 * with the registers that hardware would show (RIP at the AEP, RAX = ERESUME, RBX = TCS). A handler
 * may set RAX to EENTER. Handlers installed behind its back would run with the enclave's FS. */
int sgxsim_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

/* What a report's target does with EGETKEY(REPORT_KEY) and the report's KEYID: does its MAC hold on
 * this processor? 0 or -EBADMSG. A device was opened before. */
int sgxsim_report_check(const struct sgx_targetinfo *target, const struct sgx_report *report);

/* What EREPORT gives an enclave of the platform that has no pages, for this target: CPUSVN, KEYID
 * and MAC over the identity and the data that `report` has. 0 or -errno. The processor is on. */
int sgxsim_report_finish(const struct sgx_targetinfo *target, struct sgx_report *report);

void sgxsim_stats(struct sgxsim *dev, struct sgxsim_stats *stats);

/* ENCLS[EDBGRD] and [EDBGWR] of a debug enclave's page, at most up to its end: what a debugger gets
 * through ptrace. -EIO: not a debug enclave, no page, or not debuggable. */
int sgxsim_debug_read(struct sgxsim *dev, uint64_t addr, void *out, uint64_t size);
int sgxsim_debug_write(struct sgxsim *dev, uint64_t addr, const void *data, uint64_t size);

/* For attacks in tests: after every instruction that this thread executes inside an enclave there
 * is an interrupt (AEX); `hook` is called with the interrupted RIP, and returns the leaf that the
 * AEP executes next: SGX_ERESUME, or SGX_EENTER to enter again at once. NULL stops it. */
typedef enum sgx_enclu (*sgxsim_step_hook)(void *arg, uint64_t tcs, uint64_t rip);
void sgxsim_step(sgxsim_step_hook hook, void *arg);
/* A better aim: asked before each such interrupt; true: there is none after this instruction. It
 * may end the stepping, and must not touch the enclave. Until the next sgxsim_step. */
typedef bool (*sgxsim_over_hook)(void *arg, uint64_t rip);
void sgxsim_step_over(sgxsim_over_hook hook);

#endif
