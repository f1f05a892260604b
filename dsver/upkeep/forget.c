/* forget.c - see forget.h. */
#include "forget.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "blockwalk.h"
#include "dsr_origin.h"
#include "dsr_sources.h"
#include "history.h"
#include "json.h"
#include "overlay.h"
#include "person.h"
#include "pin.h"
#include "rmtree.h"
#include "revision.h"
#include "shaset.h"
#include "sig.h"
#include "sourcepage.h"
#include "tombstone.h"

/* A block that holds records to be erased. */
typedef struct hit {
    ds_sha was;    /* the address that it was committed with */
    size_t row, n; /* its rows: in `rows` */
} hit;

/* A source to be emptied. */
typedef struct pagehit {
    ds_sha was, piece; /* of the page: as committed, and as it is read now */
    uint64_t row, rows;
} pagehit;

typedef struct touched {
    git_oid commit;
    ds_buf ordinals; /* uint64_t */
} touched;

typedef struct forget {
    ds_store *store;
    const ds_forget_opts *o;
    ds_forgotten *out;
    ds_objtx *tx;
    uint8_t salt[32];
    ds_shaset keys;   /* SHA-256 of the keys that are looked for */
    ds_shaset erased; /* the same, of those found */
    ds_oidset commits, files;
    ds_buf avoid;      /* ds_sha: pieces of the lines that are replaced */
    ds_buf hits, rows; /* hit; uint64_t */
    ds_buf lines;      /* of the overlay */
    ds_buf pages;      /* pagehit */
    ds_buf names;      /* keys found, varint length and bytes: to know sources by */
    touched *versions;
    size_t nversions;
    /* the version at hand */
    ds_verside side;
    ds_sha schema;
} forget;

/* ---- which records ---- */

typedef struct look {
    ds_blocklook look;
    ds_hasher *hasher;
    ds_buf rows; /* uint64_t */
    ds_buf keys; /* of them: varint length, bytes */
} look;

typedef struct search {
    forget *f;
    long field; /* its column; -1: by key */
    int64_t number;
    size_t next;
} search;

/* The record's key, as dsprep cat prints it. hex: 33 bytes. */
static int key_of(const ds_recblock *rec, ds_hasher *h, char *hex, const void **p, size_t *len,
                  ds_err *err)
{
    const ds_schema *s = &rec->side->schema;
    if (s->explicit_key) {
        *p = rec->values[0].p;
        *len = rec->values[0].len;
        return 0;
    }
    *p = hex;
    *len = 32;
    return ds_key_derive(hex, h, s, rec->views, rec->values, err);
}

static bool has_value(const search *q, const ds_value *x, enum ds_type type)
{
    if (x->null)
        return false;
    if (type == DS_I64 || type == DS_BOOL)
        return x->i == q->number;
    return x->len == strlen(q->f->o->value) && memcmp(x->p, q->f->o->value, x->len) == 0;
}

static int look_through(void *ctx, ds_blocklook *l)
{
    const search *q = ctx;
    look *k = (look *)l;
    const ds_schema *s = &l->side->schema;
    int rc = k->hasher ? 0 : ds_hasher_new(&k->hasher, &l->err);
    ds_buf_reset(&k->rows);
    ds_buf_reset(&k->keys);
    for (uint64_t row = 0; !rc && ds_recblock_next(&l->rec); row++) {
        char hex[33];
        const void *p;
        size_t len;
        ds_sha sum;
        if (q->field >= 0 && !has_value(q, &l->rec.values[q->field], s->cols[q->field].type))
            continue;
        rc = key_of(&l->rec, k->hasher, hex, &p, &len, &l->err);
        if (!rc && q->field < 0) {
            rc = ds_sha_bytes(&sum, p, len, &l->err);
            if (rc || !ds_shaset_has(&q->f->keys, &sum))
                continue;
        }
        if (!rc && (ds_buf_put(&k->rows, &row, sizeof row) || ds_buf_varint(&k->keys, len) ||
                    ds_buf_put(&k->keys, p, len)))
            rc = ds_fail_nomem(&l->err);
    }
    return rc;
}

static bool next_block(void *ctx, ds_blocklook *l)
{
    search *q = ctx;
    if (q->next == q->f->side.n)
        return false;
    l->side = &q->f->side;
    l->block = q->next++;
    return true;
}

