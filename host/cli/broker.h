// SPDX-License-Identifier: Apache-2.0
// shelter broker: the key broker and what its operator does.
#ifndef HOST_CLI_BROKER_H
#define HOST_CLI_BROKER_H

#include <cjson/cJSON.h>

#include "host/base/util.h"
#include "verifier/broker/store.h"

/* --dir DIR, else $SHELTER_BROKER, else the user's (as root the system's) folder. Owned by caller.
 */
char *sh_broker_dir(const char *option);
/* Opens the store that `broker init` made. */
int sh_broker_open(const char *dir, struct sb_store **st, struct sh_error *err);
/* Writes down who changed what at this machine. */
int sh_broker_log_change(struct sb_store *st, const char *code, const char *resource,
                         const char *reference, const char *image, struct sh_error *err);
// A reference's name: 1 to 128 bytes without control characters, and nothing that could be an
// identity (12 or more hexadecimal digits only) or the word "any".
bool sh_broker_name_ok(const char *name);
// The identity of an image: given whole, by its first 12 digits or more, or by its reference's
// name.
#define SB_IMAGE_ID_SIZE 97
int sh_broker_identity(struct sb_store *st, const char *image, char id[SB_IMAGE_ID_SIZE],
                       struct sh_error *err);
// Names in an array of strings become identities, each said on stderr. images is changed in place.
int sh_broker_bind_images(struct sb_store *st, cJSON *images, struct sh_error *err);
int sh_broker_store_error(int rc, const char *what, const char *name, struct sh_error *err);

/* --- broker_processes.c --- */

#define SH_BROKER_PROCESSES_MAX 16

/* Serves on this address until SIGTERM; writes a byte to `ready` once it does. */
typedef int (*sh_broker_serve_fn)(void *arg, const char *address, int ready, struct sh_error *err);
/* Tells the world that all of them serve there. */
typedef int (*sh_broker_announce_fn)(void *arg, const char *address, struct sh_error *err);
/* Runs `count` of them until SIGTERM or SIGINT; SIGHUP goes to all; one that dies is replaced. */
int sh_broker_processes(unsigned count, const char *listen, sh_broker_serve_fn serve,
                        sh_broker_announce_fn announce, void *arg, struct sh_error *err);

#endif
