// SPDX-License-Identifier: Apache-2.0
// Folders of the host as file systems of the LibOS (<shelter/share.h>, docs/libos.md): what the
// host has there now, never executed, never believed.
//
// Locks: with the big lock held exclusively, also while the host answers.
#ifndef LIBOS_SHARE_H
#define LIBOS_SHARE_H

/* Shows those of the settings at their places, once, before the program. 0, or -errno, having said
 * why. */
int share_mount_all(void);

#endif