static int take_keys(forget *f, const ds_buf *keys, ds_err *err)
{
    for (size_t pos = 0; pos < keys->len;) {
        const size_t from = pos;
        uint64_t len = 0;
        bool fresh = false;
        ds_sha sum;
        if (!ds_varint_get(keys->data, keys->len, &pos, &len))
            return ds_fail(err, DS_FAIL, "a key was not kept whole");
        int rc = ds_sha_bytes(&sum, keys->data + pos, (size_t)len, err);
        rc = rc ? rc : ds_shaset_add(&f->erased, &sum, &fresh, err);
        pos += (size_t)len;
        if (!rc && fresh && ds_buf_put(&f->names, keys->data + from, pos - from))
            rc = ds_fail_nomem(err);
        if (rc)
            return rc;
    }
    return 0;
}

static int take_look(void *ctx, ds_blocklook *l, ds_err *err)
{
    const search *q = ctx;
    forget *f = q->f;
    const look *k = (const look *)l;
    if (!k->rows.len)
        return 0;
    const hit h = {.was = f->side.was[l->block],
                   .row = f->rows.len / sizeof(uint64_t),
                   .n = k->rows.len / sizeof(uint64_t)};
    const ds_manline *line = &f->side.lines[l->block];
    /* The origin chunk stays. */
    const size_t n =
        line->pieces.len / sizeof(ds_sha) - ds_manline_npieces(line, line->nchunks - 1);
    if (ds_buf_put(&f->rows, k->rows.data, k->rows.len) || ds_buf_put(&f->hits, &h, sizeof h) ||
        ds_buf_put(&f->avoid, line->pieces.data, n * sizeof(ds_sha)))
        return ds_fail_nomem(err);
    return take_keys(f, &k->keys, err);
}

static void look_fini(ds_blocklook *l)
{
    look *k = (look *)l;
    ds_hasher_free(k->hasher);
    ds_buf_fini(&k->rows);
    ds_buf_fini(&k->keys);
}

/* The column of --where in this version: its number, -1 when it has none such, < -1 error. */
static long field_of(search *q, ds_err *err)
{
    const ds_schema *s = &q->f->side.schema;
    const ds_forget_opts *o = q->f->o;
    const long i = ds_schema_find(s, o->field);
    if (i < 0)
        return -1;
    switch (s->cols[i].type) {
    case DS_UTF8:
    case DS_BYTES:
    case DS_JSON:
        return i;
    case DS_BOOL:
        q->number = strcmp(o->value, "true") == 0;
        if (!q->number && strcmp(o->value, "false") != 0)
            return ds_fail(err, DS_USAGE, "--where %s: true or false is wanted", o->field);
        return i;
    case DS_I64: {
        char *end;
        errno = 0;
        q->number = strtoll(o->value, &end, 10);
        if (errno || !*o->value || *end)
            return ds_fail(err, DS_USAGE, "--where %s: a number is wanted", o->field);
        return i;
    }
    default:
        return ds_fail(err, DS_USAGE, "--where %s: a column of texts or whole numbers is wanted",
                       o->field);
    }
}

/* Looks through the blocks of the version at hand. */
static int search_side(forget *f, ds_err *err)
{
    bool only[256] = {false};
    search q = {.f = f, .field = -1};
    const ds_schema *s = &f->side.schema;
    const ds_blockwalk w = {.size = sizeof(look),
                            .only = only,
                            .next = next_block,
                            .work = look_through,
                            .done = take_look,
                            .fini = look_fini,
                            .ctx = &q};
    if (f->o->field) {
        q.field = field_of(&q, err);
        if (q.field < 0)
            return q.field == -1 && !(err && err->code) ? 0 : DS_USAGE;
        only[q.field] = true;
    }
    for (size_t i = 0; i < s->n; i++)
        only[i] |= s->explicit_key ? i == 0 : s->keyed[i];
    return ds_blockwalk_run(&w, f->o->threads, err);
}

/* ---- versions ---- */

/* Files of the manifest that a version of the same schema had were looked through. */
static bool seen_file(void *ctx, const git_oid *file)
{
    const forget *f = ctx;
    git_oid id = *file;
    for (size_t i = 0; i < sizeof id.id; i++)
        id.id[i] ^= f->schema.b[i];
    return ds_oidset_has(&f->files, &id);
}

static int note_files(forget *f, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < f->side.n; i++) {
        git_oid id = f->side.files[i];
        bool fresh;
        for (size_t k = 0; k < sizeof id.id; k++)
            id.id[k] ^= f->schema.b[k];
        rc = ds_oidset_add(&f->files, &id, &fresh, err);
    }
    return rc;
}

