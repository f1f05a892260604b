/* ipcread.c - see ipcread.h. */
#include "ipcread.h"

#include <stdio.h>
#include <stdlib.h>

#include "fmtfile.h"
#include "io.h"
#include "ipcmessage.h"
#include "ipcrow.h"
#include "try.h"

#define BATCH_IN_MEMORY ((size_t)16 << 20)
#define DICTIONARIES_IN_MEMORY ((uint64_t)64 << 20)
enum {
    DELTA = 2,             /* field of DictionaryBatch */
    ARRAYS_MOST = 1 << 22, /* of all dictionaries that are held */
    LITTLE = 64 << 10
};

typedef struct reader {
    ds_fmtread o;
    int fd;
    uint64_t size, rows; /* rows: given so far */
    ds_sha sha;
    ds_ipcmessages messages;
    ds_ipcschema schema;
    ds_ipcdictionaries dictionaries;
    ds_ipcbatch batch;
    ds_ipcrow row;
    ds_fval *values;
} reader;

static int bad(const reader *r, uint64_t at, const char *why, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "%s: offset %llu: %s", r->o.name, (unsigned long long)at, why);
}

static int read_schema(reader *r, ds_err *err)
{
    ds_ipcmessage m;
    const char *why;
    int rc = ds_ipcmessages_next(&r->messages, &m, &why, err);

    if (!rc && m.kind != DS_IPC_SCHEMA) {
        why = "it does not begin with a schema";
        rc = 1;
    }
    rc = rc ? rc : ds_ipcschema_parse(&r->schema, &m.flat, m.header, &why);
    return rc == DS_NOMEM ? ds_fail_nomem(err) : rc == 1 ? bad(r, m.at, why, err) : rc;
}

int ds_ipcread_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);

    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    r->fd = -1;
    r->batch.max_ratio = o->max_ratio;
    r->batch.in_memory = BATCH_IN_MEMORY;
    r->row.max_record = o->max_record;
    TRY(ds_fmtfile_open(&r->fd, &r->size, &r->sha, o, err));
    TRY(ds_ipcmessages_init(&r->messages, r->fd, o->name, r->size, err));
    TRY(read_schema(r, err));
    return ds_ipcrow_init(&r->row, &r->schema, &r->dictionaries, o->columns,
                          o->key ? o->key : "key", o->name, err);
}

/* ---- dictionaries ---- */

/* The first node, of columns that are wanted, whose values are numbers of it; 0: none. */
static size_t node_of(const reader *r, int64_t id)
{
    const ds_ipcschema *s = &r->schema;
    size_t top = s->nodes[0].children, next = s->nodes[top].next;

    for (size_t i = 1; i < s->n; i++) {
        if (i == next) { /* a node stands before all that is below it */
            top = i;
            next = s->nodes[i].next;
        }
        if (s->nodes[i].coded && s->nodes[i].dictionary == id && r->row.wanted[top])
            return i;
    }
    return 0;
}

/* NULL: no memory. */
static ds_ipcdictionary *dictionary_of(reader *r, int64_t id, size_t node)
{
    ds_ipcdictionaries *d = &r->dictionaries;
    ds_ipcdictionary *found = ds_ipcdictionary_find(d, id);

    if (found || ds_grow(&d->v, &d->cap, d->n, sizeof *d->v))
        return found;
    found = &d->v[d->n++];
    *found = (ds_ipcdictionary){.id = id, .node = node};
    return found;
}

/* Room for another part of a dictionary: its bytes in memory, 0 when there are too many parts. */
static size_t room(const reader *r)
{
    uint64_t held = 0, parts = 0;

    for (size_t i = 0; i < r->dictionaries.n; i++)
        for (size_t k = 0; k < r->dictionaries.v[i].n; k++, parts++)
            held += ds_spool_len(&r->dictionaries.v[i].parts[k].spool);
    if (parts * r->schema.n > ARRAYS_MOST)
        return 0;
    return held < DICTIONARIES_IN_MEMORY ? BATCH_IN_MEMORY : LITTLE;
}

