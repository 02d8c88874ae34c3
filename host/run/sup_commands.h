// SPDX-License-Identifier: Apache-2.0
// What a client asks for (host/run/control.h), judged by the image's policy and passed on.
#ifndef HOST_RUN_SUP_COMMANDS_H
#define HOST_RUN_SUP_COMMANDS_H

#include "host/run/sup_guest.h"

/* The client's socket is readable: takes its frames, or drops it. */
void sup_commands_readable(struct sup_guest *g, struct sup_client *c);

#endif
