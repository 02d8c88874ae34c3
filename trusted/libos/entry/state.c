// SPDX-License-Identifier: Apache-2.0
// What the start finds out and everybody reads: the port, the settings; and what is counted.
#include "trusted/libos/libos.h"

#include "lib/settings.h"

struct port_info port_info;
struct sh_settings settings;
struct stats stats;
bool tracing;
