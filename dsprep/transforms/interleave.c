/* interleave.c - see interleave.h. */
#include "interleave.h"

#include <string.h>

#include "buf.h"
#include "hash.h"

__extension__ typedef unsigned __int128 wide; /* amounts times weights */

static bool behind(const ds_lane *a, const ds_lane *b)
{
    return (wide)a->taken * b->weight < (wide)b->taken * a->weight;
}

static int draw(ds_interleave *m, uint64_t *h, ds_err *err)
{
    ds_buf b = {0};
    ds_sha sha;
    uint8_t no[8];
    ds_set_big(no, m->draws++);
    int rc = ds_buf_put(&b, m->seed, strlen(m->seed) + 1) || ds_buf_put(&b, "mix", 4) ||
                     ds_buf_put(&b, no, sizeof no)
                 ? ds_fail_nomem(err)
                 : ds_sha_bytes(&sha, b.data, b.len, err);
    *h = rc ? 0 : ds_get_big(sha.b);
    ds_buf_fini(&b);
    return rc;
}

int ds_interleave_next(ds_interleave *m, size_t *lane, ds_err *err)
{
    uint64_t sum = 0, at = 0;
    size_t best = m->n;
    for (size_t i = 0; i < m->n; i++) {
        if (m->lanes[i].out)
            continue;
        sum += m->lanes[i].weight;
        if (best == m->n || (!m->seed && behind(&m->lanes[i], &m->lanes[best])))
            best = i;
    }
    *lane = best;
    if (!m->seed || best == m->n)
        return 0;
    int rc = draw(m, &at, err);
    at = (uint64_t)((wide)at * sum >> 64);
    for (size_t i = best; rc == 0 && i < m->n; i++) {
        if (m->lanes[i].out)
            continue;
        *lane = i;
        if (at < m->lanes[i].weight)
            return 0;
        at -= m->lanes[i].weight;
    }
    return rc;
}
