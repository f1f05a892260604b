/* cmd_seen.c - dsver seen: keys to records, in every version that a run consumed; then one pass
 * over the run's ledger. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "keyread.h"
#include "runname.h"
#include "runrows.h"
#include "runset.h"
#include "sig.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_seen;
const ds_command ds_ver_seen = {
    .prog = "dsver",
    .name = "seen",
    .summary = "which runs consumed a record, and when",
    .operands = "[DATASET] [KEY]",
    .max_operands = 2,
    .example = "dsver seen docs 3f2a9c0d5b7e81f2a4c6e8d0b1f39c57",
    .description =
        "For every registered run whose data holds a record with this key: the steps and rows "
        "that consumed it, which of its tokens, and the first checkpoint that had seen them. "
        "KEY is as dsprep cat prints it; one operand alone is a KEY, and --key-file names "
        "many, a line each. Steps that a run went back from are listed too, as abandoned.\n\n"
        "Where keys are digests of the content, a step that changes the content (redact, map) "
        "gives a record another key: what came from the same place is found by its source, in "
        "the tables origins and lineage of dsver sql. An erased record has no key any more: "
        "which checkpoints consumed it is in the output of dsver forget and in the statement "
        "of the erasure (statements/ in refs/dsver/erased of the catalog). For several keys, "
        "it also says how many of them no run's data holds.\n\n"
        "The exit status is 1 when no run consumed any of them.",
    .run = run,
};

typedef struct key {
    const char *s;
    size_t len;
} key;

/* A record of the run at hand that has one of the keys. */
typedef struct hit {
    uint64_t record; /* numbered through */
    size_t key;
} hit;

/* A version that was looked through, and its part of `found`. */
typedef struct scan {
    git_oid commit;
    size_t from, n;
    bool erased; /* some of its records were */
} scan;

typedef struct seen {
    ds_store store;
    const char *dataset; /* NULL: any */
    bool json;
    uint64_t limit; /* of lines for each record; 0: none */
    ds_buf text;    /* of the key file */
    ds_buf keys;    /* key, sorted */
    ds_buf scans;   /* scan */
    ds_buf found;   /* hit, its record numbered within the version */
    ds_buf hits;    /* hit, sorted; of the run at hand */
    ds_buf shown;   /* uint64_t, one for each hit */
    bool *met;      /* of each key: some run's data holds it */
    ds_buf spans;
    const ds_run_ref *ref;
    const ds_stretch *stretch; /* that is read; NULL: the ledger */
    ds_run_info info;
    ds_runset set;
    uint64_t times, held; /* of all runs: consumed; records that have a key */
    uint64_t absent;      /* datasets that are not in the store */
    uint64_t erased;      /* datasets of runs of which records were erased */
    bool only_count;      /* held, and nothing is said of it */
} seen;

static key *keys_of(const seen *s)
{
    return (key *)(void *)s->keys.data;
}

static hit *hits_of(const seen *s)
{
    return (hit *)(void *)s->hits.data;
}

/* ---- keys ---- */

