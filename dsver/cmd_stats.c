/* cmd_stats.c - dsver stats. */
#include "cmd_statsay.h"
#include "cmd_verb.h"
#include "pin.h"
#include "revision.h"
#include "sig.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_stats;
const ds_command ds_ver_stats = {
    .prog = "dsver",
    .name = "stats",
    .summary = "tell what the columns of a version hold: counts, lengths, numbers, values, words",
    .operands = "[DATASET[@REV]]",
    .max_operands = 1,
    .example = "dsver stats docs\ndsver stats --column label docs@v2",
    .description =
        "For each column: nulls, how many different values (an estimate with a standard error "
        "of 3 %; exact below 64), and the distribution of its numbers or else of its lengths: "
        "bytes of texts, tokens, items of lists, positions of runs, bytes of tensors. "
        "Quantiles are off by at most 1/64 of themselves, those of timestamps, which are "
        "counted by days (UTC), by less than a day; the least and the greatest are exact. "
        "Values are counted one by one where a column has at most 1,024 of at most 64 bytes "
        "(128 in a block); of other texts the most frequent words are told, in a block with "
        "much text estimated from a sample of it (4 to 8 KiB, or a 64th where that is more): "
        "letters in lower case, digits as 0. With --column all that is known of one.\n\n"
        "Commits leave these numbers in the store for each block; where they are missing (in a "
        "clone, or for versions that gc forgot) the block is read once and they are kept. "
        "dsver diff --stats compares two versions.",
    .run = run,
};

static int stats_of(const char *store, const char *text, const ds_statread_opts *o, bool json,
                    ds_err *err)
{
    ds_store s = {0};
    ds_revision rev = {0};
    ds_verstats v = {0};
    ds_pin pin = {.gate = -1, .fd = -1};
    int rc = ds_store_open(&s, store, DS_OBJ_READ, err);
    rc = rc ? rc : ds_pin_begin(&pin, &s, err);
    rc = rc ? rc : ds_revision_find(&rev, &s, text, err);
    rc = rc ? rc : ds_pin_set(&pin, &s, &rev.id, err);
    rc = rc ? rc : ds_verstats_read(&v, &s, &rev.id, o, err);
    rc = rc ? rc : statsay_all(&v, o->column, json, err);
    ds_verstats_fini(&v);
    ds_pin_end(&pin);
    ds_revision_fini(&rev);
    ds_store_close(&s);
    return rc;
}

static int run(int argc, char **argv)
{
    bool json = false;
    const char *store = NULL, *column = NULL;
    int64_t threads = 0;
    const ds_opt opts[] = {
        OPT_STR('c', "column", column, "NAME", "all that is known of this column"),
        VERB_THREADS(threads),
        VERB_STORE(store),
        VERB_JSON(json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_stats, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    const ds_statread_opts o = {.column = column, .threads = verb_threads(threads)};
    (void)stats_of(store, n > 0 ? operands[0] : NULL, &o, json, &err);
    status = ds_command_end(&ds_ver_stats, &err, json);
    ds_sig_reraise();
    return status;
}
