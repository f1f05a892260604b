/* cmd_batch.c - dsver batch: what a step of a run was computed from, down to the token ids. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_verb.h"
#include "keyread.h"
#include "runname.h"
#include "runs.h"
#include "runset.h"
#include "sig.h"
#include "plural.h"
#include "strlist.h"

static int run(int argc, char **argv);

extern const ds_command ds_ver_batch;
const ds_command ds_ver_batch = {
    .prog = "dsver",
    .name = "batch",
    .summary = "the exact tokens of a step",
    .operands = "RUN STEP",
    .min_operands = 2,
    .max_operands = 2,
    .example = "dsver batch run 17",
    .description =
        "RUN is a run's folder, one of its checkpoints, or a registered run by its name or the "
        "first digits of its digest. Recomputes the rows of the step from the data in the "
        "store and compares them with the ledger; prints each piece with its dataset, record, "
        "key and token ids. Under a loss mask, tokens that are not targets are printed in "
        "[brackets]; --json has a list `target` of 0 and 1 beside `tokens`.\n\n"
        "The exit status is 1 when the ledger has different rows.",
    .run = run,
};

typedef struct batch {
    ds_store store;
    bool have_store, json;
    ds_lineage lineage;
    ds_segments ledger;
    ds_runset set;
    ds_keyread **keys; /* one for each dataset, when first used */
    uint64_t step;
    /* rows of the step, from the ledger */
    ds_buf rows;   /* row */
    ds_buf pieces; /* of all, one behind the other */
    ds_chain chain;
    uint64_t differ;
} batch;

typedef struct row {
    uint64_t row, targets;
    size_t at, len;
} row;

/* ---- the run ---- */

/* The checkpoint with the fewest steps that has seen the step; *path is freed by the caller. */
static int pick_checkpoint(char **path, const char *dir, uint64_t step, ds_err *err)
{
    uint64_t best = 0, at, most = 0;
    ds_strlist names = {0};
    int rc = ds_strlist_folder(&names, dir, err);

    for (size_t i = 0; !rc && i < names.n; i++) {
        if (!ds_checkpoint_parse_name(names.v[i], &at))
            continue;
        most = at > most ? at : most;
        if (at >= step && (!best || at < best))
            best = at;
    }
    ds_strlist_fini(&names);
    if (!rc && !best)
        rc = ds_fail(err, DS_FAIL,
                     "%s: no checkpoint has seen step %" PRIu64 "; the last is of step %" PRIu64,
                     dir, step, most);
    if (!rc && asprintf(path, "%s/step-%06" PRIu64, dir, best) < 0) {
        *path = NULL;
        rc = ds_fail_nomem(err);
    }
    return rc;
}

static int take_folder(batch *b, const char *dir, ds_err *err)
{
    char *path = NULL, *file = NULL, *ledger = NULL;
    int rc = asprintf(&file, "%s/lineage.json", dir) < 0 ? ds_fail_nomem(err) : 0;

    if (!rc && ds_path_exists(file))
        rc = (path = strdup(dir)) ? 0 : ds_fail_nomem(err);
    else if (!rc)
        rc = pick_checkpoint(&path, dir, b->step, err);
    rc = rc ? rc : ds_lineage_read(&b->lineage, path, err);
    if (!rc && asprintf(&ledger, "%s/ledger", path) < 0) {
        ledger = NULL;
        rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : ds_segments_dir(&b->ledger, ledger, err);
    free(path);
    free(file);
    free(ledger);
    return rc;
}

typedef struct find {
    batch *b;
    const char *what;
    ds_run_ref found;
    int matches;
} find;

static int on_run(void *ctx, const ds_run_ref *r, ds_err *err)
{
    find *f = ctx;
    ds_run_info info = {0};
    const size_t n = strlen(f->what);
    int rc = ds_run_info_read(&info, &f->b->store, r, err);

    if (!rc && (!strcmp(info.name, f->what) || (n >= 4 && !strncmp(r->digest, f->what, n)))) {
        if (f->matches++ == 0) {
            ds_lineage_fini(&f->b->lineage);
            f->b->lineage = info.last;
            info.last = (ds_lineage){0};
            f->found = *r;
        }
    }
    ds_run_info_fini(&info);
    return rc;
}

static int take_registered(batch *b, const char *what, ds_err *err)
{
    find f = {.b = b, .what = what};
    int rc = b->have_store ? ds_run_each(&b->store, on_run, &f, err)
                           : ds_fail(err, DS_NOSTORE,
                                     "'%s' is no folder, and there is no store to look into", what);

    if (!rc && f.matches == 0)
        rc = ds_fail(err, DS_FAIL, "'%s' is neither a folder nor a registered run", what);
    if (!rc && f.matches > 1)
        rc = ds_fail(err, DS_USAGE, "'%s' names %d runs: use more of the digest", what, f.matches);
    return rc ? rc : ds_segments_tree(&b->ledger, b->store.cat, &f.found.tree, err);
}

/* ---- the rows of the ledger ---- */

static int on_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    batch *b = ctx;
    const row w = {r->row, r->targets, b->pieces.len, r->pieces_len};
    int rc = ds_chain_row(&b->chain, r, err);

    if (rc || r->step > b->step)
        return rc ? rc : 1;
    if (r->step == b->step &&
        (ds_buf_put(&b->rows, &w, sizeof w) || ds_buf_put(&b->pieces, r->pieces, r->pieces_len)))
        rc = ds_fail_nomem(err);
    return rc;
}

