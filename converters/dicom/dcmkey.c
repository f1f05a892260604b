/* dcmkey.c - see dcmdeid.h: the site's key, and everything that is a function of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dcmpolicy.h"
#include "jsonrow.h"

#define KEY_MIN 32
#define KEY_MAX 4096

static int hmac(ds_sha *out, const dcm_key *k, const dcm_part *parts, size_t n, ds_err *err)
{
    uint8_t inner[64] = {0}, outer[64] = {0};
    ds_hasher *h = NULL;
    ds_sha mid;
    for (size_t i = 0; i < sizeof inner; i++) {
        uint8_t b = i < sizeof k->secret ? k->secret[i] : 0;
        inner[i] = b ^ 0x36;
        outer[i] = b ^ 0x5c;
    }
    int rc = ds_hasher_new(&h, err);
    if (rc == 0)
        rc = ds_hasher_put(h, inner, sizeof inner, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ds_hasher_put(h, parts[i].p, parts[i].len, err);
    if (rc == 0)
        rc = ds_hasher_end(h, &mid, err);
    if (rc == 0)
        rc = ds_hasher_reset(h, err);
    if (rc == 0)
        rc = ds_hasher_put(h, outer, sizeof outer, err);
    if (rc == 0)
        rc = ds_hasher_put(h, mid.b, sizeof mid.b, err);
    if (rc == 0)
        rc = ds_hasher_end(h, out, err);
    ds_hasher_free(h);
    return rc;
}

int dcm_pseudonym(char *out, size_t nbytes, const dcm_key *k, const char *kind, const void *p,
                  size_t len, ds_err *err)
{
    static const char digits[] = "0123456789abcdef";
    const dcm_part parts[] = {{kind, strlen(kind) + 1}, {p, len}};
    ds_sha mac;
    out[0] = 0;
    int rc = hmac(&mac, k, parts, 2, err);
    if (rc != 0)
        return rc;
    if (nbytes > sizeof mac.b)
        nbytes = sizeof mac.b;
    for (size_t i = 0; i < nbytes; i++) {
        out[2 * i] = digits[mac.b[i] >> 4];
        out[2 * i + 1] = digits[mac.b[i] & 15];
    }
    out[2 * nbytes] = 0;
    return 0;
}

/* 16 bytes, big endian, as a decimal number. */
static void decimal(char *out, const uint8_t b[16])
{
    uint32_t limb[4];
    char text[40];
    size_t n = 0;
    for (int i = 0; i < 4; i++)
        limb[i] = ds_get_big32(b + 4 * i);
    do {
        uint64_t rest = 0;
        for (int i = 0; i < 4; i++) {
            rest = rest << 32 | limb[i];
            limb[i] = (uint32_t)(rest / 10);
            rest %= 10;
        }
        text[n++] = (char)('0' + rest);
    } while ((limb[0] | limb[1] | limb[2] | limb[3]) && n < sizeof text);
    for (size_t i = 0; i < n; i++)
        out[i] = text[n - 1 - i];
    out[n] = 0;
}

int dcm_uid_map(char out[65], const dcm_key *k, const char *uid, size_t len, ds_err *err)
{
    static const char std[] = "1.2.840.10008.";
    ds_sha mac;
    if (len > 64)
        len = 64;
    bool is_std = len >= sizeof std - 1 && memcmp(uid, std, sizeof std - 1) == 0;
    for (size_t i = 0; i < len && is_std; i++)
        is_std = uid[i] == '.' || (uid[i] >= '0' && uid[i] <= '9');
    if (is_std) {
        memcpy(out, uid, len);
        out[len] = 0;
        return 0;
    }
    const dcm_part parts[] = {{"uid", 4}, {uid, len}};
    int rc = hmac(&mac, k, parts, 2, err);
    if (rc != 0)
        return rc;
    mac.b[6] = (uint8_t)(0x80 | (mac.b[6] & 0x0f)); /* a UUID of version 8, RFC 9562 */
    mac.b[8] = (uint8_t)(0x80 | (mac.b[8] & 0x3f));
    memcpy(out, "2.25.", 5);
    decimal(out + 5, mac.b);
    return 0;
}

/* ---- the file ---- */

/* In place; false when it is no base64. */
static bool base64(uint8_t *p, size_t *len)
{
    size_t n = *len, out = 0;
    uint32_t v = 0;
    if (n % 4 != 0 || n < 44)
        return false;
    while (n > 0 && p[n - 1] == '=' && *len - n < 2)
        n--;
    for (size_t i = 0; i < n; i++)
        if (ds_base64_digit(p[i]) < 0)
            return false;
    for (size_t i = 0; i < n; i++) {
        v = v << 6 | (uint32_t)ds_base64_digit(p[i]);
        if (i % 4 != 0)
            p[out++] = (uint8_t)(v >> (6 - 2 * (i % 4)));
    }
    *len = out;
    return true;
}

/* Hex and base64 are text of the same bytes; all else counts as it is. */
static void decode(uint8_t *p, size_t *len)
{
    size_t n = *len;
    uint8_t raw[KEY_MAX / 2];
    while (n > 0 && (p[n - 1] == '\n' || p[n - 1] == '\r'))
        n--;
    if (n >= 64 && n % 2 == 0 && ds_hex_decode((const char *)p, n, raw, n / 2)) {
        memcpy(p, raw, n / 2);
        *len = n / 2;
    } else if (base64(p, &n)) {
        *len = n;
    }
    explicit_bzero(raw, sizeof raw);
}

static int read_file(uint8_t *p, size_t *len, const char *path, ds_err *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), rc = 0;
    *len = 0;
    if (fd < 0 || fstat(fd, &st) != 0)
        rc = ds_fail_errno(err, errno, "%s", path);
    else if (st.st_mode & 077)
        rc = ds_fail(err, DS_USAGE, "%s: others can read the key: chmod 600 it first", path);
    while (rc == 0 && *len < KEY_MAX) {
        ssize_t n = read(fd, p + *len, KEY_MAX - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = ds_fail_errno(err, errno, "%s", path);
        if (n <= 0)
            break;
        *len += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int dcm_key_read(dcm_key *k, const char *path, ds_err *err)
{
    uint8_t p[KEY_MAX];
    size_t len;
    ds_sha s;
    memset(k, 0, sizeof *k);
    int rc = read_file(p, &len, path, err);
    if (rc == 0 && len == KEY_MAX)
        rc = ds_fail(err, DS_USAGE, "%s: a key of %d bytes or more", path, KEY_MAX);
    if (rc == 0) {
        decode(p, &len);
        if (len < KEY_MIN)
            rc = ds_fail(err, DS_USAGE, "%s: a key of %zu bytes; it takes %d random ones: %s", path,
                         len, KEY_MIN, "head -c 32 /dev/urandom");
    }
    if (rc == 0)
        rc = ds_sha_tagged(&s, "dsprep-dicom-key", p, len, err);
    if (rc == 0) {
        memcpy(k->secret, s.b, sizeof k->secret);
        rc = dcm_pseudonym(k->id, 8, k, "key-id", "", 0, err);
    }
    explicit_bzero(p, sizeof p);
    explicit_bzero(&s, sizeof s);
    return rc;
}
