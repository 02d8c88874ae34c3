// SPDX-License-Identifier: Apache-2.0
// Walls between this machine and a process that runs what a stranger wrote: namespaces, an empty
// root, no rights, Landlock. Each is raised by the process itself, before it has a second thread,
// and can never be taken down again. A call that fails has raised nothing; the process may go on
// behind the others.
#ifndef HOST_BASE_WALLS_H
#define HOST_BASE_WALLS_H

#include <stdbool.h>
#include <stddef.h>

#include "host/base/error.h"

/* In the order in which they are to be raised. */
enum sh_wall {
    SH_WALL_PIDS,     /* processes outside have no number in it */
    SH_WALL_FILES,    /* an empty root in a mount namespace of its own; System V IPC likewise */
    SH_WALL_USER,     /* no user that owns anything, or at least no capability */
    SH_WALL_LANDLOCK, /* no file can be opened, nobody outside be signalled */
    SH_WALL_SECCOMP,  /* the system calls on a list (each program has its own) */
    SH_WALL_COUNT,
};

/* "a PID namespace", ...: what a user reads. */
const char *sh_wall_name(enum sh_wall wall);

/* As the ordinary user: a user namespace that maps only this user; as root: none. Then children,
 * from the next fork on, are in a PID namespace. The caller can start no threads any more. 0 or
 * -errno. */
int sh_wall_pids(void);

/* Everything that is open stays so. For a caller with capabilities: root, or behind sh_wall_pids.
 * Without `network` also an empty network namespace. */
int sh_wall_files(bool network);

/* Root becomes user and group SH_WALL_UID_FIRST + `number`, without any other group; the
 * capabilities of everybody go, and no program that is executed can bring them back. */
#define SH_WALL_UID_FIRST 0x70000000u
int sh_wall_user(unsigned number);

/* Also TCP, where `network` is false and Linux is 6.7 or newer. */
int sh_wall_landlock(bool network);

/* Raises one after the other in a child, to find out. Bit n: wall n. */
unsigned sh_walls_probe(void);

#endif
