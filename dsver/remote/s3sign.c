/* s3sign.c - see s3sign.h. */
#include "s3sign.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 };

int ds_hmac_sha256(ds_sha *out, const void *key, size_t key_len, const void *data, size_t len,
                   ds_err *err)
{
    uint8_t pad[BLOCK] = {0};
    ds_sha short_key, inner;
    ds_hasher *h = NULL;
    int rc = 0;
    if (key_len > BLOCK) {
        rc = ds_sha_bytes(&short_key, key, key_len, err);
        key = short_key.b;
        key_len = sizeof short_key;
    }
    if (!rc && key_len)
        memcpy(pad, key, key_len);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    rc = rc ? rc : ds_hasher_new(&h, err);
    rc = rc ? rc : ds_hasher_put(h, pad, BLOCK, err);
    rc = rc ? rc : ds_hasher_put(h, data, len, err);
    rc = rc ? rc : ds_hasher_end(h, &inner, err);
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    rc = rc ? rc : ds_hasher_reset(h, err);
    rc = rc ? rc : ds_hasher_put(h, pad, BLOCK, err);
    rc = rc ? rc : ds_hasher_put(h, inner.b, sizeof inner, err);
    rc = rc ? rc : ds_hasher_end(h, out, err);
    ds_hasher_free(h);
    return rc;
}

int ds_s3_encode(ds_buf *out, const char *text, bool keep_slash)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    int rc = 0;
    for (const char *s = text; !rc && *s; s++)
        if (strchr(safe, *s) || (keep_slash && *s == '/'))
            rc = ds_buf_putc(out, (uint8_t)*s);
        else
            rc = ds_buf_printf(out, "%%%02X", (unsigned char)*s);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int ds_s3_query(ds_buf *out, const ds_s3_pair *params, size_t n, ds_err *err)
{
    ds_buf one[DS_S3_PARAMS_MAX] = {{0}};
    char *text[DS_S3_PARAMS_MAX];
    int rc = n > DS_S3_PARAMS_MAX ? ds_fail(err, DS_FAIL, "too many parameters") : 0;
    for (size_t i = 0; !rc && i < n; i++) {
        /* '\1' sorts before every character that a name may hold: the order is that of names, then
         * of values */
        if (ds_s3_encode(&one[i], params[i].name, false) || ds_buf_putc(&one[i], 1) ||
            ds_s3_encode(&one[i], params[i].value, false) || !ds_buf_cstr(&one[i]))
            rc = ds_fail_nomem(err);
        text[i] = (char *)one[i].data;
    }
    if (!rc && n > 1)
        qsort(text, n, sizeof *text, by_text);
    ds_buf_reset(out);
    for (size_t i = 0; !rc && i < n; i++) {
        *strchr(text[i], 1) = '=';
        if ((i && ds_buf_putc(out, '&')) || ds_buf_puts(out, text[i]))
            rc = ds_fail_nomem(err);
    }
    if (!rc && !ds_buf_cstr(out))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; i < n && i < DS_S3_PARAMS_MAX; i++)
        ds_buf_fini(&one[i]);
    return rc;
}

/* A header's value as it is signed: no blanks around it, runs of blanks are one. */
static int put_trimmed(ds_buf *b, const char *v)
{
    int rc = 0;
    while (*v == ' ')
        v++;
    for (; !rc && *v; v++)
        if (*v != ' ' || (v[1] && v[1] != ' '))
            rc = ds_buf_putc(b, (uint8_t)*v);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ds_s3_pair *)a)->name, ((const ds_s3_pair *)b)->name);
}

/* The canonical request, and the list of the headers that are signed. */
static int canonical(ds_buf *b, ds_buf *names, const ds_s3_signed *s)
{
    ds_s3_pair h[DS_S3_HEADERS_MAX];
    memcpy(h, s->headers, s->nheaders * sizeof *h);
    qsort(h, s->nheaders, sizeof *h, by_name);
    int rc = ds_buf_printf(b, "%s\n%s\n%s\n", s->method, s->path, s->query ? s->query : "");
    for (size_t i = 0; !rc && i < s->nheaders; i++) {
        rc = ds_buf_printf(b, "%s:", h[i].name);
        rc = rc ? rc : put_trimmed(b, h[i].value);
        rc = rc ? rc : ds_buf_putc(b, '\n');
        rc = rc ? rc : ds_buf_printf(names, "%s%s", i ? ";" : "", h[i].name);
    }
    rc = rc || ds_buf_cstr(names) ? rc : DS_NOMEM;
    return rc ? rc : ds_buf_printf(b, "\n%s\n%s", (const char *)names->data, s->payload);
}

/* The key that is good for one day, region and service. */
static int derive(ds_sha *key, const ds_s3_signed *s, ds_err *err)
{
    ds_buf first = {0};
    if (ds_buf_printf(&first, "AWS4%s", s->secret))
        return ds_fail_nomem(err);
    int rc = ds_hmac_sha256(key, first.data, first.len, s->date, 8, err);
    explicit_bzero(first.data, first.len);
    ds_buf_fini(&first);
    rc = rc ? rc : ds_hmac_sha256(key, key, sizeof *key, s->region, strlen(s->region), err);
    rc = rc ? rc : ds_hmac_sha256(key, key, sizeof *key, s->service, strlen(s->service), err);
    return rc ? rc : ds_hmac_sha256(key, key, sizeof *key, "aws4_request", 12, err);
}

int ds_s3_sign(ds_buf *out, const ds_s3_signed *s, ds_err *err)
{
    ds_buf b = {0}, names = {0};
    ds_sha sum, key, mac;
    char hex[65];
    int rc = s->nheaders == 0 || s->nheaders > DS_S3_HEADERS_MAX || strlen(s->date) != 16
                 ? ds_fail(err, DS_FAIL, "a request that cannot be signed")
                 : 0;
    if (!rc && canonical(&b, &names, s))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_sha_bytes(&sum, b.data, b.len, err);
    rc = rc ? rc : derive(&key, s, err);
    if (!rc) {
        ds_sha_hex(hex, &sum);
        ds_buf_reset(&b);
        if (ds_buf_printf(&b, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", s->date, s->date,
                          s->region, s->service, hex))
            rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : ds_hmac_sha256(&mac, &key, sizeof key, b.data, b.len, err);
    explicit_bzero(&key, sizeof key);
    ds_buf_reset(out);
    if (!rc) {
        ds_sha_hex(hex, &mac);
        if (ds_buf_printf(out,
                          "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, "
                          "SignedHeaders=%s, Signature=%s",
                          s->key, s->date, s->region, s->service, (const char *)names.data, hex) ||
            !ds_buf_cstr(out))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&b);
    ds_buf_fini(&names);
    return rc;
}