static int take_dictionary(reader *r, ds_ipcmessage *m, const char **why, ds_err *err)
{
    const int64_t id = ds_flat_int(&m->flat, m->header, 0, 8, 0);
    const size_t data = ds_flat_table(&m->flat, m->header, 1);
    const bool delta = ds_flat_int(&m->flat, m->header, DELTA, 1, 0) != 0;
    const ds_ipcsource from = {r->fd, r->o.name, m->body, m->body_len};
    const size_t node = node_of(r, id);
    const ds_ipcwish wish = {.node = node, .decoded = true, .old = m->old};
    ds_ipcdictionary *d = node ? dictionary_of(r, id, node) : NULL;

    if (!d)
        return node ? ds_fail_nomem(err) : 0;
    if (delta && d->damaged)
        return 0;
    while (!delta && d->n)
        ds_ipcbatch_fini(&d->parts[--d->n]);
    const size_t in_memory = room(r);
    if (!in_memory)
        return ds_fail(err, DS_FAIL, "%s: its dictionaries are in too many parts", r->o.name);
    if (ds_grow(&d->parts, &d->cap, d->n, sizeof *d->parts))
        return ds_fail_nomem(err);
    ds_ipcbatch *b = &d->parts[d->n++];
    *b = (ds_ipcbatch){.max_ratio = r->o.max_ratio, .in_memory = in_memory};
    const int rc = ds_ipcbatch_read(b, &r->schema, &wish, &m->flat, data, &from, why, err);
    if (rc)
        ds_ipcbatch_fini(&d->parts[--d->n]);
    d->damaged = rc != 0;
    return rc;
}

/* ---- batches ---- */

/* Goes on to the next batch: *m says which; of kind END there is none. 1: what stands at m->at
 * cannot be read, *why, and of *rows rows. */
static int next_batch(reader *r, ds_ipcmessage *m, uint64_t *rows, const char **why, ds_err *err)
{
    *rows = 0;
    for (;;) {
        TRY(ds_ipcmessages_next(&r->messages, m, why, err));
        if (m->kind == DS_IPC_END || m->kind == DS_IPC_BATCH)
            break;
        if (m->kind == DS_IPC_DICTIONARY)
            TRY(take_dictionary(r, m, why, err));
        else if (m->at != 0) {
            *why = "a second schema";
            return 1;
        }
    }
    if (m->kind == DS_IPC_END)
        return 0;
    const ds_ipcsource from = {r->fd, r->o.name, m->body, m->body_len};
    const ds_ipcwish wish = {.wanted = r->row.wanted, .old = m->old};
    const int64_t n = ds_flat_int(&m->flat, m->header, 0, 8, 0);
    *rows = n > 0 ? (uint64_t)n : 0;
    return ds_ipcbatch_read(&r->batch, &r->schema, &wish, &m->flat, m->header, &from, why, err);
}

/* Columns are judged by the first batch, where it can be read. */
int ds_ipcread_schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    ds_fmtcolumn *cols = calloc(r->row.n + 1, sizeof *cols);
    ds_ipcmessage m = {.kind = DS_IPC_END};
    const char *why;
    uint64_t rows;
    int rc = cols ? 1 : ds_fail_nomem(err);

    while (rc == 1) {
        rc = next_batch(r, &m, &rows, &why, err);
        if (rc == 1 && m.kind == DS_IPC_END && !ds_ipcmessages_more(&r->messages))
            rc = 0; /* told of when it is read */
    }
    for (size_t i = 0; !rc && i < r->row.n; i++)
        ds_ipcrow_type(&r->row, &r->row.v[i], m.kind == DS_IPC_BATCH ? &r->batch : NULL, &cols[i]);
    rc = rc ? rc : ds_fmtcolumns_schema(s, cols, r->row.n, r->o.key, r->o.name, err);
    free(cols);
    ds_ipcmessages_rewind(&r->messages);
    return rc;
}

