// SPDX-License-Identifier: Apache-2.0
// System call numbers that older kernel headers do not know; newer ones say the same.
#ifndef LIBOS_NUMBERS_H
#define LIBOS_NUMBERS_H

#include <asm/unistd_64.h>

#define __NR_cachestat 451
#define __NR_fchmodat2 452
#define __NR_map_shadow_stack 453
#define __NR_futex_wake 454
#define __NR_futex_wait 455
#define __NR_futex_requeue 456
#define __NR_statmount 457
#define __NR_listmount 458
#define __NR_lsm_get_self_attr 459
#define __NR_lsm_set_self_attr 460
#define __NR_lsm_list_modules 461
#define __NR_mseal 462

#endif
