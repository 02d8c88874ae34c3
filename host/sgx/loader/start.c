// SPDX-License-Identifier: Apache-2.0
// A run from the command line to the first entry.
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "host/base/walls.h"
#include "host/sgx/loader/loader.h"

/* Everything that must be open before the walls are up. */
static int prepare_enclave(struct loader_thread **first, struct sh_error *err)
{
    *first = loader_thread_new(0);
    int r = *first ? 0 : sh_fail(err, -ENOMEM, "no memory");
    if (!r)
        r = loader_outputs_open(err);
    if (!r)
        r = loader_volumes_open(err);
    return r ? r : loader_build(*first, err);
}

/* What the user's environment says is nobody's business in here, and lies in this process's memory.
 */
static void forget_environment(void)
{
    for (char **e = environ; *e; e++)
        explicit_bzero(*e, strlen(*e));
    environ[0] = NULL;
}

void loader_main(int argc, char **argv, const struct loader_hooks *hooks)
{
    struct sh_error err = {0};
    struct loader_thread *first;
    loader.hooks = hooks;
    loader_clock_begin();
    loader_parse(argc, argv);
    forget_environment();
    /* Only digests and a signature check: what OpenSSL loads by itself takes as long as all of
     * them. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                            OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS,
                        NULL);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 3; i++)
        loader_handle_set(i, i);
    const struct outside_options *outside = &loader.options.outside;
    bool channel = outside->has_channel;
    if (loader_confine_begin(&err) || outside_network_open(outside, &err) ||
        outside_shares_open(outside, &err) || (channel && loader_pump_open(&err))) {
        sh_error_report(&err); /* nothing sends frames yet */
        _exit(SH_EXIT_FAILURE);
    }
    int r = prepare_enclave(&first, &err);
    /* Nothing returns from here. The simulator sets return addresses itself, as it switches stacks.
     */
    if (!loader.options.driver->simulated)
        (void)sh_wall_shadow_stack();
    if (!r)
        r = loader_confine(&err);
    if (loader.options.hold && r) {
        sh_error_report(&err); /* nobody reads frames yet */
        _exit(SH_EXIT_FAILURE);
    }
    if (loader.options.hold)
        r = loader_hold(&err);
    if (channel)
        loader_pump_start();
    if (!r)
        r = loader_kicks_init();
    if (r)
        loader_fail(&err);
    loader_build_end(first);
    first->running = true;
    loader_thread_run(first);
    for (;;)
        pause(); /* other threads go on; the last one ends us */
}
