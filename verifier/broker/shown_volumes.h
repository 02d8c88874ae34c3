// SPDX-License-Identifier: Apache-2.0
// The volumes of an image, as a token shows them.
#ifndef SHELTER_BROKER_SHOWN_VOLUMES_H
#define SHELTER_BROKER_SHOWN_VOLUMES_H

#include <cjson/cJSON.h>

struct sb_reference;

// Of the manifest in r->json: an array of names with their freshness, the caller's to free; NULL
// where there is no such manifest.
cJSON *sb_shown_volumes(const struct sb_reference *r);

#endif
