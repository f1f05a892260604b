/* recompare.c - see recompare.h. */
#include "recompare.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "leftover.h"
#include "sig.h"

struct ds_recompare {
    ds_verside side;
    const ds_schema *schema;
    ds_sha digest; /* of the stream's schema */
    bool other_schema;
    const ds_sourcelist *sources;
    size_t source_pos;
    uint64_t nsources, blocks, records;
    ds_rootsum *sum;
    ds_manline line;
    ds_buf source_words, record_words; /* what differs first */
    ds_leftover left;                  /* used when something was erased */
    uint64_t others;                   /* sources that differ, then */
    ds_colview *views;                 /* of the stream's block */
    ds_value *values;
};

int ds_recompare_new(ds_recompare **out, ds_store *s, const git_oid *commit,
                     const ds_schema *schema, const ds_sourcelist *sources, ds_err *err)
{
    ds_recompare *c = calloc(1, sizeof *c);
    ds_sha recorded;
    *out = c;
    if (!c)
        return ds_fail_nomem(err);
    c->schema = schema;
    c->sources = sources;
    ds_schema_init(&c->side.schema);
    int rc = ds_verside_open(&c->side, s, commit, NULL, NULL, err);
    rc = rc ? rc : ds_schema_digest(&recorded, &c->side.schema, err);
    rc = rc ? rc : ds_schema_digest(&c->digest, schema, err);
    rc = rc ? rc : ds_rootsum_new(&c->sum, err);
    c->other_schema = !rc && !ds_sha_eq(&recorded, &c->digest);
    c->left.side = &c->side;
    c->views = calloc(schema->n + 1, sizeof *c->views);
    c->values = calloc(schema->n + 1, sizeof *c->values);
    return rc || (c->views && c->values) ? rc : ds_fail_nomem(err);
}

void ds_recompare_free(ds_recompare *c)
{
    if (!c)
        return;
    ds_verside_fini(&c->side);
    ds_rootsum_free(c->sum);
    ds_manline_fini(&c->line);
    ds_buf_fini(&c->source_words);
    ds_buf_fini(&c->record_words);
    ds_leftover_fini(&c->left);
    free(c->views);
    free(c->values);
    free(c);
}

/* ---- records ---- */

static int put_key(ds_buf *words, const ds_recblock *rec, ds_err *err)
{
    const ds_schema *s = &rec->side->schema;
    ds_hasher *h = NULL;
    char hex[33] = "";
    int rc = 0;
    if (!s->explicit_key) {
        rc = ds_hasher_new(&h, err);
        rc = rc ? rc : ds_key_derive(hex, h, s, rec->views, rec->values, err);
        ds_hasher_free(h);
    }
    const char *key = s->explicit_key ? (const char *)rec->values[0].p : hex;
    const int n = s->explicit_key ? (int)(rec->values[0].len > 200 ? 200 : rec->values[0].len) : 32;
    if (!rc && ds_buf_printf(words, ", key '%.*s'", n, key))
        rc = ds_fail_nomem(err);
    return rc;
}

/* ordinal: in the version. column: -1 = it was not made at all. */
static int say_record(ds_recompare *c, const ds_recblock *rec, uint64_t ordinal, long column,
                      ds_err *err)
{
    int rc = ds_buf_printf(&c->record_words, "record %" PRIu64, ordinal) ? ds_fail_nomem(err) : 0;
    rc = rc ? rc : put_key(&c->record_words, rec, err);
    if (!rc && (column < 0 ? ds_buf_puts(&c->record_words, " was not made")
                           : ds_buf_printf(&c->record_words, ": its column '%s' is another",
                                           rec->side->schema.cols[column].name)))
        rc = ds_fail_nomem(err);
    return rc;
}

static int say_more(ds_recompare *c, uint64_t recorded, ds_err *err)
{
    return ds_buf_printf(&c->record_words, "%" PRIu64 " records are recorded, more were made",
                         recorded)
               ? ds_fail_nomem(err)
               : 0;
}

static void next_row(ds_recompare *c)
{
    for (size_t i = 0; i < c->schema->n; i++)
        (void)ds_colview_next(&c->views[i], &c->values[i]);
}