static bool meant(const forget *f, const ds_version *v)
{
    return *v->dataset && (!f->o->dataset || strcmp(v->dataset, f->o->dataset) == 0);
}

static int find_in(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                   ds_err *err)
{
    forget *f = ctx;
    ds_schema schema;
    if (!v)
        return ds_fail(err, why->code, "nothing was erased, version %s cannot be read: %s",
                       git_oid_tostr_s(id), why->msg);
    if (!meant(f, v))
        return 0;
    ds_schema_init(&schema);
    int rc = ds_version_schema(&schema, f->store->cat, &v->tree, err);
    rc = rc ? rc : ds_schema_digest(&f->schema, &schema, err);
    rc = rc ? rc : ds_verside_open(&f->side, f->store, id, seen_file, f, err);
    ds_schema_fini(&schema);
    if (rc)
        return rc;
    rc = search_side(f, err);
    rc = rc ? rc : note_files(f, err);
    ds_verside_fini(&f->side);
    return rc;
}

static int from_pin(void *ctx, const git_oid *commit, ds_err *err)
{
    forget *f = ctx;
    return ds_history_from(f->store->cat, commit, &f->commits, find_in, f, err);
}

static int by_was(const void *a, const void *b)
{
    return memcmp(((const hit *)a)->was.b, ((const hit *)b)->was.b, sizeof(ds_sha));
}

/* One of each block. */
static void sort_hits(forget *f)
{
    hit *h = (hit *)(void *)f->hits.data;
    size_t n = f->hits.len / sizeof *h, kept = 0;
    if (n)
        qsort(h, n, sizeof *h, by_was);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || by_was(&h[i], &h[kept - 1]) != 0)
            h[kept++] = h[i];
    f->hits.len = kept * sizeof *h;
    if (f->avoid.len)
        qsort(f->avoid.data, f->avoid.len / sizeof(ds_sha), sizeof(ds_sha), by_was);
}

static const hit *hit_of(const forget *f, const ds_sha *was)
{
    const hit key = {.was = *was};
    return f->hits.len ? bsearch(&key, f->hits.data, f->hits.len / sizeof key, sizeof key, by_was)
                       : NULL;
}

static const uint64_t *rows_of(const forget *f, const hit *h)
{
    return (const uint64_t *)(const void *)f->rows.data + h->row;
}

/* ---- sources ---- */

typedef struct census { /* of a version's sources */
    uint64_t *all, *gone;
    size_t n;
} census;

static int count_range(census *c, const ds_range *r, bool gone, ds_err *err)
{
    if (r->source >= c->n) /* one that is not described: the head of a stream */
        return 0;
    (void)err;
    c->all[r->source]++;
    c->gone[r->source] += gone;
    return 0;
}

/* How many records of each source go, and how many it has. */
static int count_sources(const forget *f, const ds_verside *v, census *c, ds_err *err)
{
    ds_origin_state st = {0};
    ds_buf body = {0}, one = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < v->n; i++) {
        const ds_manline *l = &v->lines[i];
        const size_t last = l->nchunks - 1, n = ds_manline_npieces(l, last);
        const hit *h = hit_of(f, &v->was[i]);
        uint64_t rows = 0;
        size_t pos = 0, k = 0;
        rc = ds_objstore_get_all(f->store->objs,
                                 ds_manline_pieces(l) + l->pieces.len / sizeof(ds_sha) - n, n,
                                 &body, err);
        if (!rc && !ds_varint_get(body.data, body.len, &pos, &rows))
            rc = ds_fail(err, DS_CORRUPT, "a block's origins are malformed");
        for (uint64_t row = 0; !rc && row < rows; row++) {
            const bool gone = h && k < h->n && rows_of(f, h)[k] == row;
            k += gone;
            rc = ds_origin_get(body.data, body.len, &pos, &st, &one, err);
            for (size_t r = 0; !rc && r < one.len / sizeof(ds_range); r++)
                rc = count_range(c, (const ds_range *)(const void *)one.data + r, gone, err);
        }
    }
    ds_buf_fini(&body);
    ds_buf_fini(&one);
    return rc;
}

