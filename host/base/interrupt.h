// SPDX-License-Identifier: Apache-2.0
// Unfinished files go away when the program is ended by a signal.
#ifndef HOST_BASE_INTERRUPT_H
#define HOST_BASE_INTERRUPT_H

/* From now on SIGINT, SIGTERM and SIGHUP unlink these names (below dir_fd; one that ends in '/' is
 * a folder and goes with its files, but for folders within), then end the program as they would.
 * The list ends with NULL; it and dir_fd must stay. One list at a time. A signal that is ignored
 * stays ignored. */
void sh_interrupt_remove(int dir_fd, const char *const *names);

/* Nothing to remove any more. */
void sh_interrupt_done(void);

#endif
