/* dsr_readframe.c - frames of a stream, one after the other; see dsr_reader_priv.h. */
#include <inttypes.h>
#include <string.h>

#include "dsr_reader_priv.h"
#include "json.h"

int ds_reader_bad(ds_reader *r, int code, const char *why, ds_err *err)
{
    r->failed = true;
    return ds_fail(err, code, "%s: frame %" PRIu64 " at byte %" PRIu64 ": %s", r->in.path,
                   r->seq ? r->seq - 1 : 0, r->at, why);
}

/* Puts the frame's place before a message made further down. */
int ds_reader_within(ds_reader *r, int rc, ds_err *err)
{
    r->failed = true;
    ds_err_prefix(err, "%s: frame %" PRIu64 " at byte %" PRIu64, r->in.path,
                  r->seq ? r->seq - 1 : 0, r->at);
    return rc;
}

int ds_reader_cut_off(ds_reader *r, ds_err *err)
{
    uint64_t end = r->in.pos + r->in.len;
    r->failed = true;
    if (r->ended)
        return ds_fail(err, DS_CORRUPT,
                       "%s: the index after the end of the stream is cut off at byte %" PRIu64,
                       r->in.path, end);
    return ds_fail(err, DS_CORRUPT, "%s: ends at byte %" PRIu64 " without its end frame: truncated",
                   r->in.path, end);
}

static bool lengths_ok(const ds_frame *f)
{
    return f->stored >= 1 && f->stored <= f->raw && f->raw <= DS_FRAME_MAX;
}

static bool is_known(uint8_t type)
{
    return type != 0 && strchr("HVBPRSEAX", type) != NULL;
}

/* What a frame's header may say beside its lengths. */
static int check_header(ds_reader *r, ds_err *err)
{
    const ds_frame *f = &r->f;
    if (f->seq != r->seq - 1)
        return ds_reader_bad(r, DS_CORRUPT, "frames are missing, repeated or out of order", err);
    if (f->type == 'R' && !r->has_store)
        return ds_reader_bad(
            r, DS_CORRUPT,
            "reference frames need a store: what dsprep files --store writes is for dsver "
            "commit, without --append and --every",
            err);
    if (!is_known(f->type))
        return ds_reader_bad(r, DS_CORRUPT, "unknown type of frame", err);
    if (f->codec > 1 || (f->codec == 1 && f->type != 'P'))
        return ds_reader_bad(r, DS_CORRUPT, "unknown codec", err);
    if (f->codec == 0 ? f->stored != f->raw : f->stored >= f->raw)
        return ds_reader_bad(r, DS_CORRUPT, "stored and raw length do not fit the codec", err);
    if (f->type != 'P' && f->type != 'R' && f->column != 0)
        return ds_reader_bad(r, DS_CORRUPT, "a column number where none belongs", err);
    return 0;
}

static int fail_abort(ds_reader *r, ds_err *err)
{
    json_t *v = NULL;
    ds_buf again = {0};
    int rc = ds_json_parse(&v, r->payload, r->f.raw, "abort frame", NULL);
    const char *reason = json_string_value(json_object_get(v, "abort"));
    if (!rc && (!reason || ds_json_dump(&again, v, NULL) || again.len != r->f.raw ||
                memcmp(again.data, r->payload, again.len) != 0 || json_object_size(v) != 1))
        rc = DS_CORRUPT;
    r->failed = true;
    if (rc)
        rc = ds_reader_bad(r, DS_CORRUPT, "bad abort frame", err);
    else
        rc = ds_fail(err, DS_FAIL, "%s: its producer failed: %s", r->in.path, reason);
    json_decref(v);
    ds_buf_fini(&again);
    return rc;
}

/* The payload of the frame whose header was peeked at: lent until the next call. */
static int lend_payload(ds_reader *r, ds_x128 *sum, ds_err *err)
{
    const size_t all = DS_FRAME_HEAD + (size_t)r->f.stored;
    const uint8_t *p;
    size_t got;
    int rc = ds_in_peek(&r->in, all, &p, &got, err);
    if (rc)
        return rc;
    if (got < all)
        return ds_reader_cut_off(r, err);
    *sum = ds_frame_sum(r->sum, p, p + DS_FRAME_HEAD, r->f.stored, NULL, 0);
    r->payload = p + DS_FRAME_HEAD;
    r->hold = all;
    return 0;
}

/* The same into a buffer, most of it without a copy. */
static int take_payload(ds_reader *r, const uint8_t head[DS_FRAME_HEAD], ds_buf *into, ds_x128 *sum,
                        ds_err *err)
{
    size_t got;
    ds_buf_reset(into);
    if (ds_buf_reserve(into, r->f.stored))
        return ds_fail_nomem(err);
    ds_in_skip(&r->in, DS_FRAME_HEAD);
    int rc = ds_in_take(&r->in, into->data, r->f.stored, &got, err);
    if (rc)
        return rc;
    if (got < r->f.stored)
        return ds_reader_cut_off(r, err);
    into->len = got;
    *sum = ds_frame_sum(r->sum, head, into->data, got, NULL, 0);
    r->payload = into->data;
    return 0;
}

int ds_reader_frame(ds_reader *r, ds_buf *into, ds_err *err)
{
    uint8_t head[DS_FRAME_HEAD];
    const uint8_t *p;
    size_t got;
    ds_x128 sum;
    ds_in_skip(&r->in, r->hold);
    r->hold = 0;
    r->at = r->in.pos;
    int rc = ds_in_peek(&r->in, DS_FRAME_HEAD, &p, &got, err);
    if (rc)
        return rc;
    if (got < DS_FRAME_HEAD)
        return ds_reader_cut_off(r, err);
    r->seq++;
    memcpy(head, p, sizeof head);
    ds_frame_decode(&r->f, head);
    if (!lengths_ok(&r->f))
        return ds_reader_bad(r, DS_CORRUPT, "impossible length", err);
    rc = into && r->f.type == 'P' && r->f.codec == 0 ? take_payload(r, head, into, &sum, err)
                                                     : lend_payload(r, &sum, err);
    if (rc)
        return rc;
    if (memcmp(sum.b, head + 16, sizeof sum.b) != 0)
        return ds_reader_bad(r, DS_CORRUPT, "checksum does not match", err);
    rc = check_header(r, err);
    if (!rc && r->f.type == 'A' && r->seq > 2 && !r->ended)
        rc = fail_abort(r, err);
    if (!rc && r->f.type != 'E')
        ds_xxh3_128_put(r->sums, sum.b, sizeof sum.b);
    return rc;
}

int ds_reader_want(ds_reader *r, uint8_t type, const char *what, ds_err *err)
{
    int rc = ds_reader_frame(r, NULL, err);
    if (!rc && r->f.type != type)
        rc = ds_reader_bad(r, DS_CORRUPT, what, err);
    return rc;
}
