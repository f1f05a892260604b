/* A piece becomes an object: as a delta where that pays, else whole. */
#include <string.h>

#include "objtx.h"

/* Puts the head before the payload in b and the sum behind it. The payload begins at
 * DS_OBJHEAD_MAX. */
static int seal(ds_txjob *j, ds_buf *b, ds_err *err)
{
    size_t head = ds_objhead_size(&j->head);
    if (ds_buf_reserve(b, DS_OBJSUM))
        return ds_fail_nomem(err);
    j->start = DS_OBJHEAD_MAX - head;
    j->in_alt = b == &j->alt;
    ds_objhead_put(b->data + j->start, &j->head);
    ds_x128 sum = ds_xxh128(b->data + j->start, b->len - j->start);
    memcpy(b->data + b->len, sum.b, DS_OBJSUM);
    b->len += DS_OBJSUM;
    return 0;
}

static int headroom(ds_buf *b, ds_err *err)
{
    ds_buf_reset(b);
    if (ds_buf_reserve(b, DS_OBJHEAD_MAX))
        return ds_fail_nomem(err);
    b->len = DS_OBJHEAD_MAX;
    return 0;
}

/* What the piece would take whole, going by the whole pieces that it is built on. */
static size_t guess_whole(const ds_txjob *j)
{
    uint64_t size = 0, raw = 0;
    for (size_t i = 0; i < j->nunder; i++)
        if (j->under[i].bases.n == 0) {
            size += j->under[i].size;
            raw += j->under[i].raw;
        }
    return raw ? (size_t)(size * j->raw.len / raw) : 0;
}

/* A delta in out. *got: it is worth keeping for sure (1), perhaps (0), or there is none (-1). A
 * base that cannot be read is no reason to fail: the piece is stored whole. */
static int try_delta(ds_txjob *j, ds_objstore *s, ds_codecs *c, int *got, ds_err *err)
{
    ds_prefix prefix = {.len = 0};
    ds_err ignored = {0};
    bool made = false;
    *got = -1;
    int rc = ds_objcore_prefix(s, c, j->under, j->nunder, &j->bases, &prefix, &ignored);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc != 1)
        return 0;
    rc = headroom(&j->out, err);
    if (rc == 0)
        rc = ds_codec_delta(c->c, j->raw.data, j->raw.len, prefix.p, prefix.len, j->row, &j->out,
                            &made, err);
    ds_objcore_prefix_drop(&prefix);
    if (rc == 0 && made)
        *got = j->out.len - DS_OBJHEAD_MAX + j->bases.n * sizeof(ds_sha) < guess_whole(j) / 2;
    return rc;
}

static int encode_with(ds_txjob *j, ds_objstore *s, ds_codecs *c, ds_err *err)
{
    int got = -1;
    int rc = j->bases.n ? try_delta(j, s, c, &got, err) : 0;
    if (rc == 0 && got <= 0)
        rc = headroom(&j->alt, err);
    if (rc == 0 && got <= 0)
        rc = ds_codec_pack(c->c, j->raw.data, j->raw.len, j->word, &j->alt, &j->head, err);
    if (rc)
        return rc;
    size_t delta = j->out.len - DS_OBJHEAD_MAX;
    if (got == 1 ||
        (got == 0 && (delta + j->bases.n * sizeof(ds_sha)) * 10 < (size_t)j->head.stored * 9)) {
        j->head.codec = DS_CODEC_DELTA;
        j->head.filter = 0;
        j->head.stored = (uint32_t)delta;
        j->head.bases = j->bases;
        j->head.chain = j->number;
        return seal(j, &j->out, err);
    }
    return seal(j, &j->alt, err);
}

void ds_txjob_run(void *job, void *ctx)
{
    ds_txjob *j = job;
    ds_objtx *tx = ctx;
    ds_codecs *c = NULL;
    memset(&j->err, 0, sizeof j->err);
    j->rc = ds_objcore_codec(tx->s, &c, &j->err);
    if (j->rc == 0)
        j->rc = encode_with(j, tx->s, c, &j->err);
    ds_objcore_codec_back(tx->s, c);
}