/* The name is a key, or has one between slashes, before a dot, or at its end. */
static bool names_key(const forget *f, const char *name, size_t len)
{
    for (size_t pos = 0; pos < f->names.len;) {
        uint64_t n = 0;
        if (!ds_varint_get(f->names.data, f->names.len, &pos, &n))
            return false;
        const uint8_t *key = f->names.data + pos;
        pos += (size_t)n;
        for (size_t at = 0; n && n <= len && at <= len - n; at++)
            if (memcmp(name + at, key, (size_t)n) == 0 && (at == 0 || name[at - 1] == '/') &&
                (at + n == len || name[at + n] == '/' || name[at + n] == '.'))
                return true;
    }
    return false;
}

static int note_sources(forget *f, const git_oid *tree, const census *c, ds_err *err)
{
    ds_manscan at = {0};
    ds_manline line = {0};
    ds_buf page = {0};
    uint64_t number = 0;
    int rc = ds_manscan_open(&at, f->store->cat, tree, "sources", err);
    while (!rc && (rc = ds_manscan_next(&at, &line, err)) > 0) {
        ds_sha origin;
        pagehit h = {.rows = line.rows, .piece = *ds_manline_pieces(&line)};
        rc = ds_manscan_addr(&at, &line, &h.was, &origin, err);
        rc = rc ? rc : ds_objstore_get(f->store->objs, &h.piece, true, &page, err);
        for (size_t pos = 0; !rc && pos < page.len; number++, h.row++) {
            ds_source src;
            uint64_t blocks;
            rc = ds_page_next(page.data, page.len, &pos, &blocks, &src, err);
            const bool only = number < c->n && c->gone[number] && c->gone[number] == c->all[number];
            if (!rc && (only || names_key(f, src.name, src.len)) &&
                ds_buf_put(&f->pages, &h, sizeof h))
                rc = ds_fail_nomem(err);
        }
    }
    ds_manscan_close(&at);
    ds_manline_fini(&line);
    ds_buf_fini(&page);
    return rc;
}

static int find_sources(forget *f, const ds_verside *v, ds_err *err)
{
    ds_meta m = {0};
    int rc = ds_meta_read(&m, f->store->cat, &v->version.tree, err);
    if (rc || m.sources == 0) {
        ds_meta_fini(&m);
        return rc;
    }
    census c = {.n = (size_t)m.sources};
    c.all = calloc(c.n, sizeof *c.all);
    c.gone = calloc(c.n, sizeof *c.gone);
    rc = c.all && c.gone ? count_sources(f, v, &c, err) : ds_fail_nomem(err);
    rc = rc ? rc : note_sources(f, &v->version.tree, &c, err);
    free(c.all);
    free(c.gone);
    ds_meta_fini(&m);
    return rc;
}

/* ---- which versions ---- */

static int touch(forget *f, const ds_verside *v, ds_err *err)
{
    touched t = {.commit = v->version.id};
    uint64_t first = 0;
    bool bad = false;
    for (size_t i = 0; i < v->n && !bad; first += v->lines[i++].rows) {
        const hit *h = hit_of(f, &v->was[i]);
        for (size_t k = 0; h && k < h->n && !bad; k++) {
            const uint64_t at = first + rows_of(f, h)[k];
            bad = ds_buf_put(&t.ordinals, &at, sizeof at);
        }
    }
    if (!bad && t.ordinals.len) {
        touched *p = realloc(f->versions, (f->nversions + 1) * sizeof *p);
        bad = !p || ds_buf_put(&f->out->touched, &t.commit, sizeof t.commit);
        f->versions = p ? p : f->versions;
        if (!bad) {
            f->versions[f->nversions++] = t;
            f->out->rows += t.ordinals.len / sizeof(uint64_t);
            f->out->versions++;
            return find_sources(f, v, err);
        }
    }
    ds_buf_fini(&t.ordinals);
    return bad ? ds_fail_nomem(err) : 0;
}

static int touch_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                         ds_err *err)
{
    forget *f = ctx;
    ds_verside side = {0};
    (void)why;
    if (!v || !*v->dataset) /* other datasets share blocks */
        return 0;
    int rc = ds_verside_open(&side, f->store, id, NULL, NULL, err);
    rc = rc ? rc : touch(f, &side, err);
    ds_verside_fini(&side);
    return rc ? rc : ds_check_interrupt(err);
}

static int touch_pin(void *ctx, const git_oid *commit, ds_err *err)
{
    forget *f = ctx;
    return ds_history_from(f->store->cat, commit, &f->commits, touch_version, f, err);
}

