// SPDX-License-Identifier: Apache-2.0
// The passphrase of a broker that a PKCS #11 token makes: HMAC-SHA256 of a fixed text by a key that
// never leaves it.
#include "host/cli/broker_hsm.h"

#include <string.h>

#include "lib/hex.h"

int sh_hsm_passphrase(const char *uri, char out[SH_HSM_PASSPHRASE_SIZE], struct sh_error *err)
{
    char why[300] = "";
    uint8_t mac[32];
    int r = sb_pkcs11_hmac(uri, "shelter-broker-seal-v1", mac, why, sizeof(why));
    if (r)
        return sh_fail(err, r, "%s", why);
    sh_hex(out, mac, sizeof(mac));
    explicit_bzero(mac, sizeof(mac));
    return 0;
}
