// SPDX-License-Identifier: Apache-2.0
// The passphrase of a broker that a PKCS #11 token makes: HMAC-SHA256 of a fixed text by a key that
// never leaves it. And the list of keys that workloads may use.
#include "host/cli/broker_hsm.h"

#include <fcntl.h>
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

int sh_hsm_keys(const char *path, struct sb_hsm_keys **out, struct sh_error *err)
{
    cleanup_free uint8_t *text = NULL;
    char why[400] = "";
    size_t size;
    if (!path)
        return 0;
    int r = sh_read_file(AT_FDCWD, path, 1 << 20, &text, &size, err);
    if (!r && (r = sb_hsm_keys_parse((const char *)text, size, out, why, sizeof(why))))
        sh_fail(err, r, "%s: %s", path, *why ? why : "it cannot be read");
    return r;
}
