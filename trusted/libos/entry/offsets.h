// SPDX-License-Identifier: Apache-2.0
// Offsets of struct thread, for assembly.
#ifndef LIBOS_ENTRY_OFFSETS_H
#define LIBOS_ENTRY_OFFSETS_H

#define STACK 8
#define KICKED 16
#define REGS 24
#define REGS_FLAGS (REGS + 15 * 8)
#define REGS_RSP (REGS + 16 * 8)
#define REGS_RIP (REGS + 17 * 8)
#define NOTIFY (REGS + 19 * 8)
#define TOUCH_CODE (REGS + 20 * 8)
#define TOUCH_STACK (REGS + 21 * 8)

#endif
