/* tok_stream.c - a text that comes in pieces, to ids.
 *
 * Text is kept until a place is known where the encoding may be cut, whatever comes next.
 */
#include "tok_priv.h"

#include <stdlib.h>
#include <string.h>

struct ds_tok_stream {
    ds_tok_state *st;
    ds_buf held;
    size_t from; /* places of held[] before it were looked at */
    unsigned flags;
    ds_tok_sink sink;
    void *ctx;
    uint64_t consumed;
    bool begun;
};

int ds_tok_stream_new(ds_tok_stream **out, ds_tok_state *st, unsigned flags, ds_tok_sink sink,
                      void *ctx, ds_err *err)
{
    ds_tok_stream *s = calloc(1, sizeof *s);
    *out = s;
    if (s == NULL)
        return ds_fail_nomem(err);
    s->st = st;
    s->flags = flags;
    s->sink = sink;
    s->ctx = ctx;
    return 0;
}

void ds_tok_stream_free(ds_tok_stream *s)
{
    if (s == NULL)
        return;
    ds_buf_fini(&s->held);
    free(s);
}

/* The state may have encoded other texts since the last call. */
static int resume(ds_tok_stream *s, ds_err *err)
{
    ds_tok_state *st = s->st;
    int rc = 0;
    if (!s->begun) {
        rc = ds_tok_begin(st, s->flags, s->sink, s->ctx, err);
        rc = rc ? rc : ds_tok_flush(st);
    } else {
        st->out_n = 0;
        st->flags = s->flags;
        st->sink = s->sink;
        st->ctx = s->ctx;
        st->err = err;
    }
    s->begun = true;
    st->consumed = s->consumed;
    return rc;
}

static int segments(ds_tok_stream *s, bool whole)
{
    size_t at = 0, n;
    int rc = 0;
    while (rc == 0 && at < s->held.len &&
           (n = ds_tok_segment_end(s->st, s->held.data + at, s->held.len - at, &s->from, whole)) >
               0) {
        rc = ds_tok_segment(s->st, s->held.data + at, n);
        at += n;
        s->from = 0;
    }
    s->consumed = s->st->consumed;
    s->held.len -= at;
    if (at > 0)
        memmove(s->held.data, s->held.data + at, s->held.len);
    return rc;
}

int ds_tok_stream_put(ds_tok_stream *s, const void *text, size_t len, ds_err *err)
{
    if (ds_buf_put(&s->held, text, len) != 0)
        return ds_fail_nomem(err);
    if (s->held.len <= s->st->segment)
        return 0;
    int rc = resume(s, err);
    rc = rc ? rc : segments(s, false);
    s->st->err = NULL;
    return rc;
}

int ds_tok_stream_end(ds_tok_stream *s, ds_err *err)
{
    int rc = resume(s, err);
    rc = rc ? rc : segments(s, true);
    rc = rc ? rc : ds_tok_end(s->st);
    ds_tok_give_back(s->st);
    s->st->err = NULL;
    s->held.len = s->from = 0;
    s->consumed = 0;
    s->begun = false;
    return rc;
}
