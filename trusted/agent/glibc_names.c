// SPDX-License-Identifier: Apache-2.0
// Names of glibc's fortification that Debian's mbedTLS asks for and musl does not have. A copy that
// would overflow its object ends the program, as glibc's would.
#include <mbedtls/version.h>
#if MBEDTLS_VERSION_MAJOR < 3
#include <mbedtls/certs.h>
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room);
void *__memmove_chk(void *to, const void *from, size_t size, size_t room);
void *__memset_chk(void *to, int byte, size_t size, size_t room);
void __explicit_bzero_chk(void *to, size_t size, size_t room);
int __snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...);
int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, va_list args);
int __printf_chk(int flag, const char *format, ...);

static void check_room(size_t size, size_t room)
{
    if (size > room)
        abort();
}

void *__memcpy_chk(void *to, const void *from, size_t size, size_t room)
{
    check_room(size, room);
    return memcpy(to, from, size);
}

void *__memmove_chk(void *to, const void *from, size_t size, size_t room)
{
    check_room(size, room);
    return memmove(to, from, size);
}

void *__memset_chk(void *to, int byte, size_t size, size_t room)
{
    check_room(size, room);
    return memset(to, byte, size);
}

void __explicit_bzero_chk(void *to, size_t size, size_t room)
{
    check_room(size, room);
    explicit_bzero(to, size);
}

int __vsnprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, va_list args)
{
    check_room(size, room);
    return vsnprintf(to, size, format, args);
}

int __snprintf_chk(char *to, size_t size, int flag, size_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = __vsnprintf_chk(to, size, flag, room, format, args);
    va_end(args);
    return n;
}

/* Self-tests of mbedTLS print; nobody calls them, and nothing is written here. */
int __printf_chk(int flag, const char *format, ...)
{
    return 0;
}

/* Certificates of self-tests that nobody calls: 54 KB if they came from the archive. */
#if MBEDTLS_VERSION_MAJOR < 3
const char *mbedtls_test_ca_crt = "", *mbedtls_test_cli_crt = "";
const size_t mbedtls_test_ca_crt_len, mbedtls_test_cli_crt_len;
#endif
