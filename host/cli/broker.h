// SPDX-License-Identifier: Apache-2.0
// shelter broker: the key broker and what its operator does, here or over the network.
#ifndef HOST_CLI_BROKER_H
#define HOST_CLI_BROKER_H

#include <cjson/cJSON.h>

#include "host/base/util.h"
#include "host/cli/cli.h"
#include "verifier/broker/hsm_keys.h"
#include "verifier/broker/store.h"

/* --- broker_open.c --- */

/* --dir DIR, else $SHELTER_BROKER, else the user's (as root the system's) folder. Owned by caller.
 */
char *sh_broker_dir(const char *option);
/* Opens the store that `broker init` made. */
int sh_broker_open(const char *dir, struct sb_store **st, struct sh_error *err);
/* Writes down who changed what at this machine. */
int sh_broker_log_change(struct sb_store *st, const char *code, struct sh_error *err);
int sh_broker_store_error(int rc, const char *what, const char *name, struct sh_error *err);
/* Who root is: uid, with that behind sudo. */
void sh_broker_who(char who[60]);

/* Uses the passphrase in a file (its bytes but for one newline at the end), or of a token
 * (broker_hsm.h) where `file` is a pkcs11: URI. */
#define SH_PASSPHRASE_FILE "SHELTER_BROKER_PASSPHRASE_FILE"
int sh_broker_passphrase(struct sb_store *st, const char *file,
                         int (*use)(struct sb_store *, const char *, size_t), struct sh_error *err);

/* --- broker_at.c --- */

/* The broker that a verb works on: a store of this machine, or the admin API of another. All zeros,
 * then sh_broker_option for each option that the table's BROKER_AT gives (they come first). */
enum {
    SH_BROKER_AT_DIR,
    SH_BROKER_AT_URL,
    SH_BROKER_AT_CREDENTIAL,
    SH_BROKER_AT_KEY,
    SH_BROKER_AT_COUNT
};
struct sh_broker {
    const char *option[SH_BROKER_AT_COUNT];
    struct sb_store *st;          /* NULL: over the network */
    struct sb_hsm_keys *hsm_keys; /* that it is to know of, or NULL; owned */
    char *url, *credential;
    char pin[60]; /* "sha256//..." of the key that it must show; "": none was given */
};
/* Takes an option of BROKER_AT; false: it is one of the verb's own. */
bool sh_broker_option(struct sh_broker *b, int option, const char *value);
int sh_broker_connect(struct sh_broker *b, struct sh_error *err);
void sh_broker_close(struct sh_broker *b);
/* Does an operation of verifier/broker/admin.h: takes args (NULL: none). *out (may be NULL) gets
 * the answer, the caller's. What names became is said on stderr. */
int sh_broker_do(struct sh_broker *b, const char *operation, cJSON *args, cJSON **out,
                 struct sh_error *err);
/* All at once: connects, does it, ends. The exit status. */
int sh_broker_once(struct sh_broker *b, const char *operation, cJSON *args);

/* --- broker_processes.c --- */

#define SH_BROKER_PROCESSES_MAX 16
#define SH_BROKER_ADDRESSES 2 /* for clients, and for operators */

/* Serves on these addresses, whose sockets are held, until SIGTERM; writes a byte to `ready` once
 * it does. */
typedef int (*sh_broker_serve_fn)(void *arg, const char *const address[SH_BROKER_ADDRESSES],
                                  const int held[SH_BROKER_ADDRESSES], int ready,
                                  struct sh_error *err);
/* Tells the world that all of them serve there. */
typedef int (*sh_broker_announce_fn)(void *arg, const char *const address[SH_BROKER_ADDRESSES],
                                     struct sh_error *err);
/* Runs `count` of them until SIGTERM or SIGINT; SIGHUP goes to all; one that dies is replaced.
 * listen: where; NULL for an address that there is not. */
int sh_broker_processes(unsigned count, const char *const listen[SH_BROKER_ADDRESSES],
                        sh_broker_serve_fn serve, sh_broker_announce_fn announce, void *arg,
                        struct sh_error *err);

#endif
