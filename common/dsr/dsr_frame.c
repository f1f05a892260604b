/* dsr_frame.c - see dsr_frame.h; and the counts of dsr_io.h. */
#include "dsr_frame.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

void ds_frame_encode(uint8_t out[16], const ds_frame *f)
{
    out[0] = f->type;
    out[1] = f->codec;
    out[2] = (uint8_t)f->column;
    out[3] = (uint8_t)(f->column >> 8);
    ds_set_u32(out + 4, f->stored);
    ds_set_u32(out + 8, f->raw);
    ds_set_u32(out + 12, f->seq);
}

void ds_frame_decode(ds_frame *f, const uint8_t p[16])
{
    f->type = p[0];
    f->codec = p[1];
    f->column = (uint16_t)(p[2] | p[3] << 8);
    f->stored = ds_get_u32(p + 4);
    f->raw = ds_get_u32(p + 8);
    f->seq = ds_get_u32(p + 12);
}

ds_x128 ds_xxh128_digest(const XXH3_state_t *x)
{
    XXH128_canonical_t c;
    ds_x128 out;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(x));
    memcpy(out.b, c.digest, sizeof out.b);
    return out;
}

ds_x128 ds_frame_sum(XXH3_state_t *x, const uint8_t head[16], const void *a, size_t alen,
                     const void *b, size_t blen)
{
    XXH3_128bits_reset(x);
    ds_xxh3_128_put(x, head, 16);
    if (alen)
        ds_xxh3_128_put(x, a, alen);
    if (blen)
        ds_xxh3_128_put(x, b, blen);
    return ds_xxh128_digest(x);
}

/* ---- counts ---- */

int ds_counts_join(ds_counts *to, const ds_counts *c, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->nheld; i++)
        rc = ds_counts_add(to, false, c->held[i].reason, c->held[i].count, err);
    for (size_t i = 0; rc == 0 && i < c->nfailed; i++)
        rc = ds_counts_add(to, true, c->failed[i].reason, c->failed[i].count, err);
    return rc;
}

int ds_counts_add(ds_counts *c, bool failed, const char *reason, uint64_t n, ds_err *err)
{
    ds_reason **list = failed ? &c->failed : &c->held;
    size_t *len = failed ? &c->nfailed : &c->nheld, at = 0;
    if (n == 0)
        return 0;
    if (!*reason || ds_utf8_check((const uint8_t *)reason, strlen(reason)) != strlen(reason))
        return ds_fail(err, DS_FAIL, "a reason of held or failed records is empty or not UTF-8");
    while (at < *len && strcmp((*list)[at].reason, reason) < 0)
        at++;
    if (at < *len && strcmp((*list)[at].reason, reason) == 0) {
        uint64_t *count = &(*list)[at].count;
        *count = *count > INT64_MAX - n ? INT64_MAX : *count + n;
        return 0;
    }
    char *copy = strdup(reason);
    ds_reason *p = copy ? realloc(*list, (*len + 1) * sizeof *p) : NULL;
    if (!p) {
        free(copy);
        return ds_fail_nomem(err);
    }
    *list = p;
    memmove(p + at + 1, p + at, (*len - at) * sizeof *p);
    p[at] = (ds_reason){.reason = copy, .count = n};
    ++*len;
    return 0;
}

uint64_t ds_counts_total(const ds_counts *c, bool failed)
{
    const ds_reason *list = failed ? c->failed : c->held;
    size_t len = failed ? c->nfailed : c->nheld;
    uint64_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += list[i].count;
    return sum;
}

void ds_counts_fini(ds_counts *c)
{
    for (size_t i = 0; i < c->nheld; i++)
        free(c->held[i].reason);
    for (size_t i = 0; i < c->nfailed; i++)
        free(c->failed[i].reason);
    free(c->held);
    free(c->failed);
    *c = (ds_counts){0};
}

/* ---- the text of an E frame ---- */

