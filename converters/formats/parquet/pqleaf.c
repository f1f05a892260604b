/* pqleaf.c - see pqleaf.h. */
#include "pqleaf.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "io.h"
#include "pqcodec.h"
#include "thrift.h"
#include "try.h"

#define HEAD_FIRST ((size_t)4 << 10)
#define HEAD_MOST ((size_t)16 << 20) /* statistics hold values */
#define PAGE_FREE ((size_t)16 << 20) /* unpacked bytes that need no ratio */

enum { DATA, INDEX, DICTIONARY, DATA_V2 }; /* parquet.thrift: PageType */

/* PageHeader, with the header of its kind. */
typedef struct head {
    int kind;
    int64_t size, packed; /* bytes of the page, unpacked and as they lie */
    int64_t crc;          /* -1: none */
    int64_t values;
    int encoding, reps_by, defs_by;
    int64_t reps_len, defs_len; /* of DATA_V2 */
    bool stored;                /* DATA_V2: values are not packed */
    bool described;
} head;

void ds_pqleaf_begin(ds_pqleaf *l, const ds_pqsource *from, const ds_pqnode *n, const ds_pqchunk *c)
{
    l->from = from;
    l->node = n;
    l->codec = c->codec;
    l->at = l->here = c->at;
    l->unread = c->values;
    l->has_dictionary = false;
    l->nentries = 0;
    l->left = 0;
    l->ready = false;
}

/* ---- the head of a page ---- */

/* DataPageHeader and DictionaryPageHeader begin alike. */
static void read_v1(ds_thrift *t, head *h)
{
    ds_thrift_at f;

    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        if (f.id == 1)
            h->values = ds_thrift_int(t, f.type);
        else if (f.id == 2)
            h->encoding = (int)ds_thrift_int(t, f.type);
        else if (f.id == 3 && h->kind == DATA)
            h->defs_by = (int)ds_thrift_int(t, f.type);
        else if (f.id == 4 && h->kind == DATA)
            h->reps_by = (int)ds_thrift_int(t, f.type);
        else
            ds_thrift_skip(t, f.type);
}

static void read_v2(ds_thrift *t, head *h)
{
    ds_thrift_at f;

    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        if (f.id == 1)
            h->values = ds_thrift_int(t, f.type);
        else if (f.id == 4)
            h->encoding = (int)ds_thrift_int(t, f.type);
        else if (f.id == 5)
            h->defs_len = ds_thrift_int(t, f.type);
        else if (f.id == 6)
            h->reps_len = ds_thrift_int(t, f.type);
        else if (f.id == 7)
            h->stored = !ds_thrift_bool(t, f.type);
        else
            ds_thrift_skip(t, f.type);
}

static void read_head(ds_thrift *t, head *h)
{
    ds_thrift_at f;

    *h = (head){.kind = -1, .crc = -1, .defs_by = DS_PQ_ENC_RLE, .reps_by = DS_PQ_ENC_RLE};
    for (ds_thrift_begin(t, &f); ds_thrift_field(t, &f);)
        if (f.id == 1)
            h->kind = (int)ds_thrift_int(t, f.type);
        else if (f.id == 2)
            h->size = ds_thrift_int(t, f.type);
        else if (f.id == 3)
            h->packed = ds_thrift_int(t, f.type);
        else if (f.id == 4)
            h->crc = (uint32_t)ds_thrift_int(t, f.type);
        else if (f.type == DS_THRIFT_STRUCT &&
                 ((f.id == 5 && h->kind == DATA) || (f.id == 7 && h->kind == DICTIONARY))) {
            h->described = true;
            read_v1(t, h);
        } else if (f.id == 8 && f.type == DS_THRIFT_STRUCT && h->kind == DATA_V2) {
            h->described = true;
            read_v2(t, h);
        } else
            ds_thrift_skip(t, f.type);
    h->described |= h->kind == INDEX;
}

static const char *check_head(const ds_pqleaf *l, const head *h, uint64_t left)
{
    const uint64_t size = (uint64_t)h->size, packed = (uint64_t)h->packed;

    if (!h->described || h->size < 0 || h->packed < 0 || h->values < 0 || h->reps_len < 0 ||
        h->defs_len < 0 || h->reps_len > h->size || h->defs_len > h->size - h->reps_len)
        return "the head of a page is malformed";
    if (packed > left)
        return "a page passes the end of the file";
    if (size > INT32_MAX || h->values > INT32_MAX)
        return "a page is larger than any";
    if (size > PAGE_FREE && l->from->max_ratio && size / l->from->max_ratio > packed)
        return "a page unpacks to more than --max-ratio times its size";
    return NULL;
}