static int read_rows(batch *b, ds_err *err)
{
    int rc = ds_segments_check(&b->ledger, 0, b->lineage.step, err);

    if (!rc && (b->step < 1 || b->step > b->lineage.step))
        rc =
            ds_fail(err, DS_FAIL, "step %" PRIu64 " is not in the ledger: it ends at step %" PRIu64,
                    b->step, b->lineage.step);
    rc = rc ? rc : ds_chain_begin(&b->chain, &b->lineage.run, err);
    rc =
        rc ? rc : ds_segments_scan(&b->ledger, b->have_store ? b->store.cat : NULL, on_row, b, err);
    rc = rc > 0 ? 0 : rc;
    if (!rc && b->rows.len / sizeof(row) != b->lineage.run.rows)
        rc = ds_fail(err, DS_FAIL, "the ledger has %zu rows of step %" PRIu64 ", not %" PRIu64,
                     b->rows.len / sizeof(row), b->step, b->lineage.run.rows);
    return rc;
}

/* ---- output ---- */

static int key_of(batch *b, size_t d, uint64_t record, const char **key, size_t *len, ds_err *err)
{
    *key = NULL;
    if (b->set.parts[d].where == DS_SET_FILE)
        return 0;
    int rc = b->keys[d] ? 0 : ds_keyread_open(&b->keys[d], &b->store, &b->set.parts[d].commit, err);
    return rc ? rc : ds_keyread_at(b->keys[d], record, key, len, err);
}

/* Under a loss mask: which of them the model learnt to say. As text, the others stand in brackets.
 */
static int say_ids(const batch *b, const ds_span *s, const uint32_t *id, ds_err *err)
{
    const size_t d = ds_runset_part_of(&b->set, s->record);
    const ds_lossmask *m = ds_recfacts_lossmask(&b->set.parts[d].facts);
    uint8_t *target = malloc((size_t)s->len + 1);

    if (!target)
        return ds_fail_nomem(err);
    ds_lossmask_get(m, s->record - b->set.firsts[d], s->offset, s->len, target);
    if (s->len)
        target[0] = 0; /* nothing stands before it */
    for (uint32_t i = 0; b->json && i < s->len; i++)
        printf(i ? ",%" PRIu32 : "%" PRIu32, id[i]);
    for (uint32_t i = 0; !b->json && i < s->len; i++)
        printf(" %s%" PRIu32 "%s", m && !target[i] && (i == 0 || target[i - 1]) ? "[" : "", id[i],
               m && !target[i] && (i + 1 == s->len || target[i + 1]) ? "]" : "");
    if (b->json && m)
        printf("],\"target\":[");
    for (uint32_t i = 0; b->json && m && i < s->len; i++)
        printf(i ? ",%d" : "%d", target[i]);
    printf(b->json ? "]}" : "\n");
    free(target);
    return 0;
}

static int say_piece(batch *b, const ds_span *s, bool first, ds_err *err)
{
    const size_t d = ds_runset_part_of(&b->set, s->record);
    const uint64_t record = s->record - b->set.firsts[d];
    const char *name = b->lineage.run.datasets[d].name, *key;
    size_t len = 0;
    ds_buf ids = {0};
    int rc = ds_runset_tokens(&b->set, d, record, s->offset, s->len, &ids, err);

    rc = rc ? rc : key_of(b, d, record, &key, &len, err);
    if (!rc && b->json) {
        printf("%s{\"dataset\":", first ? "" : ",");
        verb_json(stdout, name);
        printf(",\"record\":%" PRIu64 ",\"key\":", record);
        if (key)
            verb_json_buf(stdout, key, len);
        else
            printf("null");
        printf(",\"offset\":%" PRIu32 ",\"length\":%" PRIu32 ",\"tokens\":[", s->offset, s->len);
    } else if (!rc) {
        printf("  %s record %" PRIu64 " key ", name, record);
        verb_text(stdout, key ? key : "-", key ? len : 1);
        printf(" tokens %" PRIu32 "..%" PRIu64 ":", s->offset, (uint64_t)s->offset + s->len - 1);
    }
    if (!rc)
        rc = say_ids(b, s, (const uint32_t *)(const void *)ids.data, err);
    ds_buf_fini(&ids);
    return rc;
}