/* The first record of two blocks that differs. */
static int find_record(ds_recompare *c, const ds_block *b, ds_err *err)
{
    ds_recblock rec = {0};
    int rc = ds_recblock_load(&rec, &c->side, (size_t)c->blocks, false, err);
    rc = rc ? rc : ds_block_views(b, c->schema, c->views, err);
    for (uint64_t row = 0; !rc && row < b->rows && ds_recblock_next(&rec); row++) {
        next_row(c);
        const long column = ds_record_differs(&rec, c->views, c->values);
        if (column >= 0) {
            rc = say_record(c, &rec, c->records + rec.at, column, err);
            break;
        }
    }
    if (!rc && !c->record_words.len &&
        ds_buf_printf(&c->record_words, "one has more records: both agree up to record %" PRIu64,
                      c->records + (b->rows < rec.lent.rows ? b->rows : rec.lent.rows)))
        rc = ds_fail_nomem(err);
    ds_recblock_fini(&rec);
    return rc;
}

/* All records of a block against what erasures left. */
static int take_rows(ds_recompare *c, const ds_block *b, ds_err *err)
{
    int rc = ds_block_views(b, c->schema, c->views, err);
    for (uint64_t row = 0; !rc && row < b->rows && !c->record_words.len; row++) {
        long column = -1;
        next_row(c);
        const int fits = ds_leftover_take(&c->left, c->views, c->values, &column, err);
        if (fits < 0)
            rc = fits;
        else if (!fits && column < 0)
            rc = say_more(c, c->side.version.records - c->left.gone, err);
        else if (!fits)
            rc = say_record(c, &c->left.rec, c->left.ordinal + 1, column, err);
    }
    return rc;
}

static int address(ds_manline *l, const ds_block *b, ds_sha *block, ds_sha *origin, ds_err *err)
{
    ds_buf pieces = {0};
    int rc = 0;
    ds_manline_reset(l);
    l->rows = b->rows;
    for (size_t i = 0; !rc && i < b->nchunks; i++) {
        const ds_chunk *k = &b->chunks[i];
        size_t at = 0;
        ds_buf_reset(&pieces);
        for (size_t j = 0; !rc && j < b->npieces[i]; at = b->piece_ends[i][j++]) {
            ds_sha id;
            rc = ds_addr_piece(&id, k->body + at, b->piece_ends[i][j] - at, err);
            if (!rc && ds_buf_put(&pieces, &id, sizeof id))
                rc = ds_fail_nomem(err);
        }
        rc = rc ? rc
                : ds_manline_chunk(l, k->body_len, (const ds_sha *)(const void *)pieces.data,
                                   b->npieces[i], err);
    }
    ds_buf_fini(&pieces);
    return rc ? rc : ds_manline_addr(l, block, origin, err);
}

static int take_block(ds_recompare *c, const ds_block *b, ds_err *err)
{
    ds_sha block, origin;
    int rc = address(&c->line, b, &block, &origin, err);
    rc = rc ? rc : ds_rootsum_block(c->sum, &block, &origin, err);
    if (!rc && !c->other_schema && !c->record_words.len) {
        if (c->side.erased)
            rc = take_rows(c, b, err);
        else if (c->blocks >= c->side.n)
            rc = say_more(c, c->records, err);
        else if (!ds_sha_eq(&block, &c->side.was[c->blocks]))
            rc = find_record(c, b, err);
    }
    c->blocks++;
    c->records += b->rows;
    return rc;
}

/* ---- sources ---- */

static bool same_name(const ds_source *a, const ds_source *b)
{
    return a->len == b->len && memcmp(a->name, b->name, b->len) == 0;
}

/* With erasures, one that differs held what was erased, and one that is not recorded is one that
 * was erased: whether that is all is for the records to tell. */
static void let_pass(ds_recompare *c, const ds_source *s)
{
    ds_source want;
    size_t pos = c->source_pos;
    if (!ds_sourcelist_next(c->sources, &pos, &want) || !same_name(&want, s))
        return;
    c->source_pos = pos;
    c->nsources++;
    c->others += want.size != s->size || !ds_sha_eq(&want.sha, &s->sha);
}