/* The head of the page at l->at; l->at is then where its bytes begin. */
static int next_head(ds_pqleaf *l, head *h, const char **why, ds_err *err)
{
    const uint64_t left = l->from->size - l->at;
    size_t n = HEAD_FIRST;

    l->here = l->at;
    for (;; n *= 4) {
        n = n < left ? n : (size_t)left;
        ds_buf_reset(&l->packed);
        if (ds_buf_reserve(&l->packed, n + 1))
            return ds_fail_nomem(err);
        TRY(ds_pread_exact(l->from->fd, l->from->name, l->packed.data, n, l->at, err));
        ds_thrift t = {.p = l->packed.data, .len = n};
        read_head(&t, h);
        if (!t.bad) {
            l->at += t.at;
            *why = check_head(l, h, left - t.at);
            return *why != NULL;
        }
        if (n == left || n >= HEAD_MOST) {
            *why = "the head of a page is malformed";
            return 1;
        }
    }
}

/* ---- its bytes ---- */

/* All of the page, unpacked, in `to`. */
static int read_page(ds_pqleaf *l, const head *h, ds_buf *to, const char **why, ds_err *err)
{
    const size_t packed = (size_t)h->packed, size = (size_t)h->size;
    const size_t levels = (size_t)(h->reps_len + h->defs_len); /* never packed */
    const bool stored = l->codec == DS_PQ_STORED || h->stored;

    ds_buf_reset(&l->packed);
    ds_buf_reset(to);
    if (ds_buf_reserve(&l->packed, packed + 1) || ds_buf_reserve(to, size + 1))
        return ds_fail_nomem(err);
    TRY(ds_pread_exact(l->from->fd, l->from->name, l->packed.data, packed, l->at, err));
    l->at += packed;
    if (h->crc >= 0 && crc32_z(0, l->packed.data, packed) != (uint64_t)h->crc)
        *why = "a page is not what its checksum says";
    else if (levels > packed || (stored && packed != size))
        *why = "a page has another size than it says";
    if (*why)
        return 1;
    memcpy(to->data, l->packed.data, stored ? packed : levels);
    to->len = size;
    if (!stored && size > levels)
        *why = ds_pq_unpack(l->codec, l->packed.data + levels, packed - levels, to->data + levels,
                            size - levels);
    return *why != NULL;
}

static int take_dictionary(ds_pqleaf *l, const head *h, const char **why, ds_err *err)
{
    ds_pqvalues v = {0};
    const bool plain = h->encoding == DS_PQ_ENC_PLAIN || h->encoding == DS_PQ_ENC_PLAIN_DICTIONARY;

    if (l->has_dictionary || !plain || l->node->type == DS_PQ_BOOLEAN ||
        (uint64_t)h->values > (uint64_t)h->size) {
        *why = "a dictionary is malformed, or a second one";
        return 1;
    }
    TRY(read_page(l, h, &l->dictionary, why, err));
    free(l->entries);
    l->entries = calloc((size_t)h->values + 1, sizeof *l->entries);
    if (!l->entries)
        return ds_fail_nomem(err);
    int rc = 0;
    *why = ds_pqvalues_init(&v, l->node, DS_PQ_ENC_PLAIN, l->dictionary.data, l->dictionary.len,
                            l->from->max_record);
    for (l->nentries = 0; !rc && !*why && l->nentries < (size_t)h->values; l->nentries++)
        rc = ds_pqvalues_next(&v, &l->entries[l->nentries], why);
    ds_pqvalues_fini(&v);
    l->has_dictionary = true;
    return rc == DS_NOMEM ? ds_fail_nomem(err) : *why != NULL;
}

