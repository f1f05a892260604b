/* cmd_head.c - dsprep head: the first records of a DSR stream as JSON lines. */
#include <string.h>
#include <unistd.h>

#include "instream.h"
#include "jsonrow.h"
#include "opt.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_head;
const ds_command ds_cmd_head = {
    .prog = "dsprep",
    .name = "head",
    .summary = "show the first records as JSON lines",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep head -n 3 shards/",
    .description = "Prints like dsprep cat, and stops after N records. It reads no further than it "
                   "must: what follows is not "
                   "looked at, so that head says nothing about whether the stream is whole (dsprep "
                   "check does). In a pipe the "
                   "producer is ended by SIGPIPE, which is as usual.",
    .run = run,
};

static int head_flush(void *ctx, ds_buf *text, ds_err *err)
{
    ds_out *out = ctx;
    int rc = ds_out_put(out, text->data, text->len, err);
    ds_buf_reset(text);
    return rc;
}

static int head(ds_instream *in, const ds_jsonform *f, ds_jsonrow *row, uint64_t left, ds_err *err)
{
    ds_origin_state origin = {0}, from;
    uint64_t base = 0, lowest, highest;
    while (left) {
        enum ds_event ev;
        int rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = ds_instream_next(in, &ev, err);
        if (rc)
            return rc;
        if (ev == DS_EV_BLOCK) {
            const ds_block *b = ds_reader_block(ds_instream_reader(in));
            const ds_chunk *o = &b->chunks[b->nchunks - 1];
            from = origin;
            rc = ds_origin_scan(o->body, o->body_len, b->rows, &origin, &lowest, &highest, err);
            if (rc == 0)
                rc = ds_jsonrow_block(row, f, b, &from, base, left, err);
            if (rc == DS_CORRUPT && b->path && strncmp(err->msg, b->path, strlen(b->path)) != 0)
                ds_err_prefix(err, "%s: block at byte %llu", b->path,
                              (unsigned long long)b->offset);
            if (rc)
                return rc;
            left -= b->rows < left ? b->rows : left;
        } else if (ev == DS_EV_END) {
            if (ds_instream_last(in))
                return 0;
            base += ds_reader_counts(ds_instream_reader(in))->sources;
            origin = (ds_origin_state){0};
        }
    }
    return 0;
}

static int run(int argc, char **argv)
{
    bool data = false, no_key = false, origin = false;
    const char *columns = NULL;
    int64_t count = 10;
    const ds_opt opts[] = {
        OPT_INT('n', "records", count, "N", 0, INT64_MAX, "how many; default 10"),
        OPT_STR('c', "columns", columns, "A,B", "show only these columns (the key is shown too)"),
        OPT_FLAG(0, "data", data, "show tensors with their data in base64"),
        OPT_FLAG(0, "no-key", no_key, "leave out the key"),
        OPT_FLAG(0, "origin", origin, "add where each record came from, as cat does"),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_head, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_out out = {0};
    ds_jsonform form = {0};
    ds_jsonrow row = {.flush = head_flush, .flush_ctx = &out};
    ds_instream *in = NULL;
    ds_sig_setup();
    rc = ds_out_init(&out, STDOUT_FILENO, "standard output", &err);
    if (rc == 0)
        rc = ds_instream_open(&in, operands, n, &err);
    if (rc == 0)
        rc = ds_jsonform_init(&form, ds_instream_schema(in), columns, !no_key, data, origin, &err);
    if (rc == 0)
        rc = head(in, &form, &row, (uint64_t)count, &err);
    if (row.out.len)
        (void)head_flush(&out, &row.out, &err); /* errors stand in err */
    (void)ds_out_flush(&out, &err);
    ds_jsonrow_fini(&row);
    if (form.schema)
        ds_jsonform_fini(&form);
    ds_instream_free(in);
    ds_out_fini(&out);
    return ds_command_end(&ds_cmd_head, &err, false);
}