static int find_all(forget *f, ds_err *err)
{
    int rc = ds_history_more(f->store->cat, &f->commits, find_in, f, err);
    rc = rc ? rc : ds_pin_each(f->store, from_pin, f, err);
    sort_hits(f);
    f->out->records = f->erased.n;
    f->out->blocks = f->hits.len / sizeof(hit);
    if (!rc && !f->hits.len)
        rc = ds_fail(err, DS_FAIL, "no version holds such a record");
    ds_oidset_fini(&f->commits);
    rc = rc ? rc : ds_history_more(f->store->cat, &f->commits, touch_version, f, err);
    return rc ? rc : ds_pin_each(f->store, touch_pin, f, err);
}

static const ds_buf *ordinals_of(void *ctx, const git_oid *version)
{
    const forget *f = ctx;
    for (size_t i = 0; i < f->nversions; i++)
        if (git_oid_equal(&f->versions[i].commit, version))
            return &f->versions[i].ordinals;
    return NULL;
}

/* ---- replacing ---- */

static int put_line(forget *f, const ds_sha *was, ds_manline *line, ds_err *err)
{
    int rc = ds_buf_hex(&f->lines, was->b, sizeof was->b);
    rc = rc ? rc : ds_buf_putc(&f->lines, ' ');
    rc = rc ? rc : ds_manline_text(&f->lines, line);
    ds_manline_fini(line);
    return rc ? ds_fail_nomem(err) : 0;
}

/* Everything put so far is published. */
static int renew_tx(forget *f, ds_err *err)
{
    int rc = f->tx ? ds_objtx_finish(f->tx, NULL, err) : 0;
    f->tx = NULL;
    rc = rc ? rc : ds_objtx_begin(&f->tx, f->store->objs, f->o->threads, err);
    if (!rc)
        ds_objtx_avoid(f->tx, (const ds_sha *)(const void *)f->avoid.data,
                       f->avoid.len / sizeof(ds_sha));
    return rc;
}

