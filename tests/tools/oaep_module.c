// SPDX-License-Identifier: Apache-2.0
// A stand-in for a PKCS #11 token that has RSA-OAEP with SHA-256, which SoftHSM 2.6 lacks: SoftHSM
// (OAEP_BELOW names its module) with that one mechanism put on top of its raw RSA.
#define OPENSSL_SUPPRESS_DEPRECATED // unpadding alone
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <p11-kit-1/p11-kit/pkcs11.h>

#define MODULUS_MAX 512
#define SESSIONS_MAX 64

static CK_FUNCTION_LIST list;
static CK_FUNCTION_LIST_PTR below;
static CK_SESSION_HANDLE ours[SESSIONS_MAX]; // where OAEP was begun

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out);

static int find(CK_SESSION_HANDLE session)
{
    for (int i = 0; i < SESSIONS_MAX; i++)
        if (ours[i] == session)
            return i;
    return -1;
}

static CK_RV decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR m, CK_OBJECT_HANDLE key)
{
    const CK_RSA_PKCS_OAEP_PARAMS *p = m->pParameter;
    CK_MECHANISM raw = {CKM_RSA_X_509, NULL, 0};
    int at;
    CK_RV rv;

    if (m->mechanism != CKM_RSA_PKCS_OAEP || m->ulParameterLen != sizeof(*p) ||
        p->hashAlg != CKM_SHA256 || p->mgf != CKG_MGF1_SHA256 || p->source != CKZ_DATA_SPECIFIED ||
        p->ulSourceDataLen)
        return below->C_DecryptInit(session, m, key);
    at = find(0);
    if (at < 0)
        return CKR_HOST_MEMORY;
    rv = below->C_DecryptInit(session, &raw, key);
    if (rv == CKR_OK)
        ours[at] = session;
    return rv;
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG size, CK_BYTE_PTR out,
                     CK_ULONG_PTR out_size)
{
    CK_BYTE block[MODULUS_MAX], plain[MODULUS_MAX];
    CK_ULONG block_size = sizeof(block);
    int at = session ? find(session) : -1, n;
    CK_RV rv;

    if (at < 0)
        return below->C_Decrypt(session, data, size, out, out_size);
    if (!out) {
        *out_size = MODULUS_MAX;
        return CKR_OK;
    }
    ours[at] = 0;
    rv = below->C_Decrypt(session, data, size, block, &block_size);
    if (rv != CKR_OK)
        return rv;
    n = RSA_padding_check_PKCS1_OAEP_mgf1(plain, sizeof(plain), block, (int)block_size,
                                          (int)block_size, NULL, 0, EVP_sha256(), EVP_sha256());
    if (n < 0)
        return CKR_ENCRYPTED_DATA_INVALID;
    if ((CK_ULONG)n > *out_size)
        return CKR_BUFFER_TOO_SMALL;
    memcpy(out, plain, (size_t)n);
    *out_size = (CK_ULONG)n;
    return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
    void *module = dlopen(getenv("OAEP_BELOW"), RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get =
        module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;

    if (!get || get(&below) != CKR_OK)
        return CKR_GENERAL_ERROR;
    list = *below;
    list.C_DecryptInit = decrypt_init;
    list.C_Decrypt = decrypt;
    *out = &list;
    return CKR_OK;
}
