/* keyclash.c - see keyclash.h. */
#include "keyclash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dsr_origin.h"
#include "sourcepage.h"

/* A note: u64 rows, u64 number of key pieces, u64 number of origin pieces, the addresses of both.
 */
enum { NOTE_HEAD = 24, KEY_SHOWN = 100, NAME_SHOWN = 200 };

void ds_keyclash_fini(ds_keyclash *k)
{
    ds_spool_fini(&k->blocks);
    ds_spool_fini(&k->pages);
}

static int note(ds_spool *s, const ds_manline *l, size_t last, ds_err *err)
{
    const ds_sha *p = ds_manline_pieces(l);
    size_t nfirst = ds_manline_npieces(l, 0), nlast = last ? ds_manline_npieces(l, last) : 0;
    uint64_t head[3] = {l->rows, nfirst, nlast};
    int rc = ds_spool_put(s, head, sizeof head, err);
    if (!rc)
        rc = ds_spool_put(s, p, nfirst * sizeof *p, err);
    if (!rc && nlast)
        rc = ds_spool_put(s, p + l->pieces.len / sizeof *p - nlast, nlast * sizeof *p, err);
    return rc;
}

int ds_keyclash_block(ds_keyclash *k, const ds_manline *l, ds_err *err)
{
    return note(&k->blocks, l, l->nchunks - 1, err);
}

int ds_keyclash_page(ds_keyclash *k, const ds_manline *l, ds_err *err)
{
    return note(&k->pages, l, 0, err);
}

typedef struct walk {
    const uint8_t *p;
    size_t len, at;
    uint64_t rows;
    const uint8_t *first, *last;
    size_t nfirst, nlast;
} walk;

static bool walk_next(walk *w)
{
    uint64_t head[3];
    if (w->len - w->at < NOTE_HEAD)
        return false;
    memcpy(head, w->p + w->at, sizeof head);
    w->at += sizeof head;
    w->rows = head[0];
    w->nfirst = (size_t)head[1];
    w->nlast = (size_t)head[2];
    w->first = w->p + w->at;
    w->last = w->first + w->nfirst * sizeof(ds_sha);
    w->at += (w->nfirst + w->nlast) * sizeof(ds_sha);
    return true;
}

static int fetch(ds_objtx *tx, const uint8_t *ids, size_t n, ds_buf *out, ds_err *err)
{
    ds_buf piece = {0};
    int rc = 0;
    ds_buf_reset(out);
    for (size_t i = 0; !rc && i < n; i++) {
        ds_sha id;
        memcpy(&id, ids + i * sizeof id, sizeof id);
        rc = ds_objtx_get(tx, &id, &piece, err);
        if (!rc && ds_buf_put(out, piece.data, piece.len))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&piece);
    return rc;
}

typedef struct place {
    uint64_t record;
    bool has_range;
    ds_range range; /* the first */
    char key[KEY_SHOWN + 4];
    char where[NAME_SHOWN + 64];
} place;

static int read_key(place *p, const ds_buf *chunk, const ds_schema *s, uint64_t rows, uint64_t row,
                    ds_err *err)
{
    ds_colview view;
    ds_value v = {0};
    int rc = ds_colview_open(&view, &s->cols[0], chunk->data, chunk->len, rows, err);
    for (uint64_t i = 0; !rc && i <= row; i++)
        ds_colview_next(&view, &v);
    if (!rc)
        snprintf(p->key, sizeof p->key, "%.*s%s", (int)(v.len < KEY_SHOWN ? v.len : KEY_SHOWN),
                 (const char *)v.p, v.len > KEY_SHOWN ? "..." : "");
    return rc;
}

/* Goes through the blocks up to record b: origins are coded relative to those before. */
static int find_places(ds_keyclash *k, ds_objtx *tx, const ds_schema *s, place *a, place *b,
                       ds_err *err)
{
    ds_buf chunk = {0}, ranges = {0};
    ds_origin_state st = {0};
    walk w = {0};
    uint64_t record = 0;
    int rc = ds_spool_view(&k->blocks, &w.p, &w.len, err);
    while (!rc && record <= b->record && walk_next(&w)) {
        place *in[2] = {a, b};
        for (int i = 0; !rc && i < 2; i++) {
            if (in[i]->record < record || in[i]->record - record >= w.rows)
                continue;
            rc = fetch(tx, w.first, w.nfirst, &chunk, err);
            if (!rc)
                rc = read_key(in[i], &chunk, s, w.rows, in[i]->record - record, err);
        }
        uint64_t n;
        size_t pos = 0;
        if (!rc)
            rc = fetch(tx, w.last, w.nlast, &chunk, err);
        if (!rc && !ds_varint_get(chunk.data, chunk.len, &pos, &n))
            rc = ds_fail(err, DS_CORRUPT, "an origin chunk breaks off");
        for (uint64_t row = 0; !rc && row < w.rows; row++, record++) {
            rc = ds_origin_get(chunk.data, chunk.len, &pos, &st, &ranges, err);
            for (int i = 0; !rc && i < 2; i++)
                if (in[i]->record == record && ranges.len >= sizeof(ds_range)) {
                    memcpy(&in[i]->range, ranges.data, sizeof(ds_range));
                    in[i]->has_range = true;
                }
        }
    }
    ds_buf_fini(&chunk);
    ds_buf_fini(&ranges);
    return rc;
}

static int name_source(ds_keyclash *k, ds_objtx *tx, place *p, ds_err *err)
{
    ds_buf page = {0};
    walk w = {0};
    uint64_t first = 0;
    snprintf(p->where, sizeof p->where, "record %" PRIu64, p->record + 1);
    if (!p->has_range)
        return 0;
    int rc = ds_spool_view(&k->pages, &w.p, &w.len, err);
    for (; !rc && walk_next(&w); first += w.rows) {
        if (p->range.source < first || p->range.source - first >= w.rows)
            continue;
        ds_source src = {0};
        size_t pos = 0;
        uint64_t blocks;
        rc = fetch(tx, w.first, w.nfirst, &page, err);
        for (uint64_t i = first; !rc && i <= p->range.source; i++)
            rc = ds_page_next(page.data, page.len, &pos, &blocks, &src, err);
        if (!rc)
            snprintf(p->where, sizeof p->where, "record %" PRIu64 " (%.*s, byte %" PRIu64 ")",
                     p->record + 1, (int)(src.len < NAME_SHOWN ? src.len : NAME_SHOWN),
                     src.name ? src.name : "", p->range.offset);
    }
    ds_buf_fini(&page);
    return rc;
}

int ds_keyclash_fail(ds_keyclash *k, ds_objtx *tx, const ds_schema *s, uint64_t a, uint64_t b,
                     ds_err *err)
{
    place pa = {.record = a}, pb = {.record = b};
    int rc = find_places(k, tx, s, &pa, &pb, err);
    if (!rc)
        rc = name_source(k, tx, &pa, err);
    if (!rc)
        rc = name_source(k, tx, &pb, err);
    return rc ? rc
              : ds_fail(err, DS_FAIL, "the key '%s' is there twice: %s and %s", pa.key, pa.where,
                        pb.where);
}