static int replace_blocks(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                          ds_err *err)
{
    forget *f = ctx;
    ds_verside side = {0};
    (void)why;
    if (!v || !ordinals_of(f, id))
        return 0;
    int rc = ds_verside_open(&side, f->store, id, NULL, NULL, err);
    for (size_t i = 0; !rc && i < side.n; i++) {
        const hit *h = hit_of(f, &side.was[i]);
        bool fresh = false;
        ds_manline line = {0};
        if (!h)
            continue;
        rc = ds_shaset_add(&f->keys, &h->was, &fresh, err); /* each block once */
        if (rc || !fresh)
            continue;
        rc = ds_tombstone_block(&line, &side, i, rows_of(f, h), h->n, f->salt, f->tx, err);
        rc = rc ? rc : put_line(f, &h->was, &line, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_verside_fini(&side);
    /* The next version's blocks resemble these: they are to be found in the store. */
    return rc ? rc : renew_tx(f, err);
}

static int replace_pin(void *ctx, const git_oid *commit, ds_err *err)
{
    forget *f = ctx;
    return ds_history_from(f->store->cat, commit, &f->commits, replace_blocks, f, err);
}

static int by_page(const void *a, const void *b)
{
    const pagehit *x = a, *y = b;
    const int c = memcmp(x->was.b, y->was.b, sizeof(ds_sha));
    return c ? c : (x->row > y->row) - (x->row < y->row);
}

static int replace_pages(forget *f, ds_err *err)
{
    pagehit *h = (pagehit *)(void *)f->pages.data;
    const size_t n = f->pages.len / sizeof *h;
    ds_buf page = {0}, rows = {0};
    int rc = 0;
    if (n)
        qsort(h, n, sizeof *h, by_page);
    for (size_t i = 0, end; !rc && i < n; i = end) {
        ds_manline line = {0};
        ds_buf_reset(&rows);
        for (end = i; !rc && end < n && ds_sha_eq(&h[end].was, &h[i].was); end++)
            if (end == i || h[end].row != h[end - 1].row)
                rc = ds_buf_put(&rows, &h[end].row, sizeof h->row) ? ds_fail_nomem(err) : 0;
        f->out->sources += rows.len / sizeof(uint64_t);
        rc = rc ? rc : ds_objstore_get(f->store->objs, &h[i].piece, true, &page, err);
        rc = rc ? rc
                : ds_tombstone_page(
                      &line, &page, h[i].rows, (const uint64_t *)(const void *)rows.data,
                      rows.len / sizeof(uint64_t), f->salt, f->store->objs, f->tx, err);
        rc = rc ? rc : put_line(f, &h[i].was, &line, err);
    }
    ds_buf_fini(&page);
    ds_buf_fini(&rows);
    return rc;
}

static int replace_all(forget *f, ds_err *err)
{
    if (getrandom(f->salt, sizeof f->salt, 0) != (ssize_t)sizeof f->salt)
        return ds_fail(err, DS_IO, "no random bytes from the system");
    ds_shaset_fini(&f->keys);
    int rc = renew_tx(f, err);
    ds_oidset_fini(&f->commits);
    rc = rc ? rc : ds_history_more(f->store->cat, &f->commits, replace_blocks, f, err);
    rc = rc ? rc : ds_pin_each(f->store, replace_pin, f, err);
    rc = rc ? rc : replace_pages(f, err);
    if (!rc) {
        rc = ds_objtx_finish(f->tx, NULL, err);
        f->tx = NULL;
    }
    return rc;
}

/* ---- the statement ---- */

static int put_taints(const forget *f, ds_buf *b)
{
    int rc = ds_buf_puts(b, ",\n \"runs\": [");
    for (size_t i = 0; !rc && i < f->out->ntaints; i++) {
        const ds_taint *t = &f->out->taints[i];
        rc = ds_buf_puts(b, i ? ",\n  {\"run\": " : "\n  {\"run\": ");
        rc = rc ? rc : ds_json_str(b, t->run, strlen(t->run));
        rc =
            rc ? rc
               : ds_buf_printf(b, ", \"digest\": \"%s\", \"step\": %" PRIu64 ", \"checkpoints\": [",
                               t->digest, t->step);
        for (size_t k = 0; !rc && k < t->checkpoints.len / sizeof(uint64_t); k++)
            rc = ds_buf_printf(b, "%s%" PRIu64, k ? ", " : "",
                               ((const uint64_t *)(const void *)t->checkpoints.data)[k]);
        rc = rc ? rc : ds_buf_puts(b, "]}");
    }
    return rc ? rc : ds_buf_puts(b, "]");
}

static int put_versions(const forget *f, ds_buf *b)
{
    int rc = ds_buf_puts(b, ",\n \"versions\": [");
    for (size_t i = 0; !rc && i < f->nversions; i++)
        rc = ds_buf_printf(b, "%s\n  {\"commit\": \"%s\", \"records\": %zu}", i ? "," : "",
                           git_oid_tostr_s(&f->versions[i].commit),
                           f->versions[i].ordinals.len / sizeof(uint64_t));
    return rc ? rc : ds_buf_puts(b, "]");
}

static int make_statement(const forget *f, ds_buf *b, const char *actor, const char *date,
                          ds_err *err)
{
    ds_sha sum;
    char hex[65];
    int rc = ds_sha_bytes(&sum, f->lines.data, f->lines.len, err);
    if (rc)
        return rc;
    ds_sha_hex(hex, &sum);
    rc = ds_buf_puts(b, "{\"type\": \"dsver.erasure\", \"format\": 1,\n \"actor\": ");
    rc = rc ? rc : ds_json_str(b, actor, strlen(actor));
    rc = rc ? rc : ds_buf_puts(b, ",\n \"reason\": ");
    rc = rc ? rc : ds_json_str(b, f->o->reason, strlen(f->o->reason));
    rc = rc ? rc
            : ds_buf_printf(b,
                            ",\n \"date\": \"%s\",\n \"records\": %" PRIu64 ", \"rows\": %" PRIu64
                            ", \"blocks\": %" PRIu64 ", \"sources\": %" PRIu64
                            ",\n \"overlay\": \"sha256:%s\"",
                            date, f->out->records, f->out->rows, f->out->blocks, f->out->sources,
                            hex);
    rc = rc ? rc : put_versions(f, b);
    rc = rc ? rc : put_taints(f, b);
    rc = rc ? rc : ds_buf_puts(b, "}\n");
    return rc ? ds_fail_nomem(err) : ds_sha_bytes(&f->out->statement, b->data, b->len, err);
}

static int publish(forget *f, ds_err *err)
{
    ds_person who = {0};
    ds_signer *signer = NULL;
    ds_buf text = {0}, message = {0}, gone = {0};
    char date[32], *actor = NULL;
    const int64_t now = (int64_t)time(NULL);
    ds_date_text(date, now);
    int rc = ds_person_find(&who, f->store->dir, f->o->author, err);
    rc = rc ? rc : ds_person_text(&actor, &who, err);
    rc = rc ? rc : ds_signer_find(&signer, f->store->dir, f->o->sign, false, actor, err);
    if (!rc && (ds_buf_printf(&message, "erased %" PRIu64 " record%s\n\n%s", f->out->records,
                              f->out->records == 1 ? "" : "s", f->o->reason) ||
                !ds_buf_cstr(&message)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : make_statement(f, &text, actor, date, err);
    const ds_note_new by = {.message = (const char *)message.data,
                            .name = (const char *)who.name.data,
                            .mail = (const char *)who.mail.data,
                            .time = now,
                            .signer = signer};
    const ds_erasure e = {.lines = &f->lines, .gone = &gone, .statement = &text};
    const pagehit *pages = (const pagehit *)(const void *)f->pages.data;
    bool bad = ds_buf_put(&gone, f->avoid.data, f->avoid.len) != 0;
    for (size_t i = 0; i < f->pages.len / sizeof *pages; i++)
        bad = bad || ds_buf_put(&gone, &pages[i].piece, sizeof pages[i].piece);
    rc = !rc && bad ? ds_fail_nomem(err) : rc;
    rc = rc ? rc : ds_overlay_publish(f->store->cat, &e, &by, err);
    ds_signer_free(signer);
    ds_person_fini(&who);
    ds_buf_fini(&text);
    ds_buf_fini(&message);
    ds_buf_fini(&gone);
    free(actor);
    return rc;
}

/* ---- the whole ---- */

static int read_keys(forget *f, ds_err *err)
{
    const ds_buf *b = f->o->keys;
    int rc = 0;
    for (size_t at = 0; !rc && b && at < b->len;) {
        const size_t len = strlen((const char *)b->data + at);
        ds_sha sum;
        rc = ds_sha_bytes(&sum, b->data + at, len, err);
        rc = rc ? rc : ds_shaset_add(&f->keys, &sum, NULL, err);
        at += len + 1;
    }
    return rc;
}

static void forget_fini(forget *f)
{
    ds_objtx_abort(f->tx);
    ds_shaset_fini(&f->keys);
    ds_shaset_fini(&f->erased);
    ds_oidset_fini(&f->commits);
    ds_oidset_fini(&f->files);
    ds_buf_fini(&f->avoid);
    ds_buf_fini(&f->hits);
    ds_buf_fini(&f->rows);
    ds_buf_fini(&f->lines);
    ds_buf_fini(&f->pages);
    ds_buf_fini(&f->names);
    for (size_t i = 0; i < f->nversions; i++)
        ds_buf_fini(&f->versions[i].ordinals);
    free(f->versions);
}

/* What producers know of files names them, with digests of their contents. */
static int drop_files(const ds_store *s, ds_err *err)
{
    char *path = NULL;
    const int rc = ds_store_path(&path, s->dir, DS_STORE_FILES, err);
    if (!rc)
        ds_remove_tree(path);
    free(path);
    return rc;
}

int ds_forget_run(ds_forgotten *out, ds_store *s, const ds_forget_opts *o, ds_err *err)
{
    forget f = {.store = s, .o = o, .out = out};
    ds_objgc *gc = NULL;
    *out = (ds_forgotten){0};
    int rc = read_keys(&f, err);
    rc = rc ? rc : ds_collect_alone(&gc, s, o->wait, err);
    rc = rc ? rc : find_all(&f, err);
    rc = rc ? rc : ds_taint_find(out, s, ordinals_of, &f, err);
    if (!rc && !o->dry_run) {
        rc = replace_all(&f, err);
        rc = rc ? rc : publish(&f, err);
        rc = rc ? rc : drop_files(s, err);
        rc = rc ? rc : ds_collect_purge(&out->gone, s, gc, o->threads, err);
    }
    forget_fini(&f);
    ds_objgc_end(gc);
    return rc;
}

void ds_forgotten_fini(ds_forgotten *f)
{
    for (size_t i = 0; i < f->ntaints; i++) {
        free(f->taints[i].run);
        free(f->taints[i].digest);
        ds_buf_fini(&f->taints[i].checkpoints);
    }
    free(f->taints);
    ds_buf_fini(&f->touched);
    *f = (ds_forgotten){0};
}
