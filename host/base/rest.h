// SPDX-License-Identifier: Apache-2.0
// For processes that from some time on only wait: what of libraries and of the program is mapped
// and was never written goes back; the page cache has it when it is needed again.
#ifndef HOST_BASE_REST_H
#define HOST_BASE_REST_H

/* How long to poll, in ms as poll(2) has it, instead of `wait`: no longer than until it is time. */
int sh_rest_wait(int wait);
/* poll(2) found nothing in that time. Does it the first time only. */
void sh_rest(void);

#endif
