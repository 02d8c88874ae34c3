// SPDX-License-Identifier: Apache-2.0
// What epoll must hear of.
#ifndef LIBOS_EPOLL_H
#define LIBOS_EPOLL_H

struct file;
void epoll_forget(struct file *f); /* the last reference goes */

#endif