static int map_columns(reader *r, const ds_schema *s, ds_err *err)
{
    const size_t n = r->row.n;
    const ds_fmtnamed named = {r->row.v, n, sizeof *r->row.v};
    long *to = calloc(n + 1, sizeof *to);

    r->values = calloc(s->n + 1, sizeof *r->values);
    int rc = to && r->values ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : ds_fmtcolumns_map(to, &named, s, r->o.key, r->o.name, err);
    for (size_t i = 0; i < n && !rc; i++)
        ds_ipcrow_to(&r->row.v[i], s, to[i]);
    free(to);
    return rc;
}

/* ---- records ---- */

static int one_record(reader *r, const ds_fmtsink *sink, uint64_t i, uint64_t at, uint64_t len,
                      ds_err *err)
{
    char text[512];

    for (size_t k = 0; k < sink->schema->n; k++)
        r->values[k] = (ds_fval){.kind = DS_FV_NULL};
    r->row.unfit = NULL;
    for (size_t k = 0; k < r->row.n; k++) {
        ds_ipccolumn *c = &r->row.v[k];
        TRY(ds_ipcrow_value(&r->row, c, i, &r->values[c->to], err));
    }
    if (!r->row.unfit)
        return sink->row(sink->ctx, r->values, at, len, err);
    (void)snprintf(text, sizeof text, "row %llu: %s: %s", (unsigned long long)(r->rows + i),
                   r->row.of->name, r->row.unfit);
    return sink->bad(sink->ctx, "value", at, at, NULL, (size_t)len, false, text, err);
}

/* lost: rows of which the message tells. */
static int damaged(const reader *r, const ds_fmtsink *sink, const ds_ipcmessage *m, uint64_t lost,
                   const char *why, ds_err *err)
{
    char text[512];

    if (lost)
        (void)snprintf(text, sizeof text, "%s; %llu rows from row %llu on are lost", why,
                       (unsigned long long)lost, (unsigned long long)r->rows);
    else if (m->kind == DS_IPC_DICTIONARY)
        (void)snprintf(text, sizeof text, "%s; rows that need its dictionary are lost", why);
    else if (!ds_ipcmessages_more(&r->messages))
        (void)snprintf(text, sizeof text, "%s; all from row %llu on is lost", why,
                       (unsigned long long)r->rows);
    else
        (void)snprintf(text, sizeof text, "%s", why);
    return sink->bad(sink->ctx, "damaged", m->at, m->at, NULL, 0, true, text, err);
}

int ds_ipcread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    ds_ipcmessage m;
    const char *why;
    uint64_t rows;

    TRY(map_columns(r, sink->schema, err));
    r->row.batch = &r->batch;
    for (;;) {
        int rc = next_batch(r, &m, &rows, &why, err);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            TRY(damaged(r, sink, &m, rows, why, err));
            if (m.kind == DS_IPC_END && !ds_ipcmessages_more(&r->messages))
                break; /* where the next begins nobody knows */
        } else if (m.kind == DS_IPC_END) {
            break;
        }
        for (uint64_t i = 0; !rc && i < r->batch.rows; i++)
            TRY(one_record(r, sink, i, m.at, m.body + m.body_len - m.at, err));
        r->rows += rc ? rows : r->batch.rows;
    }
    return sink->source(sink->ctx, r->o.name, r->size, &r->sha, err);
}

void ds_ipcread_close(void *v)
{
    reader *r = v;

    if (!r)
        return;
    ds_ipcrow_fini(&r->row);
    ds_ipcbatch_fini(&r->batch);
    ds_ipcdictionaries_fini(&r->dictionaries);
    ds_ipcschema_fini(&r->schema);
    ds_ipcmessages_fini(&r->messages);
    (void)ds_close(&r->fd, r->o.name, NULL);
    free(r->values);
    free(r);
}