static int take_source(ds_recompare *c, const ds_source *s, ds_err *err)
{
    ds_source want;
    bool bad = false;
    int rc = ds_rootsum_source(c->sum, s, err);
    if (c->side.erased) {
        let_pass(c, s);
        return rc;
    }
    const bool have = ds_sourcelist_next(c->sources, &c->source_pos, &want);
    c->nsources++;
    if (rc || c->source_words.len)
        return rc;
    if (!have || !same_name(&want, s))
        bad = ds_buf_printf(&c->source_words, "source '%.*s' was read where %s%.*s%s is recorded",
                            (int)s->len, s->name, have ? "'" : "", have ? (int)want.len : 7,
                            have ? want.name : "nothing", have ? "'" : "");
    else if (want.size != s->size || !ds_sha_eq(&want.sha, &s->sha))
        bad = ds_buf_printf(&c->source_words, "source '%.*s' differs from the one recorded",
                            (int)s->len, s->name);
    return bad ? ds_fail_nomem(err) : 0;
}

/* ---- the end ---- */

static int say_schema(ds_recompare *c, ds_err *err)
{
    const ds_schema *a = &c->side.schema, *b = c->schema;
    size_t i = 0;
    while (i < a->n && i < b->n && strcmp(a->cols[i].name, b->cols[i].name) == 0 &&
           a->cols[i].type == b->cols[i].type)
        i++;
    return ds_buf_printf(&c->record_words, "the columns differ, from column %zu ('%s') on", i + 1,
                         i < a->n   ? a->cols[i].name
                         : i < b->n ? b->cols[i].name
                                    : "its form")
               ? ds_fail_nomem(err)
               : 0;
}

/* What was erased, or recorded and not made, behind the last record that was made. */
static int end_rows(ds_recompare *c, ds_err *err)
{
    const int fits = ds_leftover_end(&c->left, err);
    if (fits < 0)
        return fits;
    return fits ? 0 : say_record(c, &c->left.rec, c->left.ordinal + 1, -1, err);
}

static int end(ds_recompare *c, ds_recompared *out, ds_err *err)
{
    ds_sha origin;
    *out = (ds_recompared){.records = c->records, .others = c->others};
    int rc = ds_rootsum_end(c->sum, &c->digest, &out->root, &origin, err);
    out->same = !rc && ds_sha_eq(&out->root, &c->side.version.root);
    if (!rc && c->other_schema)
        rc = say_schema(c, err);
    if (!rc && c->side.erased && !c->record_words.len)
        rc = end_rows(c, err);
    out->erased = c->left.gone;
    if (!rc && c->nsources < c->sources->n && !c->source_words.len &&
        ds_buf_printf(&c->source_words, "%" PRIu64 " of %" PRIu64 " sources were read", c->nsources,
                      c->sources->n))
        rc = ds_fail_nomem(err);
    if (!rc && !out->same && !c->side.erased && !c->record_words.len &&
        ds_buf_printf(&c->record_words, "%" PRIu64 " records are recorded, %" PRIu64 " were made",
                      c->side.version.records, c->records))
        rc = ds_fail_nomem(err);
    ds_buf *words = c->source_words.len ? &c->source_words : &c->record_words;
    if (!rc && words->len &&
        (!ds_buf_cstr(words) || !(out->differs = strdup((const char *)words->data))))
        rc = ds_fail_nomem(err);
    return rc;
}

int ds_recompare_stream(ds_recompare *c, ds_reader *in, ds_recompared *out, ds_err *err)
{
    enum ds_event ev = DS_EV_BLOCK;
    int rc = 0;
    while (!rc && ev != DS_EV_END) {
        rc = ds_check_interrupt(err);
        rc = rc ? rc : ds_reader_next(in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = take_block(c, ds_reader_block(in), err);
        else if (!rc && ev == DS_EV_SOURCE)
            rc = take_source(c, ds_reader_source(in), err);
    }
    return rc ? rc : end(c, out, err);
}