/* One row as recomputed, and whether the ledger has the same. */
static int say_row(batch *b, const row *w, const ds_span *spans, size_t n, ds_err *err)
{
    ds_buf want = {0};
    int rc = ds_spans_encode(&want, spans, n, b->set.firsts, b->set.run->ndatasets, err);
    const bool same =
        !rc && want.len == w->len && !memcmp(want.data, b->pieces.data + w->at, w->len);

    ds_buf_fini(&want);
    if (rc)
        return rc;
    b->differ += !same;
    if (b->json)
        printf("{\"type\":\"row\",\"step\":%" PRIu64 ",\"row\":%" PRIu64 ",\"targets\":%" PRIu64
               ",\"agrees\":%s,\"pieces\":[",
               b->step, w->row, w->targets, same ? "true" : "false");
    else
        printf("step %" PRIu64 " row %" PRIu64 " targets %" PRIu64 "%s\n", b->step, w->row,
               w->targets, same ? "" : "  NOT what the ledger has");
    for (size_t i = 0; !rc && i < n; i++)
        rc = say_piece(b, &spans[i], i == 0, err);
    if (b->json)
        printf("]}\n");
    return rc;
}

static int say_rows(batch *b, ds_err *err)
{
    const uint64_t first = (b->step - 1) * b->lineage.run.rows;
    const row *rows = (const row *)(const void *)b->rows.data;
    ds_packing *p = NULL;
    ds_buf lengths = {0};
    int rc = ds_runset_lengths(&b->set, &lengths, err);

    rc =
        rc ? rc
           : ds_run_packing(&p, &b->lineage.run, (const uint32_t *)(const void *)lengths.data, err);
    for (uint64_t at = 0; !rc && at < first + b->lineage.run.rows;) {
        const ds_span *spans;
        size_t n;
        rc = ds_packing_next(p, &at, &spans, &n, err);
        if (!rc && at >= first)
            rc = say_row(b, &rows[at - first], spans, n, err);
        at++;
    }
    ds_packing_free(p);
    ds_buf_fini(&lengths);
    return rc;
}

static int check_roots(const ds_runset *s, ds_err *err)
{
    for (size_t i = 0; i < s->run->ndatasets; i++)
        if (!ds_sha_eq(&s->parts[i].root, &s->run->datasets[i].root))
            return ds_fail(err, DS_FAIL, "dataset '%s' holds other records than the run consumed",
                           s->run->datasets[i].name);
    return 0;
}

static int open_store(batch *b, const char *store, ds_err *err)
{
    int rc = ds_store_open(&b->store, store, DS_OBJ_READ, err);

    b->have_store = !rc;
    if (rc == DS_NOSTORE && !store) { /* the data may be files */
        ds_err_clear(err);
        rc = 0;
    }
    return rc;
}

static int show(batch *b, const char *what, const char *store, const ds_opt_list *files,
                ds_err *err)
{
    int rc = open_store(b, store, err);

    if (!rc)
        rc = ds_path_exists(what) ? take_folder(b, what, err) : take_registered(b, what, err);
    rc = rc ? rc : read_rows(b, err);
    rc = rc ? rc
            : ds_runset_open(&b->set, b->have_store ? &b->store : NULL, &b->lineage.run, files->v,
                             files->n, err);
    for (size_t i = 0; !rc && i < b->set.run->ndatasets; i++)
        rc = ds_runset_load(&b->set, i, err);
    rc = rc ? rc : check_roots(&b->set, err);
    if (!rc && !(b->keys = calloc(b->set.run->ndatasets, sizeof(ds_keyread *))))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : say_rows(b, err);
    if (!rc && b->differ)
        rc = ds_fail(err, DS_FAIL, "%" PRIu64 " row%s of step %" PRIu64 " differ%s from the ledger",
                     b->differ, ds_s(b->differ), b->step, b->differ == 1 ? "s" : "");
    return rc;
}

static void batch_fini(batch *b)
{
    for (size_t i = 0; b->keys && i < b->set.run->ndatasets; i++)
        ds_keyread_close(b->keys[i]);
    free(b->keys);
    if (b->set.run)
        ds_runset_fini(&b->set);
    ds_segments_fini(&b->ledger);
    ds_lineage_fini(&b->lineage);
    ds_buf_fini(&b->rows);
    ds_buf_fini(&b->pieces);
    ds_store_close(&b->store);
}

static int run(int argc, char **argv)
{
    batch b = {0};
    const char *store = NULL;
    ds_opt_list files = {0};
    const ds_opt opts[] = {
        OPT_LIST(0, "data", files, "FILE", "a dataset that was a file; may be given repeatedly"),
        VERB_STORE(store),
        VERB_JSON(b.json),
        OPT_END,
    };
    char **operands;
    int n, status = ds_opt_begin(&ds_ver_batch, opts, argc, argv, &operands, &n);
    if (status >= 0)
        return status;
    ds_err err = {0};
    ds_sig_setup();
    const char *step = operands[1];
    if (!ds_digits_next(&step, &b.step) || *step || b.step == 0)
        ds_fail(&err, DS_USAGE, "'%s' is no step: they count from 1", operands[1]);
    else
        show(&b, operands[0], store, &files, &err);
    batch_fini(&b);
    ds_opt_list_fini(&files);
    status = ds_command_end(&ds_ver_batch, &err, b.json);
    ds_sig_reraise();
    return status;
}
