// SPDX-License-Identifier: Apache-2.0
// Offsets of struct thread, for assembly.
#ifndef LIBOS_ENTRY_OFFSETS_H
#define LIBOS_ENTRY_OFFSETS_H

#define CANARY                                                                                     \
    8 /* also in the ports' own structs that GS may point to; module.mk tells the compiler */
#define STACK 16
#define KICKED 24
#define REGS 32
#define REGS_FLAGS (REGS + 15 * 8)
#define REGS_RSP (REGS + 16 * 8)
#define REGS_RIP (REGS + 17 * 8)
#define NOTIFY (REGS + 19 * 8)
#define TOUCH_CODE (REGS + 20 * 8)
#define TOUCH_STACK (REGS + 21 * 8)

#endif
