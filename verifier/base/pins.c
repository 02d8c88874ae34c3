// SPDX-License-Identifier: Apache-2.0
// The roots that are trusted without being named: SHA-256 of their public keys (DER SPKI).
#include "verifier/base/x509.h"
#include "verifier/base/bytes.h"

#include <openssl/sha.h>

static const struct {
    enum sv_vendor vendor;
    const char *spki_sha256;
} pins[] = {
    // Intel SGX Root CA (EC P-256), signs PCK CAs, TCB signing, its own CRL
    {SV_INTEL, "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e"},
    // AMD root keys (RSA 4096): ARK-Milan, ARK-Genoa (also Bergamo and Siena), ARK-Turin
    {SV_AMD, "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"},
    {SV_AMD, "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"},
    {SV_AMD, "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"},
    // AWS Nitro root G1 (EC P-384)
    {SV_AWS, "f2caf5ecc6190b4a8399b78bc58a2bbcd0382375db8a1bfd78a82743874fd225"},
    // NVIDIA Device Identity CA (of GPUs), NVIDIA CoRIM signing Root CA (of RIMs); EC P-384
    {SV_NVIDIA, "a90c4eb5acfd3e3d03a25db6a26b84f720ad0503196c627c21ddd48dd85b06a4"},
    {SV_NVIDIA_RIM, "dec1dc316477aa851eebdf51327ae9f864bc8d89254657ed1e7eb9168af1e1a3"},
};

bool sv_root_pinned(X509 *root, enum sv_vendor vendor)
{
    uint8_t digest[32];
    char hex[65];
    uint8_t *spki = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(root), &spki);

    if (size <= 0)
        return false;
    SHA256(spki, (size_t)size, digest);
    OPENSSL_free(spki);
    sh_hex(hex, digest, sizeof(digest));
    for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++)
        if (pins[i].vendor == vendor && !strcmp(pins[i].spki_sha256, hex))
            return true;
    return false;
}