static int by_key(const void *a, const void *b)
{
    const key *x = a, *y = b;
    const int c = memcmp(x->s, y->s, x->len < y->len ? x->len : y->len);

    return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

static int add_key(void *ctx, const char *p, size_t len, ds_err *err)
{
    seen *s = ctx;
    const key k = {p, len};

    return ds_buf_put(&s->keys, &k, sizeof k) ? ds_fail_nomem(err) : 0;
}

/* Sorted, each once. */
static int read_keys(seen *s, const char *file, const char *one, ds_err *err)
{
    if (one && *one && file)
        return ds_fail(err, DS_USAGE, "a KEY and --key-file exclude each other");
    int rc = one && *one ? add_key(s, one, strlen(one), err) : 0;
    size_t n = 0;

    rc = rc || !file ? rc : verb_key_file(&s->text, file, add_key, s, err);
    if (!rc && !s->keys.len)
        rc = ds_fail(err, DS_USAGE, "no key is given");
    if (rc)
        return rc;
    key *v = keys_of(s);
    const size_t all = s->keys.len / sizeof *v;
    qsort(v, all, sizeof *v, by_key);
    for (size_t i = 0; i < all; i++)
        if (n == 0 || by_key(&v[i], &v[n - 1]) != 0)
            v[n++] = v[i];
    s->keys.len = n * sizeof *v;
    s->met = calloc(n, sizeof *s->met);
    return s->met ? 0 : ds_fail_nomem(err);
}

/* Appends to found all records of a version that have one of the keys. */
static int scan_version(seen *s, const git_oid *commit, ds_err *err)
{
    scan v = {.commit = *commit, .from = s->found.len / sizeof(hit)};
    ds_keyread *k = NULL;
    key at = {0};
    uint64_t record = 0;
    int rc = ds_keyread_open(&k, &s->store, commit, err);

    for (size_t b = 0; !rc && b < ds_keyread_blocks(k); b++) {
        rc = ds_keyread_block(k, b, err);
        while (!rc && (rc = ds_keyread_next(k, &at.s, &at.len, err)) > 0) {
            const key *one = bsearch(&at, s->keys.data, s->keys.len / sizeof at, sizeof at, by_key);
            const hit h = {record++, one ? (size_t)(one - keys_of(s)) : 0};
            rc = one && ds_buf_put(&s->found, &h, sizeof h) ? ds_fail_nomem(err) : 0;
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    v.erased = !rc && ds_keyread_erased(k) > 0;
    ds_keyread_close(k);
    v.n = s->found.len / sizeof(hit) - v.from;
    return rc ? rc : ds_buf_put(&s->scans, &v, sizeof v) ? ds_fail_nomem(err) : 0;
}

/* The records of one of the run's datasets. Runs share versions: each is looked through once. */
static int find_records(seen *s, size_t part, ds_err *err)
{
    const git_oid *commit = &s->set.parts[part].commit;
    const scan *v = NULL;
    int rc = 0;

    for (int again = 0; !rc && !v && again < 2; again++) {
        rc = again ? scan_version(s, commit, err) : 0;
        for (size_t i = 0; !v && i < s->scans.len / sizeof *v; i++) {
            const scan *one = (const scan *)(const void *)s->scans.data + i;
            v = git_oid_equal(&one->commit, commit) ? one : NULL;
        }
    }
    s->erased += v && v->erased;
    for (size_t i = 0; !rc && v && i < v->n; i++) {
        hit h = ((const hit *)(const void *)s->found.data)[v->from + i];
        h.record += s->set.firsts[part];
        s->met[h.key] = true;
        rc = ds_buf_put(&s->hits, &h, sizeof h) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

/* ---- the ledger ---- */

static int by_record(const void *a, const void *b)
{
    const hit *x = a, *y = b;

    return x->record < y->record ? -1 : x->record > y->record;
}

static uint64_t checkpoint_of(const ds_run_info *i, uint64_t step)
{
    for (size_t k = 0; k < i->nsteps; k++)
        if (i->steps[k] >= step)
            return i->steps[k];
    return 0;
}

static void say_span(const seen *s, const hit *h, const ds_ledger_row *r, const ds_span *span)
{
    const size_t d = ds_runset_part_of(&s->set, span->record);
    const key *k = &keys_of(s)[h->key];
    const uint64_t checkpoint = s->stretch ? 0 : checkpoint_of(&s->info, r->step),
                   record = span->record - s->set.firsts[d];

    if (s->json) {
        printf("{\"type\":\"seen\",\"run\":");
        verb_json(stdout, s->info.name);
        printf(",\"digest\":\"%s\",\"dataset\":", s->ref->digest);
        verb_json(stdout, s->set.run->datasets[d].name);
        printf(",\"key\":");
        verb_json_buf(stdout, k->s, k->len);
        printf(",\"record\":%" PRIu64 ",\"step\":%" PRIu64 ",\"row\":%" PRIu64
               ",\"offset\":%" PRIu32 ",\"length\":%" PRIu32 ",\"checkpoint\":",
               record, r->step, r->row, span->offset, span->len);
        if (checkpoint) {
            char name[32];
            ds_checkpoint_name(name, checkpoint);
            printf("\"%s\"", name);
        } else {
            printf("null");
        }
        if (s->stretch)
            printf(",\"abandoned\":{\"stretch\":%" PRIu64 ",\"from\":%" PRIu64 "}",
                   s->stretch->number, s->stretch->from);
        printf("}\n");
        return;
    }
    printf("%s %s  %s record %" PRIu64 "  step %" PRIu64 " row %" PRIu64 " tokens %" PRIu32
           "..%" PRIu64,
           s->info.name, s->ref->digest, s->set.run->datasets[d].name, record, r->step, r->row,
           span->offset, (uint64_t)span->offset + span->len - 1);
    if (checkpoint)
        printf("  first in step-%06" PRIu64, checkpoint);
    if (s->stretch)
        printf("  abandoned after step %" PRIu64, s->stretch->from);
    if (s->keys.len > sizeof(key)) {
        printf("  ");
        verb_text(stdout, k->s, k->len);
    }
    printf("\n");
}

static int on_row(void *ctx, const ds_ledger_row *r, const ds_stretch *stretch, ds_err *err)
{
    seen *s = ctx;

    s->stretch = stretch;
    ds_buf_reset(&s->spans);
    int rc = ds_spans_decode(&s->spans, r->pieces, r->pieces_len, s->set.firsts,
                             s->set.run->ndatasets, err);
    for (size_t i = 0; !rc && i < s->spans.len / sizeof(ds_span); i++) {
        const ds_span *span = (const ds_span *)(const void *)s->spans.data + i;
        const hit want = {.record = span->record};
        const hit *h =
            bsearch(&want, s->hits.data, s->hits.len / sizeof want, sizeof want, by_record);
        if (!h)
            continue;
        uint64_t *shown = (uint64_t *)(void *)s->shown.data + (h - hits_of(s));
        s->times++;
        if (!s->limit || *shown < s->limit)
            say_span(s, h, r, span);
        ++*shown;
    }
    return rc;
}

/* ---- runs ---- */

static int look_into(seen *s, ds_err *err)
{
    const ds_run *r = s->set.run;
    int rc = 0;

    ds_buf_reset(&s->hits);
    ds_buf_reset(&s->shown);
    for (size_t i = 0; !rc && i < r->ndatasets; i++) {
        if (s->dataset && strcmp(r->datasets[i].name, s->dataset) != 0)
            continue;
        if (s->set.parts[i].where == DS_SET_ABSENT) {
            s->absent++;
            if (!s->only_count)
                fprintf(stderr, "dsver seen: run %s: dataset '%s' is not in the store\n",
                        s->info.name, r->datasets[i].name);
        } else {
            rc = find_records(s, i, err);
        }
    }
    const size_t n = s->hits.len / sizeof(hit);
    if (rc || !n)
        return rc;
    s->held += n;
    if (s->only_count)
        return 0;
    const uint64_t zero = 0;
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_buf_put(&s->shown, &zero, sizeof zero) ? ds_fail_nomem(err) : 0;
    qsort(s->hits.data, n, sizeof(hit), by_record);
    return rc ? rc : ds_runrows_each(&s->store, s->ref, &s->info.last, true, on_row, s, err);
}

static int on_run(void *ctx, const ds_run_ref *ref, ds_err *err)
{
    seen *s = ctx;
    int rc = ds_run_info_read(&s->info, &s->store, ref, err);

    s->ref = ref;
    rc = rc ? rc : ds_runset_open(&s->set, &s->store, &s->info.last.run, NULL, 0, err);
    rc = rc ? rc : look_into(s, err);
    if (s->set.run)
        ds_runset_fini(&s->set);
    ds_run_info_fini(&s->info);
    return rc;
}

/* Why nothing was found, as far as it is known: "no" is said of what was looked through alone. */
static int say_none(seen *s, ds_err *err)
{
    const char *named = s->dataset;
    const bool held = s->held > 0, absent = s->absent > 0;
    int rc = 0;
    if (named && !held) {
        s->dataset = NULL;
        s->only_count = true;
        rc = ds_run_each(&s->store, on_run, s, err);
    }
    const char *elsewhere = named && !held && s->held ? named : NULL;
    return rc ? rc
              : ds_fail(err, DS_FAIL, "%s%s%s%s%s",
                        held     ? "the record is in a run's data, but no run has consumed it"
                        : absent ? "not found in the data that is in the store"
                        : named  ? "no run's data of this dataset holds it"
                                 : "no run's data holds it",
                        elsewhere ? "; a run's data of another dataset holds a record of this "
                                    "key: leave out '"
                                  : "",
                        elsewhere ? elsewhere : "", elsewhere ? "'" : "",
                        s->erased ? "; records were erased from runs' data, and what their keys "
                                    "were is not known (the erasures' statements name the "
                                    "checkpoints)"
                                  : "");
}

static void say_unmet(const seen *s)
{
    const size_t n = s->keys.len / sizeof(key);
    size_t unmet = 0;
    for (size_t i = 0; i < n; i++)
        unmet += !s->met[i];
    if (unmet)
        ds_warn("%zu of %zu keys: no run's data holds them", unmet, n);
}

static int look(seen *s, const char *store, const char *file, char **operands, int n, ds_err *err)
{
    const char *one = n == 2 ? operands[1] : n == 1 && !file ? operands[0] : NULL;
    int rc = 0;

    s->dataset = n == 2 || (n == 1 && file) ? operands[0] : NULL;
    if (s->dataset)
        rc = ds_dataset_check(s->dataset, err);
    rc = rc ? rc : read_keys(s, file, one, err);
    rc = rc ? rc : ds_store_open(&s->store, store, DS_OBJ_READ, err);
    rc = rc ? rc : ds_run_each(&s->store, on_run, s, err);
    if (!rc && s->times)
        say_unmet(s);
    return rc || s->times ? rc : say_none(s, err);
}

static int run(int argc, char **argv)
{
    seen s = {0};
    const char *store = NULL, *file = NULL;
    int64_t limit = 0;
    const ds_opt opts[] = {
        OPT_INT('n', "max", limit, "N", 1, INT64_MAX, "at most N lines for each record and run"),
        OPT_STR(0, "key-file", file, "FILE", "keys to look for, one a line; - is standard input"),
        VERB_STORE(store),
        VERB_JSON(s.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_seen, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    s.limit = (uint64_t)limit;
    ds_sig_setup();
    look(&s, store, file, operands, n, &err);
    ds_store_close(&s.store);
    ds_buf_fini(&s.text);
    ds_buf_fini(&s.keys);
    ds_buf_fini(&s.scans);
    ds_buf_fini(&s.found);
    ds_buf_fini(&s.hits);
    ds_buf_fini(&s.shown);
    free(s.met);
    ds_buf_fini(&s.spans);
    status = ds_command_end(&ds_ver_seen, &err, s.json);
    ds_sig_reraise();
    return status;
}
