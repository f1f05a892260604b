/* proofpass.c - see proofpass.h. */
#include "proofpass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcmtree.h"
#include "instream.h"
#include "json.h"

#define FOUND_MAX 1000000 /* bytes of texts that were found */
#define MAX_PLACES 64     /* told apart; more are counted all the same */
#define AROUND 40         /* bytes of what stands around a text that was found */

typedef struct place {
    char column[64];
    uint32_t tag;
    uint64_t n, held;
} place;

struct ds_proof {
    dcm_search *ids; /* of all files so far, with the dates of this one */
    ds_buf scratch;
    ds_buf found; /* what was found, a line each */
    uint64_t text, raw, hits, left_out;
    place places[MAX_PLACES];
    size_t nplaces;
};

int ds_proof_new(ds_proof **out, ds_err *err)
{
    ds_proof *p = *out = calloc(1, sizeof *p);
    dcm_ids *none = NULL;
    int rc = p ? dcm_ids_new(&none, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = dcm_search_new(&p->ids, none, err);
    dcm_ids_free(none);
    if (rc != 0) {
        ds_proof_free(p);
        *out = NULL;
    }
    return rc;
}

void ds_proof_free(ds_proof *p)
{
    if (!p)
        return;
    dcm_search_free(p->ids);
    ds_buf_fini(&p->scratch);
    ds_buf_fini(&p->found);
    free(p);
}

static const char *name_of(uint32_t tag, char out[16])
{
    const char *k = dcm_keyword(tag);
    snprintf(out, 16, "%04x,%04x", tag >> 16, tag & 0xffff);
    return k ? k : out;
}

static int one_word(void *ctx, const char *line, const char *path, unsigned n, ds_err *err)
{
    (void)path, (void)n;
    return dcm_search_spare(ctx, line, strlen(line), err);
}

int ds_proof_words(ds_proof *p, const char *path, ds_err *err)
{
    return dcm_lines_each(path, one_word, p->ids, err);
}

int ds_proof_own(ds_proof *p, const dcm_ids *ids, ds_err *err)
{
    return dcm_search_own(p->ids, ids, err);
}

int ds_proof_file(ds_proof *p, const dcm_ids *ids, ds_err *err)
{
    int rc = dcm_search_own(p->ids, ids, err);
    if (rc != 0 || !ids)
        return rc;
    p->left_out += dcm_ids_left_out(ids);
    return dcm_search_grow(p->ids, ids, err);
}

static void note(ds_proof *p, const char *column, const dcm_hit *hit, bool held)
{
    size_t i = 0;
    p->hits += !held;
    while (i < p->nplaces &&
           (p->places[i].tag != hit->tag || strcmp(p->places[i].column, column) != 0))
        i++;
    if (i == p->nplaces) {
        if (i == MAX_PLACES)
            return;
        snprintf(p->places[i].column, sizeof p->places[i].column, "%s", column);
        p->places[i].tag = hit->tag;
        p->nplaces++;
    }
    *(held ? &p->places[i].held : &p->places[i].n) += 1;
}

/* "# attribute in column: what stands around". */
static int put_comment(ds_buf *b, const char *column, const dcm_hit *hit, const uint8_t *text,
                       size_t len)
{
    char tag[16];
    size_t from = hit->at < AROUND ? 0 : hit->at - AROUND, end = hit->at + hit->len;
    end = len - end < AROUND ? len : end + AROUND;
    while (from < hit->at && (text[from] & 0xc0) == 0x80)
        from++;
    int bad = ds_buf_printf(b, "# %s in column %s: ", name_of(hit->tag, tag), column);
    for (; from < end && !bad; from++)
        bad = ds_buf_putc(b, text[from] < 0x20 || text[from] == 0x7f ? ' ' : text[from]);
    return bad | ds_buf_putc(b, '\n');
}

/* A line of what was found, once each. */
static int keep_found(ds_proof *p, const char *column, const dcm_hit *hit, const uint8_t *where,
                      size_t all, ds_err *err)
{
    const uint8_t *text = where + hit->at;
    const size_t n = hit->len;
    ds_buf *b = &p->found;
    for (size_t at = 0; at < b->len;) {
        const uint8_t *end = memchr(b->data + at, '\n', b->len - at);
        size_t len = end ? (size_t)(end - b->data) - at : b->len - at;
        if (len == n && memcmp(b->data + at, text, n) == 0)
            return 0;
        at += len + 1;
    }
    if (b->len > FOUND_MAX || memchr(text, '\n', n) || memchr(text, '\r', n))
        return 0;
    return put_comment(b, column, hit, where, all) | ds_buf_put(b, text, n) | ds_buf_putc(b, '\n')
               ? ds_fail_nomem(err)
               : 0;
}

static int search(ds_proof *p, enum ds_proof_kind kind, const void *v, size_t len, dcm_hit *hit,
                  ds_err *err)
{
    switch (kind) {
    case DS_PROOF_TEXT:
        return dcm_search_text(p->ids, v, len, 0, hit);
    case DS_PROOF_JSON:
        return dcm_search_json(p->ids, v, len, &p->scratch, hit, err);
    default:
        return dcm_search_raw(p->ids, v, len, 0, hit);
    }
}

/* 1 for a hit. */
static int look(ds_proof *p, const char *column, enum ds_proof_kind kind, const void *v, size_t len,
                bool held, ds_err *err)
{
    dcm_hit hit;
    int rc = search(p, kind, v, len, &hit, err);
    if (rc <= 0)
        return rc;
    note(p, column, &hit, held);
    /* JSON with escapes was searched as what they stand for */
    bool escapes = kind == DS_PROOF_JSON && memchr(v, '\\', len);
    rc = keep_found(p, column, &hit, escapes ? p->scratch.data : v, escapes ? p->scratch.len : len,
                    err);
    return rc == 0 ? 1 : rc;
}

int ds_proof_value(ds_proof *p, const char *column, enum ds_proof_kind kind, const void *v,
                   size_t len, ds_err *err)
{
    *(kind == DS_PROOF_RAW ? &p->raw : &p->text) += len;
    int rc = look(p, column, kind, v, len, false, err);
    return rc > 0 ? 0 : rc;
}

int ds_proof_look(ds_proof *p, const char *column, enum ds_proof_kind kind, const void *v,
                  size_t len, bool *found, ds_err *err)
{
    int rc = len ? look(p, column, kind, v, len, true, err) : 0;
    *found = *found || rc > 0;
    return rc > 0 ? 0 : rc;
}

/* ---- finished shards ---- */

static int one_value(ds_proof *p, const char *column, enum ds_type type, const ds_value *v,
                     ds_err *err)
{
    switch (type) {
    case DS_UTF8:
        return ds_proof_value(p, column, DS_PROOF_TEXT, v->p, v->len, err);
    case DS_JSON:
        return ds_proof_value(p, column, DS_PROOF_JSON, v->p, v->len, err);
    case DS_BYTES:
    case DS_TENSOR:
        return ds_proof_value(p, column, DS_PROOF_RAW, v->p, v->len, err);
    default:
        return 0; /* numbers */
    }
}

static int one_column(ds_proof *p, ds_colview *view, ds_err *err)
{
    ds_value v, item;
    ds_items it;
    int rc = 0;
    while (rc == 0 && ds_colview_next(view, &v)) {
        if (v.null)
            continue;
        if (view->type != DS_LIST) {
            rc = one_value(p, view->col->name, view->type, &v, err);
            continue;
        }
        ds_value_items(&it, view, &v);
        while (rc == 0 && ds_items_next(&it, &item))
            rc = one_value(p, view->col->name, view->item, &item, err);
    }
    return rc;
}

/* The provenance of the file that is read now. */
static int steps(ds_proof *p, const ds_instream *in, ds_err *err)
{
    size_t len;
    const char *prov = ds_reader_provenance(ds_instream_reader(in), &len);
    return ds_proof_value(p, "provenance", DS_PROOF_JSON, prov, len, err);
}

static int one_event(ds_proof *p, const ds_instream *in, enum ds_event ev, ds_colview *views,
                     ds_err *err)
{
    const ds_schema *s = ds_instream_schema(in);
    if (ev == DS_EV_SOURCE) {
        const ds_source *src = ds_reader_source(ds_instream_reader(in));
        return ds_proof_value(p, "source", DS_PROOF_TEXT, src->name, src->len, err);
    }
    if (ev == DS_EV_END)
        return steps(p, in, err);
    int rc = ds_block_views(ds_reader_block(ds_instream_reader(in)), s, views, err);
    for (size_t i = 0; i < s->n && rc == 0; i++)
        rc = one_column(p, &views[i], err);
    return rc;
}

int ds_proof_shards(ds_proof *p, const char *path, ds_err *err)
{
    char *operand = (char *)(uintptr_t)path; /* which is not written to */
    ds_instream *in = NULL;
    ds_colview *views = NULL;
    enum ds_event ev = DS_EV_BLOCK;
    int rc = ds_proof_file(p, NULL, err);
    if (rc == 0)
        rc = ds_instream_open(&in, &operand, 1, err);
    if (rc == 0 && !(views = calloc(ds_instream_schema(in)->n + 1, sizeof *views)))
        rc = ds_fail_nomem(err);
    while (rc == 0 && (rc = ds_instream_next(in, &ev, err)) == 0) {
        rc = one_event(p, in, ev, views, err);
        if (ev == DS_EV_END && ds_instream_last(in))
            break;
    }
    free(views);
    ds_instream_free(in);
    return rc;
}

/* ---- what came of it ---- */

uint64_t ds_proof_hits(const ds_proof *p)
{
    return p->hits;
}

const ds_buf *ds_proof_found(const ds_proof *p)
{
    return &p->found;
}

int ds_proof_verdict(const ds_proof *p, ds_err *err)
{
    char where[512] = "", tag[16];
    size_t at = 0;
    if (p->hits == 0)
        return 0;
    for (size_t i = 0; i < p->nplaces && at < sizeof where - 100; i++)
        if (p->places[i].n)
            at +=
                (size_t)snprintf(where + at, sizeof where - at, "%s%s in column %s", at ? ", " : "",
                                 name_of(p->places[i].tag, tag), p->places[i].column);
    return ds_fail(err, DS_FAIL,
                   "%llu values of the output hold identifiers of the input: %s; do not use it",
                   (unsigned long long)p->hits, where);
}

static int put_places(const ds_proof *p, bool held, ds_buf *out)
{
    char tag[16];
    bool more = false;
    int bad = 0;
    for (size_t i = 0; i < p->nplaces && !bad; i++) {
        const place *at = &p->places[i];
        const uint64_t n = held ? at->held : at->n;
        if (n == 0)
            continue;
        bad = ds_buf_puts(out, more ? ",{\"column\":" : "{\"column\":") |
              ds_json_str(out, at->column, strlen(at->column)) |
              ds_buf_printf(out, ",\"attribute\":\"%s\",\"values\":%llu}", name_of(at->tag, tag),
                            (unsigned long long)n);
        more = true;
    }
    return bad;
}

int ds_proof_json(const ds_proof *p, ds_buf *out, ds_err *err)
{
    int bad = ds_buf_printf(out,
                            "{\"identifiers\":%zu,\"left_out\":%llu,\"text_bytes\":%llu,"
                            "\"tensor_bytes\":%llu,\"hits\":[",
                            dcm_search_count(p->ids), (unsigned long long)p->left_out,
                            (unsigned long long)p->text, (unsigned long long)p->raw);
    bad |= put_places(p, false, out) | ds_buf_puts(out, "],\"held\":[") | put_places(p, true, out);
    return bad | ds_buf_puts(out, "]}") ? ds_fail_nomem(err) : 0;
}
