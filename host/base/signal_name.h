// SPDX-License-Identifier: Apache-2.0
// Signals by name.
#ifndef HOST_BASE_SIGNAL_NAME_H
#define HOST_BASE_SIGNAL_NAME_H

#include "host/base/util.h"

/* "TERM", "SIGTERM", "15", "RTMIN+2" -> its number, 1 to 64; -EINVAL with the sentence. */
int sh_signal_parse(const char *text, uint32_t *signal, struct sh_error *err);

#endif
