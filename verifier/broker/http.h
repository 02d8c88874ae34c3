// SPDX-License-Identifier: Apache-2.0
// What the HTTP library calls. cls is the struct sb_face.
#ifndef VERIFIER_BROKER_HTTP_H
#define VERIFIER_BROKER_HTTP_H

#include <microhttpd.h>

enum MHD_Result sb_http_admit(void *cls, const struct sockaddr *addr, socklen_t size);
void sb_http_connection(void *cls, struct MHD_Connection *c, void **place,
                        enum MHD_ConnectionNotificationCode what);
enum MHD_Result sb_http_handle(void *cls, struct MHD_Connection *c, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_size, void **request);
void sb_http_completed(void *cls, struct MHD_Connection *c, void **request,
                       enum MHD_RequestTerminationCode why);

#endif
