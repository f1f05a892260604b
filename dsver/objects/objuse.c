/* objuse.c - see objuse.h. */
#include "objuse.h"

#include <stdlib.h>
#include <string.h>

#include "objcore.h"

enum { NOBODY = 0, SEVERAL = UINT16_MAX };

struct ds_objuse {
    ds_objstore *s;
    uint16_t user; /* from 1 */
    uint16_t *of;  /* by row: a user, NOBODY or SEVERAL */
    uint8_t *mine; /* by row, a bit each: this user has it */
    uint32_t *size;
    size_t rows;
    ds_buf left; /* ds_sha: bases that are to be noted */
};

static void *zeroed_from(void *p, size_t from, size_t to)
{
    char *q = realloc(p, to);
    if (q)
        memset(q + from, 0, to - from);
    return q;
}

static int grow(ds_objuse *u, size_t rows, ds_err *err)
{
    const size_t was = u->rows, bits = rows / 8 + 1;
    uint16_t *of = zeroed_from(u->of, was * sizeof *of, rows * sizeof *of);
    u->of = of ? of : u->of;
    uint32_t *size = of ? zeroed_from(u->size, was * sizeof *size, rows * sizeof *size) : NULL;
    u->size = size ? size : u->size;
    uint8_t *mine = size ? zeroed_from(u->mine, was ? was / 8 + 1 : 0, bits) : NULL;
    if (!mine)
        return ds_fail_nomem(err);
    u->mine = mine;
    u->rows = rows;
    return 0;
}

int ds_objuse_new(ds_objuse **out, ds_objstore *s, ds_err *err)
{
    ds_objuse *u = calloc(1, sizeof *u);
    int64_t last = 0;
    *out = u;
    if (!u)
        return ds_fail_nomem(err);
    u->s = s;
    u->user = 1;
    int rc = ds_objindex_last_row(s->ix, &last, err);
    return rc ? rc : grow(u, (size_t)last + 1, err);
}

int ds_objuse_next(ds_objuse *u, ds_err *err)
{
    if (u->user == SEVERAL - 1)
        return ds_fail(err, DS_FAIL, "more than %d users of pieces", SEVERAL - 1);
    u->user++;
    memset(u->mine, 0, u->rows / 8 + 1);
    return 0;
}

/* Its bases are left to be noted, when it is new to this user. */
static int note_one(ds_objuse *u, const ds_sha *id, uint64_t *bytes, ds_err *err)
{
    ds_objloc loc;
    int rc = ds_objindex_find(u->s->ix, id, &loc, err);
    if (rc <= 0)
        return rc;
    const size_t row = (size_t)loc.row;
    if (row >= u->rows && (rc = grow(u, row + row / 8 + 1, err)))
        return rc;
    if (u->mine[row / 8] >> row % 8 & 1)
        return 1;
    u->mine[row / 8] |= (uint8_t)(1u << row % 8);
    u->of[row] = u->of[row] == NOBODY ? u->user : SEVERAL;
    u->size[row] = loc.size;
    *bytes += loc.size;
    return ds_buf_put(&u->left, loc.bases.id, loc.bases.n * sizeof *id) ? ds_fail_nomem(err) : 1;
}

int ds_objuse_note(ds_objuse *u, const ds_sha *id, uint64_t *bytes, ds_err *err)
{
    const int known = note_one(u, id, bytes, err);
    int rc = known;
    while (rc >= 0 && u->left.len) {
        ds_sha base;
        u->left.len -= sizeof base;
        memcpy(&base, u->left.data + u->left.len, sizeof base);
        rc = note_one(u, &base, bytes, err);
    }
    return rc < 0 ? rc : known;
}

typedef struct idling {
    const ds_objuse *u;
    uint64_t bytes;
} idling;

static int on_piece(void *ctx, const ds_objloc *loc)
{
    idling *k = ctx;
    const size_t row = (size_t)loc->row;
    if (row >= k->u->rows || k->u->of[row] == NOBODY)
        k->bytes += loc->size;
    return 0;
}

int ds_objuse_sum(ds_objuse *u, uint64_t *alone, size_t n, uint64_t *idle, ds_err *err)
{
    idling k = {.u = u};
    memset(alone, 0, n * sizeof *alone);
    for (size_t row = 0; row < u->rows; row++)
        if (u->of[row] != NOBODY && u->of[row] <= n)
            alone[u->of[row] - 1] += u->size[row];
    const int rc = ds_objindex_pieces(u->s->ix, 0, on_piece, &k, err);
    *idle = k.bytes;
    return rc;
}

void ds_objuse_free(ds_objuse *u)
{
    if (!u)
        return;
    free(u->of);
    free(u->mine);
    free(u->size);
    ds_buf_fini(&u->left);
    free(u);
}
