/* fmtdigest.c - see fmtdigest.h. */
#include "fmtdigest.h"

#include <stdio.h>
#include <string.h>

#include "xxh.h"

const char *const ds_digest_names[] = {"sha256", "xxh128", "xxh3_64", "xxh64", NULL};

bool ds_fmtdigest_parse(unsigned *want, const char *names)
{
    *want = 0;
    if (strcmp(names, "none") == 0)
        return true;
    for (const char *p = names;; p++) {
        const size_t n = strcspn(p, ",");
        unsigned bit = 0;
        for (unsigned i = 0; i < DS_DIGESTS; i++)
            if (strlen(ds_digest_names[i]) == n && memcmp(ds_digest_names[i], p, n) == 0)
                bit = 1u << i;
        *want |= bit;
        p += n;
        if (!bit || !*p)
            return bit != 0;
    }
}

int ds_fmtdigest_begin(ds_fmtdigest *d, unsigned want, ds_err *err)
{
    d->want = want;
    if (!d->xxh && !(d->xxh = XXH64_createState()))
        return ds_fail_nomem(err);
    if (!d->xxh3 && !(d->xxh3 = XXH3_createState()))
        return ds_fail_nomem(err);
    (void)XXH64_reset(d->xxh, 0);
    /* One state gives either width: the length of the digest is asked for at the end. */
    (void)XXH3_128bits_reset(d->xxh3);
    return d->sha ? ds_hasher_reset(d->sha, err) : ds_hasher_new(&d->sha, err);
}

int ds_fmtdigest_put(ds_fmtdigest *d, const void *p, size_t len, ds_err *err)
{
    if (d->want & 1u << DS_DIGEST_XXH64)
        (void)XXH64_update(d->xxh, p, len);
    if (d->want & (1u << DS_DIGEST_XXH128 | 1u << DS_DIGEST_XXH3_64))
        ds_xxh3_128_put(d->xxh3, p, len);
    return d->want & 1u << DS_DIGEST_SHA256 ? ds_hasher_put(d->sha, p, len, err) : 0;
}

int ds_fmtdigest_end(ds_fmtdigest *d, ds_err *err)
{
    const XXH128_hash_t h = XXH3_128bits_digest(d->xxh3);
    ds_sha sha;
    int rc = ds_hasher_end(d->sha, &sha, err);
    if (rc)
        return rc;
    ds_sha_hex(d->hex[DS_DIGEST_SHA256], &sha);
    (void)snprintf(d->hex[DS_DIGEST_XXH128], 65, "%016llx%016llx", (unsigned long long)h.high64,
                   (unsigned long long)h.low64);
    (void)snprintf(d->hex[DS_DIGEST_XXH3_64], 65, "%016llx",
                   (unsigned long long)XXH3_64bits_digest(d->xxh3));
    (void)snprintf(d->hex[DS_DIGEST_XXH64], 65, "%016llx",
                   (unsigned long long)XXH64_digest(d->xxh));
    return 0;
}

void ds_fmtdigest_fini(ds_fmtdigest *d)
{
    ds_hasher_free(d->sha);
    (void)XXH64_freeState(d->xxh);
    (void)XXH3_freeState(d->xxh3);
    memset(d, 0, sizeof *d);
}
