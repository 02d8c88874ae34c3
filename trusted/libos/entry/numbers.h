// SPDX-License-Identifier: Apache-2.0
// System call numbers that older kernel headers do not know.
#ifndef LIBOS_NUMBERS_H
#define LIBOS_NUMBERS_H

#include <asm/unistd_64.h>

#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif
#ifndef __NR_fchmodat2
#define __NR_fchmodat2 452
#endif
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

#endif