/* Levels of a page of the first kind stand before its values, with their length. */
static const char *take_levels(const ds_buf *page, size_t *at, int most, int by, ds_pqrle *r,
                               bool *none)
{
    *none = most == 0;
    if (*none)
        return NULL;
    if (by != DS_PQ_ENC_RLE)
        return "levels in an encoding that went out of use in 2014";
    if (page->len - *at < 4 || ds_get_u32(page->data + *at) > page->len - *at - 4)
        return "levels pass the end of their page";
    const size_t n = ds_get_u32(page->data + *at);
    ds_pqrle_init(r, page->data + *at + 4, n, ds_pq_bits((uint32_t)most));
    *at += 4 + n;
    return NULL;
}

static int take_data(ds_pqleaf *l, const head *h, const char **why, ds_err *err)
{
    const ds_pqnode *n = l->node;
    size_t at = 0;

    if ((uint64_t)h->values > l->unread) {
        *why = "pages have more values than their column";
        return 1;
    }
    TRY(read_page(l, h, &l->page, why, err));
    if (h->kind == DATA_V2) {
        const size_t reps = (size_t)h->reps_len, defs = (size_t)h->defs_len;
        l->no_reps = n->rep == 0;
        l->no_defs = n->def == 0;
        ds_pqrle_init(&l->reps, l->page.data, reps, ds_pq_bits((uint32_t)n->rep));
        ds_pqrle_init(&l->defs, l->page.data + reps, defs, ds_pq_bits((uint32_t)n->def));
        at = reps + defs;
    } else {
        *why = take_levels(&l->page, &at, n->rep, h->reps_by, &l->reps, &l->no_reps);
        if (!*why)
            *why = take_levels(&l->page, &at, n->def, h->defs_by, &l->defs, &l->no_defs);
    }
    if (!*why)
        *why = ds_pqvalues_init(&l->values, n, (enum ds_pqencoding)h->encoding, l->page.data + at,
                                l->page.len - at, l->from->max_record);
    if (!*why && l->values.encoding == DS_PQ_ENC_DICTIONARY && !l->has_dictionary)
        *why = "values are of a dictionary that is not there";
    l->left = (uint32_t)h->values;
    l->unread -= l->left;
    return *why != NULL;
}

static int next_page(ds_pqleaf *l, const char **why, ds_err *err)
{
    head h;

    TRY(next_head(l, &h, why, err));
    if (h.kind == DICTIONARY)
        return take_dictionary(l, &h, why, err);
    if (h.kind == DATA || h.kind == DATA_V2)
        return take_data(l, &h, why, err);
    l->at += (uint64_t)h.packed; /* an index: none was ever written */
    return 0;
}

/* ---- values ---- */

static const char *level(ds_pqrle *r, bool none, int most, int *out)
{
    uint32_t v = 0;
    const char *why = none ? NULL : ds_pqrle_next(r, &v);

    if (!why && v > (uint32_t)most)
        why = "a level is higher than any";
    *out = (int)v;
    return why;
}

int ds_pqleaf_look(ds_pqleaf *l, const char **why, ds_err *err)
{
    *why = NULL;
    if (l->ready)
        return 0;
    while (!l->left && l->unread)
        TRY(next_page(l, why, err));
    if (!l->left)
        return 0;
    *why = level(&l->reps, l->no_reps, l->node->rep, &l->rep);
    if (!*why)
        *why = level(&l->defs, l->no_defs, l->node->def, &l->def);
    l->left--;
    l->ready = !*why;
    return *why != NULL;
}

int ds_pqleaf_take(ds_pqleaf *l, ds_pqvalue *x, bool *there, const char **why, ds_err *err)
{
    *why = NULL;
    *there = l->def == l->node->def;
    l->ready = false;
    if (!*there)
        return 0;
    const int rc = ds_pqvalues_next(&l->values, x, why);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (!rc && l->values.encoding == DS_PQ_ENC_DICTIONARY) {
        if ((uint64_t)x->i >= l->nentries)
            *why = "a value is in no dictionary";
        else
            *x = l->entries[x->i];
    }
    if (!rc && !*why && x->len > l->from->max_record)
        *why = "a value is longer than --max-record";
    return *why != NULL;
}

void ds_pqleaf_fini(ds_pqleaf *l)
{
    ds_buf_fini(&l->packed);
    ds_buf_fini(&l->page);
    ds_buf_fini(&l->dictionary);
    ds_pqvalues_fini(&l->values);
    free(l->entries);
    *l = (ds_pqleaf){0};
}
