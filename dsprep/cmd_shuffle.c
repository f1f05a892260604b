/* cmd_shuffle.c - dsprep shuffle: records in an order that a seed and their keys decide. */
#include <string.h>

#include "cmd_transform.h"
#include "reorder.h"
#include "sig.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_cmd_shuffle;
const ds_command ds_cmd_shuffle = {
    .prog = "dsprep",
    .name = "shuffle",
    .summary = "put records in a random order that a seed decides",
    .operands = "[FILE...]",
    .min_operands = 0,
    .max_operands = -1,
    .example = "dsver cat corpus | dsprep shuffle --seed 7 | dsprep export --format mds -o mds/\n"
               "dsprep shuffle a.dsr | dsprep head -n 100",
    .description =
        "Reads a DSR stream (from FILEs, which are the shards of one stream, or standard "
        "input) to its end and writes its records in the order of SHA-256(seed, NUL, "
        "\"shuffle\", NUL, key). So the order follows from the seed and the keys, not from the "
        "order of the input: the same records in another order, or from other shards, come out "
        "the same. Records with equal keys, which derived keys allow, stay in the order of the "
        "input.\n\n"
        "Meanwhile the records are kept in an unnamed file in $TMPDIR, of about the size of "
        "the uncompressed stream, which is mapped and read in the new order; what they are "
        "sorted by, 32 bytes a record, takes --memory and then more room there. Blocks are cut "
        "anew. Origins, sources and counts of what was held before are kept. Output is the "
        "same for any number of threads and any --memory.\n\n"
        "Training does not need this: dstrain draws the order of each epoch itself.",
    .run = run,
};

enum { DRAW = 16 }; /* of the digest: the first half */

typedef struct args {
    ds_rowopts row;
    const char *seed;
    int64_t memory;
} args;

typedef struct shuffle {
    const args *a;
    const ds_schema *schema;
} shuffle;

typedef struct work {
    ds_hasher *hasher;
    ds_buf text;
} work;

static int draw(const void *ctx, void *state, const ds_colview *views, const ds_value *values,
                const ds_range *ranges, size_t nranges, ds_buf *key, ds_err *err)
{
    const shuffle *s = ctx;
    work *w = state;
    char derived[33];
    const uint8_t *of = values[0].p;
    size_t len = values[0].len;
    ds_sha sha;
    int rc = 0;
    (void)ranges, (void)nranges;
    if (!s->schema->explicit_key) {
        rc = w->hasher ? 0 : ds_hasher_new(&w->hasher, err);
        if (rc == 0)
            rc = ds_key_derive(derived, w->hasher, s->schema, views, values, err);
        of = (const uint8_t *)derived;
        len = 32;
    }
    ds_buf_reset(&w->text);
    if (rc == 0 && (ds_buf_put(&w->text, s->a->seed, strlen(s->a->seed) + 1) ||
                    ds_buf_put(&w->text, "shuffle", 8) || ds_buf_put(&w->text, of, len)))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_sha_bytes(&sha, w->text.data, w->text.len, err);
    if (rc == 0 && ds_buf_put(key, sha.b, DRAW))
        rc = ds_fail_nomem(err);
    return rc;
}

static void work_fini(void *state)
{
    work *w = state;
    ds_hasher_free(w->hasher);
    ds_buf_fini(&w->text);
}

static int shuffle_stream(const args *a, char **operands, int n, ds_err *err)
{
    ds_instream *in = NULL;
    uint64_t records;
    json_t *options = json_pack("{s:s}", "seed", a->seed);
    const ds_reorder r = {.tool = "dsprep shuffle",
                          .options = options,
                          .memory = (size_t)a->memory,
                          .state_size = sizeof(work),
                          .key = draw,
                          .fini = work_fini};
    int rc = options ? ds_instream_open(&in, operands, n, err)
                     : ds_fail(err, DS_USAGE, "--seed is not UTF-8");
    if (rc == 0) {
        const shuffle s = {.a = a, .schema = ds_instream_schema(in)};
        rc = ds_reorder_run(&records, in, &r, &s, &a->row, err);
    }
    if (rc == 0)
        ds_transform_say_all(&a->row, r.tool, records);
    ds_instream_free(in);
    json_decref(options);
    return rc;
}

static int run(int argc, char **argv)
{
    args a = {.row = {.level = -1}, .seed = "", .memory = 24 << 20};
    const ds_opt opts[] = {
        OPT_STR(0, "seed", a.seed, "TEXT", "another one gives another order; default none"),
        OPT_SIZE('m', "memory", a.memory, "SIZE", "what sorting may take; default 24M"),
        DSPREP_OUTPUT(a.row.output),
        DS_ROWOPTS_COMMON(a.row),
        OPT_END,
    };
    char **operands;
    int n, rc = ds_opt_begin(&ds_cmd_shuffle, opts, argc, argv, &operands, &n);
    if (rc >= 0)
        return rc;
    ds_err err = {0};
    ds_transform_begin(&a.row);
    (void)shuffle_stream(&a, operands, n, &err);
    return ds_transform_end(&ds_cmd_shuffle, &a.row, &err, false);
}
