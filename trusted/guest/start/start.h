// SPDX-License-Identifier: Apache-2.0
// The initramfs's programs that become another one. Each has struct guest_error for PID 1 on
// START_STATUS_FD if that fails; a program that runs has it closed.
//
//   start      argv is the program's: PID 1 made it the user of the workload's root. It looks for
//              argv[0] on PATH, and says what is wrong with a program that does not start.
//
//   container pause
//              waits until it is told to end: the workload of an image that has only containers
//   container begin NAME SHARE BOUNDS USER DIR PROGRAM ARG...
//              in a root of its own from SH_CONTAINERS_DIR/NAME, whose files may take SHARE percent
//              of the memory, and a control group of its own; BOUNDS as <shelter/channel.h> has
//              them. What is mounted in the workload's root below that folder is seen here, too,
//              and what is mounted outside of all such folders.
//   container join PID USER DIR PROGRAM ARG...
//              beside the process PID of a container
//   container count PID ...
//              prints what the container of that process uses
//
// `container` begins with all rights, in PID 1's root and the container's PID namespace. What it is
// told is of the measured manifest; but BOUNDS are the host's, and a `join` has user, directory and
// program from the host, where the image allows exec.
#ifndef START_START_H
#define START_START_H

#include <stdbool.h>

/* Free in a fresh child, and placed before the limit of descriptors is set. */
#define START_STATUS_FD 63

/* --- group.c --- */

/* The control group of the container of this name, made anew; the caller's process goes into it,
 * and may use no more than BOUNDS say. Gives up. True: nobody may write to the root. */
bool start_group_begin(const char *name, char *bounds);
/* Into the group of the process `pid`, a number in /proc; gives up. */
void start_group_join(const char *pid);
/* What is used there, as JSON on stdout; gives up. */
void start_group_count(const char *pid);

/* --- run.c --- */

/* Tells PID 1, and ends. */
void start_give_up(int status, const char *what, const char *name, int code)
    __attribute__((noreturn));
/* Becomes the program, or gives up. */
void start_run(char **argv, char **env) __attribute__((noreturn));

#endif
