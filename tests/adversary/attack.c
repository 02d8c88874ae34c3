// SPDX-License-Identifier: Apache-2.0
// The attack of SmashEx, for tests: an exit after every instruction of the enclave's entry code
// (entry, exit, return from a call, exception handler, way back to the program), and an entry at
// once.
//
// It uses what a host has: the pages of that code are taken out of the mapping, so that whoever
// goes faults; then they are put back and the thread is single-stepped until it has left them.
//
// With AEX-Notify the end of the way back cannot be stepped: each interrupt there makes it begin
// again. There the attacker aims better, one interrupt a pass, each time an instruction later; and
// steps some first instructions of the program, each of which the enclave must hear of.
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/adversary/adversary.h"

#define ENTRY_CODE_MAX 65536u
#define RESUME_STEPS 36u /* more than los_resume has instructions */
#define PROGRAM_STEPS 2u /* of so many passes all but one are interrupted in the program */

static struct {
    uint64_t start, end;               /* of the entry code, whole pages */
    uint64_t resume_start, resume_end; /* what begins again when it is interrupted */
    unsigned every;                    /* each so many instructions */
    _Atomic uint64_t steps, attacks, program;
    uint8_t seen[ENTRY_CODE_MAX]; /* at which places */
} attack;

static __thread struct {
    struct loader_thread *thread;
    bool nested;         /* in the entry that we forced */
    unsigned pass, step; /* of the code that begins again */
    uint64_t last;       /* place */
    uint64_t before;     /* likewise, of `over` */
    unsigned returns;    /* to the program */
} self;

static uint64_t symbol(const char *name)
{
    const struct sgx_image *i = &loader.image;
    const Elf64_Ehdr *h = (const Elf64_Ehdr *)i->data;
    const Elf64_Shdr *s = (const Elf64_Shdr *)(i->data + h->e_shoff);
    if (!h->e_shoff || h->e_shoff + h->e_shnum * sizeof(*s) > i->size)
        return 0;
    for (unsigned n = 0; n < h->e_shnum; n++) {
        if (s[n].sh_type != SHT_SYMTAB)
            continue;
        const Elf64_Sym *sym = (const Elf64_Sym *)(i->data + s[n].sh_offset);
        const char *text = (const char *)i->data + s[s[n].sh_link].sh_offset;
        for (uint64_t k = 0; k < s[n].sh_size / sizeof(*sym); k++) {
            if (!strcmp(text + sym[k].st_name, name))
                return sym[k].st_value;
        }
    }
    return 0;
}

int attack_init(unsigned every, struct sh_error *err)
{
    attack.every = every;
    attack.start = symbol("sgx_entry_code_start");
    attack.end = symbol("sgx_entry_code_end");
    attack.resume_start = symbol("los_resume_start");
    attack.resume_end = symbol("los_resume_end");
    if (!attack.start || attack.end <= attack.start || attack.end - attack.start > ENTRY_CODE_MAX)
        return sh_fail(err, -EINVAL,
                       "this enclave's entry code is not marked; it cannot be attacked");
    return 0;
}

static void open_code(bool open)
{
    loader.enclave.driver->protect(loader.enclave.dev, attack.start, attack.end - attack.start,
                                   open ? PROT_READ | PROT_EXEC : PROT_READ);
}

static bool in_resume(uint64_t rip)
{
    return rip >= attack.resume_start && rip < attack.resume_end;
}

/* With AEX-Notify: where not to interrupt. */
static bool over(void *arg, uint64_t rip)
{
    uint64_t before = self.before;
    self.before = rip;
    if (in_resume(rip)) {
        if (!in_resume(before) || before >= rip) {
            self.pass++;
            self.step = 0;
        }
        return self.step++ != self.pass % RESUME_STEPS;
    }
    if (!in_resume(before) || (rip >= attack.start && rip < attack.end))
        return false;
    if (self.returns++ % PROGRAM_STEPS) {
        attack.program++;
        return false;
    }
    sgxsim_step(NULL, NULL); /* or it would never go on */
    return true;
}

/* The way back to the program starts anew at each forced entry: one a pass, each time an
 * instruction later, and a pass without one is let through, or it would never end. */
static bool wanted(uint64_t rip)
{
    uint64_t last = self.last;
    self.last = rip;
    if (!in_resume(rip) || loader.image.notify)
        return true;
    if (last < attack.resume_start || last >= rip) {
        self.pass++;
        self.step = 0;
    }
    return self.step++ == self.pass % RESUME_STEPS;
}

static enum sgx_enclu on_step(void *arg, uint64_t tcs, uint64_t rip)
{
    if (rip < attack.start || rip >= attack.end) {
        sgxsim_step(NULL, NULL);
        open_code(false);
        return SGX_ERESUME;
    }
    if (++attack.steps % attack.every || !wanted(rip))
        return SGX_ERESUME;
    attack.attacks++;
    attack.seen[rip - attack.start] = 1;
    if (loader.image.notify && in_resume(rip) && self.pass / RESUME_STEPS % 2)
        return SGX_ERESUME;  /* the processor enters */
    sgxsim_step(NULL, NULL); /* the forced entry runs whole */
    self.nested = true;
    self.thread->kicked = true;
    return SGX_EENTER;
}

void attack_arm(struct loader_thread *t)
{
    self.thread = t;
    self.nested = false;
    open_code(true);
    sgxsim_step(on_step, NULL);
    if (loader.image.notify)
        sgxsim_step_over(over);
}

int attack_exit(struct loader_thread *t, uint64_t out, const struct sgx_enclave_run *run)
{
    if (run->function == SGX_EEXIT) {
        if (out != SH_OUT_RESUME || !self.nested)
            return 0;
    } else if (run->exception_vector != SGX_VECTOR_PF || !(run->exception_error_code & SGX_PF_I) ||
               run->exception_addr < attack.start || run->exception_addr >= attack.end) {
        return 0;
    }
    if (run->function != SGX_EEXIT && self.nested)
        open_code(true); /* another thread closed it meanwhile */
    else
        attack_arm(t);
    return SGX_ERESUME;
}

void attack_report(void)
{
    unsigned count = 0;
    for (uint64_t i = 0; i < attack.end - attack.start; i++)
        count += attack.seen[i];
    dprintf(2, "attacked %llu times at %u places\n", (unsigned long long)attack.attacks, count);
    if (loader.image.notify)
        dprintf(2, "stepped the program %llu times\n", (unsigned long long)attack.program);
    for (uint64_t i = 0; i < attack.end - attack.start; i++) {
        if (attack.seen[i])
            dprintf(2, "at %llx\n", (unsigned long long)(attack.start + i));
    }
}
