/* cmd_sort.c - dsprep sort: records in the order of their values. */
#include "cmd_transform.h"
#include "reorder.h"
#include "sig.h"
#include "sortkey.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_sort;
const ds_command ds_cmd_sort = {
    .prog = "dsprep",
    .name = "sort",
    .summary = "put records in the order of their values",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsprep logs /var/log | dsprep sort --by time -o in-order.dsr\n"
               "dsprep sort --by 'len(text) desc' --by key s.dsr | dsprep head\n"
               "dsver cat shuffled | dsprep sort --by origin | dsprep check",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) to its end and writes its records in the order of --by: of a column, a member "
        "of JSON (meta.n) or another expression of dsprep filter; of key, which may be "
        "derived; or of origin, the source and the place in it that a record came from (where "
        "no column has that name). With several --by, each one decides where those before it "
        "are equal. Each may end in ' desc' or ' asc', and --reverse turns all of them round. "
        "Records that are equal stay in the order of the input.\n\n"
        "Texts are compared by bytes, which is by code point; numbers by value, exactly; false "
        "comes before true. Where a member of JSON has several kinds, true and false come "
        "first, then numbers, times and texts. Null comes last, --reverse or not, and so do "
        "NaN, lists and objects. --numeric reads texts as decimal numbers; any other text is "
        "null.\n\n"
        "Meanwhile the records are kept in an unnamed file in $TMPDIR, of about the size of "
        "the uncompressed stream, which is mapped and read in the new order; what they are "
        "sorted by, 32 bytes a record, takes --memory and then more room there, and sort keys "
        "of over 16 bytes go to a file of their own. Blocks are cut anew. Origins, sources and "
        "counts of what was held before are kept. Output is the same for any number of threads "
        "and any --memory.",
    .run = run,
};

typedef struct args {
    ds_rowopts row;
    ds_opt_list by;
    int64_t memory;
    bool numeric, reverse;
} args;

static int key(const void *ctx, void *state, const ds_colview *views, const ds_value *values,
               const ds_range *ranges, size_t nranges, ds_buf *out, ds_err *err)
{
    return ds_sortkey_put(ctx, state, views, values, ranges, nranges, out, err);
}

static void work_fini(void *state)
{
    ds_sortwork_fini(state);
}

static json_t *options_of(const args *a)
{
    json_t *by = json_array();
    for (size_t i = 0; by && i < a->by.n; i++)
        if (json_array_append_new(by, json_string(a->by.v[i]))) {
            json_decref(by);
            return NULL;
        }
    return json_pack("{s:o,s:b,s:b}", "by", by, "numeric", a->numeric, "reverse", a->reverse);
}

static int sort_stream(const args *a, char **operands, int n, ds_err *err)
{
    ds_instream *in = NULL;
    ds_sortkey *k = NULL;
    uint64_t records;
    json_t *options = options_of(a);
    const ds_reorder r = {.tool = "dsprep sort",
                          .options = options,
                          .memory = (size_t)a->memory,
                          .state_size = sizeof(ds_sortwork),
                          .key = key,
                          .fini = work_fini};
    int rc = options ? 0 : ds_fail(err, DS_USAGE, "--by is not UTF-8");
    if (rc == 0)
        rc = ds_instream_open(&in, operands, n, err);
    if (rc == 0)
        rc = ds_sortkey_new(&k, &(ds_colnames){.schema = ds_instream_schema(in), .in = in}, a->by.v,
                            a->by.n, a->numeric, a->reverse, err);
    if (rc == 0)
        rc = ds_reorder_run(&records, in, &r, k, &a->row, err);
    if (rc == 0)
        ds_transform_say_all(&a->row, r.tool, records);
    ds_sortkey_free(k);
    ds_instream_free(in);
    json_decref(options);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.row = {.level = -1}, .memory = 24 << 20};
    const ds_opt opts[] = {
        OPT_LIST('b', "by", a.by, "EXPR",
                 "a column, an expression, key or origin, with ' desc' where the largest comes "
                 "first; may "
                 "be given again"),
        OPT_FLAG(0, "numeric", a.numeric, "read texts as numbers"),
        OPT_FLAG(0, "reverse", a.reverse, "the other way round"),
        OPT_SIZE('m', "memory", a.memory, "SIZE", "what sorting may take; default 24M"),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_sort, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    if (a.by.n == 0)
        (void)ds_fail(&err, DS_USAGE, "--by is needed: a column, key or origin");
    else
        (void)sort_stream(&a, operands, n, &err);
    ds_opt_list_fini(&a.by);
    return ds_transform_end(&ds_cmd_sort, &a.row, &err, false);
}
