/* webdigest.c - see webdigest.h. */
#include "webdigest.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <string.h>

#include "headfield.h"

static const EVP_MD *algorithm(const uint8_t *name, size_t n)
{
    static const struct {
        const char *name;
        const EVP_MD *(*of)(void);
    } all[] = {{"sha1", EVP_sha1},      {"sha-1", EVP_sha1},     {"sha256", EVP_sha256},
               {"sha-256", EVP_sha256}, {"sha512", EVP_sha512},  {"sha-512", EVP_sha512},
               {"sha384", EVP_sha384},  {"sha-384", EVP_sha384}, {"md5", EVP_md5}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (ds_bytes_are(name, n, all[i].name))
            return all[i].of();
    return NULL;
}

/* Base 32 (RFC 4648, section 6), without its padding. */
static size_t base32(char *out, const uint8_t *p, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    size_t n = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | p[i];
        for (held += 8; held >= 5; held -= 5)
            out[n++] = digits[bits >> (held - 5) & 31];
    }
    if (held > 0)
        out[n++] = digits[bits << (5 - held) & 31];
    out[n] = '\0';
    return n;
}

static size_t base16(char *out, const uint8_t *p, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
    return 2 * len;
}

enum ds_webdigest_says ds_webdigest_check(const uint8_t *label, size_t n, const void *p, size_t len)
{
    const uint8_t *colon = n ? memchr(label, ':', n) : NULL;
    const EVP_MD *md = colon ? algorithm(label, (size_t)(colon - label)) : NULL;
    uint8_t sum[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1];
    unsigned size = 0;
    if (!md)
        return DS_WEBDIGEST_UNKNOWN;
    const uint8_t *value = colon + 1;
    size_t nvalue = n - (size_t)(value - label);
    while (nvalue > 0 && value[nvalue - 1] == '=')
        nvalue--;
    size_t want = (size_t)EVP_MD_get_size(md);
    if ((nvalue != want * 2 && nvalue != (want * 8 + 4) / 5) ||
        EVP_Digest(len ? p : "", len, sum, &size, md, NULL) != 1)
        return DS_WEBDIGEST_UNKNOWN;
    if (nvalue == want * 2)
        base16(text, sum, size);
    else
        base32(text, sum, size);
    return ds_bytes_are(value, nvalue, text) ? DS_WEBDIGEST_RIGHT : DS_WEBDIGEST_WRONG;
}