static int put_reasons(ds_buf *b, const char *name, const ds_reason *list, size_t n)
{
    int rc = ds_buf_printf(b, ",\"%s\":{", name);
    for (size_t i = 0; i < n && !rc; i++) {
        if (i)
            rc = ds_buf_putc(b, ',');
        if (!rc)
            rc = ds_json_str(b, list[i].reason, strlen(list[i].reason));
        if (!rc)
            rc = ds_buf_printf(b, ":%" PRIu64, list[i].count);
    }
    return rc ? rc : ds_buf_putc(b, '}');
}

int ds_end_dump(ds_buf *out, const ds_counts *c, const ds_sha *root, const ds_x128 *frames,
                ds_err *err)
{
    char hex[65] = "";
    if (root)
        ds_sha_hex(hex, root);
    int rc =
        ds_buf_printf(out, "{\"records\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"sources\":%" PRIu64,
                      c->records, c->blocks, c->sources);
    if (!rc)
        rc = put_reasons(out, "held", c->held, c->nheld);
    if (!rc)
        rc = put_reasons(out, "failed", c->failed, c->nfailed);
    if (!rc)
        rc = root ? ds_buf_printf(out, ",\"root\":\"sha256:%s\"", hex)
                  : ds_buf_puts(out, ",\"root\":null");
    if (!rc)
        rc = ds_buf_puts(out, ",\"frames\":\"");
    if (!rc)
        rc = ds_buf_hex(out, frames->b, sizeof frames->b);
    if (!rc)
        rc = ds_buf_puts(out, "\"}");
    return rc ? ds_fail_nomem(err) : 0;
}

static bool get_count(uint64_t *out, const json_t *v)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *out = (uint64_t)json_integer_value(v);
    return true;
}

static int get_reasons(ds_counts *c, bool failed, json_t *v, ds_err *err)
{
    const char *name;
    json_t *n;
    uint64_t count;
    json_object_foreach(v, name, n)
    {
        if (!get_count(&count, n))
            return ds_fail(err, DS_CORRUPT, "end frame: a count is no number");
        int rc = ds_counts_add(c, failed, name, count, err);
        if (rc)
            return rc;
    }
    return 0;
}

static int get_end(ds_counts *c, bool *has_root, ds_sha *root, ds_x128 *frames, const json_t *v,
                   ds_err *err)
{
    const json_t *r = json_object_get(v, "root");
    const char *hex = json_string_value(json_object_get(v, "frames")), *text = json_string_value(r);
    if (!get_count(&c->records, json_object_get(v, "records")) ||
        !get_count(&c->blocks, json_object_get(v, "blocks")) ||
        !get_count(&c->sources, json_object_get(v, "sources")))
        return ds_fail(err, DS_CORRUPT, "end frame: a total is absent");
    if (!hex || !ds_hex_decode(hex, strlen(hex), frames->b, sizeof frames->b))
        return ds_fail(err, DS_CORRUPT, "end frame: no digest of the frames");
    *has_root = text != NULL;
    if (text &&
        (strncmp(text, "sha256:", 7) != 0 || !ds_sha_parse(root, text + 7, strlen(text + 7))))
        return ds_fail(err, DS_CORRUPT, "end frame: bad root");
    int rc = get_reasons(c, false, json_object_get(v, "held"), err);
    return rc ? rc : get_reasons(c, true, json_object_get(v, "failed"), err);
}

int ds_end_parse(ds_counts *c, bool *has_root, ds_sha *root, ds_x128 *frames, const void *p,
                 size_t len, ds_err *err)
{
    json_t *v = NULL;
    ds_buf again = {0};
    ds_err why = {0};
    int rc = ds_json_parse(&v, p, len, "end frame", &why);
    if (!rc)
        rc = get_end(c, has_root, root, frames, v, &why);
    if (!rc)
        rc = ds_end_dump(&again, c, *has_root ? root : NULL, frames, &why);
    if (!rc && (again.len != len || memcmp(again.data, p, len) != 0))
        rc = ds_fail(&why, DS_CORRUPT, "end frame: not in canonical form");
    json_decref(v);
    ds_buf_fini(&again);
    return rc ? ds_fail(err, rc == DS_NOMEM ? rc : DS_CORRUPT, "%s", why.msg) : 0;
}
