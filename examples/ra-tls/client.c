// SPDX-License-Identifier: Apache-2.0
// An RA-TLS client: talks to a server only after the server's TEE has proved what runs in it.
//
//   gcc client.c $(pkg-config --cflags --libs shelter-verify libssl libcrypto) -o client
//   ./client HOST PORT REFERENCE.json COLLATERAL [ROOT.pem]
//
// The handshake itself shows that the server holds the key of its certificate; the callback judges
// the evidence that binds this key to the program. ROOT.pem names a root of one's own; one that is
// of a simulated TEE, which protects nothing, is accepted here only because it is named.
#include <shelter/verify.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

static char *read_file(const char *path, size_t *size)
{
    char *data = calloc(1, SHELTER_COLLATERAL_SIZE_MAX + 1);
    FILE *f = path ? fopen(path, "rb") : NULL;
    *size = f && data ? fread(data, 1, SHELTER_COLLATERAL_SIZE_MAX, f) : 0;
    if (f)
        fclose(f);
    return data;
}

/* Sees every verdict; may refuse what the library would accept. */
static int decide(void *arg, const struct shelter_verdict *v)
{
    printf("%s: %s\n", shelter_verdict_accepted(v) ? "accepted" : "refused",
           shelter_reason_sentence(shelter_verdict_reason(v)));
    return 1;
}

static int talk(SSL_CTX *ctx, const char *host, const char *port)
{
    char text[512], answer[4096];
    BIO *bio = BIO_new_ssl_connect(ctx);
    int n = -1;
    if (bio && BIO_set_conn_hostname(bio, host) == 1 && BIO_set_conn_port(bio, port) == 1 &&
        BIO_do_handshake(bio) == 1) {
        snprintf(text, sizeof(text), "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host);
        if (BIO_puts(bio, text) > 0)
            n = BIO_read(bio, answer, sizeof(answer) - 1);
    }
    if (n > 0)
        printf("%.*s\n", (int)strcspn(answer, "\r\n"), answer);
    BIO_free_all(bio);
    return n > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct shelter_collateral *col = NULL;
    char why[256] = "";
    size_t ca_size = 0, size;
    if (argc < 5) {
        fprintf(stderr, "usage: client HOST PORT REFERENCE.json COLLATERAL [ROOT.pem]\n");
        return 2;
    }
    char *ca = argc > 5 ? read_file(argv[5], &ca_size) : NULL;
    if (shelter_collateral_load(argv[4], ca, ca_size, &col, why, sizeof(why))) {
        fprintf(stderr, "collateral: %s\n", why);
        return 2;
    }
    struct shelter_ra_tls ra = {
        .request = {.size = sizeof(struct shelter_verify_request),
                    .collateral = col,
                    .ca = ca,
                    .ca_size = ca_size,
                    .reference_json = read_file(argv[3], &size),
                    .allow_simulated = ca != NULL},
        .decide = decide,
    };
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, shelter_ra_tls_callback, &ra);
    int status = talk(ctx, argv[1], argv[2]);
    SSL_CTX_free(ctx);
    shelter_collateral_free(col);
    free((void *)ra.request.reference_json);
    free(ca);
    return status;
}
