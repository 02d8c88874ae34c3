// SPDX-License-Identifier: Apache-2.0
// sgx-loader-hostile: the loader with its hooks in an attacker's hands. Before the loader's own
// options:
//   --attack EVERY    force an entry after each so many instructions of the entry code (attack.c)
//   --hostile RULES   lie (hostile.h)
//   --without WHAT    make the enclave without "exinfo" or "kss" ("nothing": as it should be),
//                     under a signature of its own
//   --key FILE        the key of that signature
//   --spoil PAGE      change this one of the pages that the enclave checks by itself, from 1;
//                     "all"; "none" says at the end how many there are
// Always: what is not measured of the enclave is full of addresses at its start (bare.c).
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/base/util.h"
#include "tests/adversary/adversary.h"
#include "tests/adversary/hostile.h"

static uint64_t attack_every; /* 0: none */
static bool hostile, lesser, counting;
static int64_t spoil;

static struct sh_slot *make_slot(void)
{
    static bool begun;
    if (lesser && !begun)
        lesser_begin();
    if (!begun)
        bare_begin(spoil);
    begun = true;
    return hostile ? hostile_slot() : loader_make_slot();
}

/* The enclave is built: the first thread goes in before there is another. */
static void begin(struct loader_thread *first)
{
    static bool begun;
    struct sh_error err = {0};
    if (begun)
        return;
    begun = true;
    if (attack_every && attack_init((unsigned)attack_every, &err))
        loader_fail(&err);
    if (hostile)
        hostile_start(first->slot);
}

static int enter(struct loader_thread *t, struct sgx_enclave_run *run)
{
    begin(t);
    if (attack_every)
        attack_arm(t);
    return hostile ? hostile_enter(t, run) : loader_enter(t, run);
}

static int serve_exit(struct loader_thread *t, uint64_t out, struct sgx_enclave_run *run)
{
    int next = attack_every ? attack_exit(t, out, run) : 0;
    if (next || (hostile && hostile_contested(t, out, run, &next)))
        return next;
    next = loader_serve_exit(t, out, run);
    if (next && attack_every)
        attack_arm(t);
    return next;
}

static void serve_call(struct loader_thread *t)
{
    if (counting && t->slot->call == SH_CALL_EXIT)
        dprintf(2, "%lld hashed pages\n", (long long)bare_hashed());
    if (attack_every && t->slot->call == SH_CALL_EXIT)
        attack_report();
    if (hostile)
        hostile_call(t, loader_serve_call);
    else
        loader_serve_call(t);
}

static const struct loader_hooks hooks = {
    .make_slot = make_slot,
    .enter = enter,
    .serve_exit = serve_exit,
    .serve_call = serve_call,
};

int main(int argc, char **argv)
{
    struct sh_error err = {0};
    for (; argc > 2; argc -= 2, argv += 2) {
        if (!strcmp(argv[1], "--attack")) {
            if (sh_parse_number(argv[2], 1, UINT32_MAX, &attack_every))
                sh_fail(&err, -1, "--attack wants a number");
        } else if (!strcmp(argv[1], "--hostile")) {
            hostile = !hostile_init(argv[2], &err);
        } else if (!strcmp(argv[1], "--without")) {
            lesser = lesser_init(argv[2]);
            if (!lesser)
                sh_fail(&err, -1, "--without wants exinfo, kss or nothing");
        } else if (!strcmp(argv[1], "--key")) {
            lesser_key(argv[2]);
        } else if (!strcmp(argv[1], "--spoil")) {
            uint64_t page = 0;
            counting = !strcmp(argv[2], "none");
            if (!counting && strcmp(argv[2], "all") != 0 &&
                sh_parse_number(argv[2], 1, INT32_MAX, &page))
                sh_fail(&err, -1, "--spoil wants a number, all or none");
            spoil = page || counting ? (int64_t)page : -1;
        } else {
            break;
        }
        if (err.text[0])
            loader_fail(&err);
    }
    loader_main(argc, argv, &hooks);
}
