// SPDX-License-Identifier: Apache-2.0
// What a port that runs on the bare processor asks it directly, so that no host can answer instead.
#ifndef LIBOS_PROCESSOR_H
#define LIBOS_PROCESSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of XSAVE's area in standard form, for components up to AVX-512 (SDM 13.4.2). */
#define XSAVE_SIZE 4096u

/* `size` bytes of RDRAND. -EIO after ten failures in a row (SDM 7.3.17.1). */
int processor_random(void *buf, size_t size);

/* Bytes of XSAVE's area for these components, a multiple of 64: found by writing it. */
uint32_t processor_xsave_size(uint64_t xfrm);

/* Saves the extended state that is in the registers, or loads it: areas of XSTATE_PAGES whole
 * pages, at first zeroed. A zeroed one that was never saved to is the state at a program's start.
 */
#define XSTATE_PAGES 4u
void xstate_save(void *area, uint64_t xfrm);
void xstate_load(void *area, uint64_t xfrm);
/* Makes of bytes that somebody gave what xstate_load takes without a fault: `header`, with what it
 * says of components; else x87 and SSE are there. */
void xstate_judge(uint8_t *area, uint64_t xfrm, bool header);

#endif
