/* audit.c - see audit.h. The ledger is read once; chain, order and targets are looked at together,
 * so that one that breaks does not hide what the others find. */
#include "audit.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consumed.h"
#include "erasedgap.h"
#include "erasedlist.h"
#include "io.h"
#include "runname.h"
#include "runs.h"
#include "segments.h"
#include "sig.h"
#include "skipcheck.h"
#include "plural.h"

typedef struct audit {
    const ds_audit_opts *o;
    ds_audit *out;
    ds_audit_fn fn;
    void *ctx;
    ds_runset set;
    ds_stretches stretches;
    bool absent; /* a dataset could not be looked into */
} audit;

void ds_audit_fini(ds_audit *a)
{
    ds_lineage_fini(&a->lineage);
    *a = (ds_audit){0};
}

DS_PRINTF(4, 5)
static void say(audit *a, const char *check, enum ds_audit_status status, const char *fmt, ...)
{
    char text[DS_ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    for (char *s = text; *s; s++) /* names come from strangers */
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            *s = '?';
    a->out->failed += status == DS_AUDIT_FAILED;
    a->out->unchecked += status == DS_AUDIT_UNCHECKED;
    a->fn(a->ctx, check, status, text);
}

/* What a check could not do is what it found; only trouble of this machine ends the audit. */
static int found(audit *a, const char *check, const ds_err *why, int rc, ds_err *err)
{
    if (rc == DS_NOMEM || rc == DS_LOCKED)
        return ds_fail_as(err, why);
    a->out->corrupt |= rc == DS_CORRUPT || ds_is_io(rc);
    say(a, check, DS_AUDIT_FAILED, "%s", why->msg);
    return 0;
}

static int path_in(char **out, const char *dir, const char *name, ds_err *err)
{
    return asprintf(out, "%s/%s", dir, name) < 0 ? (*out = NULL, ds_fail_nomem(err)) : 0;
}

/* ---- files ---- */

static int check_files(audit *a, ds_err *err)
{
    ds_err why = {0};
    ds_sha sum;
    char hex[65], want[65];
    int rc = ds_filesum_dir(&sum, a->o->dir, "lineage.json", &why);

    if (rc)
        return found(a, "files", &why, rc, err);
    ds_sha_hex(hex, &sum);
    ds_sha_hex(want, &a->out->lineage.files);
    if (ds_sha_eq(&sum, &a->out->lineage.files))
        say(a, "files", DS_AUDIT_OK, "sha256:%s", hex);
    else
        say(a, "files", DS_AUDIT_FAILED,
            "the checkpoint's files give sha256:%s, lineage.json says sha256:%s", hex, want);
    return 0;
}

/* A copy may be called anything; but what is called as a checkpoint is says which one it is. */
static int check_name(audit *a, ds_err *err)
{
    char *name = NULL;
    uint64_t step;
    const int rc = ds_path_name(&name, a->o->dir, err);
    if (!rc && ds_checkpoint_parse_name(name, &step) && step != a->out->lineage.step)
        say(a, "name", DS_AUDIT_FAILED, "the folder is called %s, and lineage.json is of %s", name,
            a->out->lineage.name);
    free(name);
    return rc;
}

/* What no other check holds against anything, such as what computed it, is what the catalog was
 * told when the checkpoint was made. The same run may have been made elsewhere, from versions with
 * the same records, and an altered commit looks like that: this store cannot say which it is. */
static void say_standing(audit *a, enum ds_run_standing is, bool elsewhere)
{
    const char *name = a->out->lineage.name;
    const enum ds_audit_status no = a->o->registered ? DS_AUDIT_FAILED : DS_AUDIT_UNCHECKED;
    const uint64_t before = a->out->unchecked;

    if (is == DS_RUN_KNOWN)
        say(a, "registered", DS_AUDIT_OK, "the catalog has this lineage.json");
    else if (is == DS_RUN_OTHER && elsewhere)
        say(a, "registered", a->o->registered ? DS_AUDIT_FAILED : DS_AUDIT_OK,
            "as one made elsewhere: the catalog has another lineage.json of %s, and not a version "
            "that this one names; its commit, program and environment are taken as told",
            name);
    else if (is == DS_RUN_OTHER)
        say(a, "registered", DS_AUDIT_FAILED, "the catalog has another lineage.json of %s", name);
    else if (is == DS_RUN_LOST)
        say(a, "registered", DS_AUDIT_FAILED,
            "the catalog does not know the run, which by the operation log was registered: "
            "something other than dsver removed it, or the command that registered it died");
    else
        say(a, "registered", no, "%s; its commit, program and environment are taken as told",
            !a->o->store          ? "there is no store to look into"
            : is == DS_RUN_ABSENT ? "the catalog does not know the run"
                                  : "the catalog knows the run, and not this step of it");
    a->out->unregistered += a->out->unchecked - before;
}

static int check_registered(audit *a, ds_err *err)
{
    enum ds_run_standing is = DS_RUN_ABSENT;
    bool elsewhere = false;
    ds_err why = {0};

    for (size_t i = 0; i < a->out->lineage.run.ndatasets; i++)
        elsewhere |= *a->set.parts[i].want->commit && a->set.parts[i].where != DS_SET_COMMIT;
    const int rc = a->o->store ? ds_run_standing(&is, a->o->store, &a->out->lineage, &why) : 0;
    if (rc)
        return found(a, "registered", &why, rc, err);
    say_standing(a, is, elsewhere);
    return 0;
}

static int check_model(audit *a, ds_err *err)
{
    ds_err why = {0};
    ds_sha sum;
    char hex[65], want[65];
    int rc;

    if (!a->o->model)
        return 0;
    rc = ds_model_sum(&sum, a->o->model, &why);
    if (rc)
        return found(a, "model", &why, rc, err);
    ds_sha_hex(hex, &sum);
    ds_sha_hex(want, &a->out->lineage.run.model);
    if (ds_sha_eq(&sum, &a->out->lineage.run.model))
        say(a, "model", DS_AUDIT_OK, "%s: sha256:%s", a->o->model, hex);
    else
        say(a, "model", DS_AUDIT_FAILED, "%s: sha256:%s, the run began from sha256:%s", a->o->model,
            hex, want);
    return 0;
}

/* tokenizer.json of the checkpoint is the one that the data was tokenized with. */
static int check_tokenizer(audit *a, ds_err *err)
{
    ds_err why = {0};
    ds_sha sum;
    char *path = NULL, text[80] = "sha256:";
    const ds_run *r = &a->out->lineage.run;
    const ds_run_dataset *named = NULL, *other = NULL;
    int rc = path_in(&path, a->o->dir, "tokenizer.json", err);

    if (rc)
        return rc;
    rc = ds_path_exists(path) ? ds_sha_file(&sum, NULL, path, &why) : 1;
    if (rc == 0)
        ds_sha_hex(text + 7, &sum);
    for (size_t i = 0; i < r->ndatasets; i++)
        if (*r->datasets[i].tokenizer) {
            named = &r->datasets[i];
            if (!other && strcmp(named->tokenizer, text) != 0)
                other = named;
        }
    if (rc < 0)
        rc = found(a, "tokenizer", &why, rc, err);
    else if (rc > 0 && named)
        say(a, "tokenizer", DS_AUDIT_FAILED, "the checkpoint has no tokenizer.json");
    else if (!named)
        say(a, "tokenizer", DS_AUDIT_OK, "no dataset names one");
    else if (other)
        say(a, "tokenizer", DS_AUDIT_FAILED,
            "tokenizer.json is %s, dataset '%s' was tokenized with %s", text, other->name,
            other->tokenizer);
    else
        say(a, "tokenizer", DS_AUDIT_OK, "%s", text);
    free(path);
    return rc < 0 ? rc : 0;
}

/* ---- datasets ---- */

/* What is loaded against what the run says; false when they differ. */
static bool compare(audit *a, const ds_runset_part *p, const char *check)
{
    const ds_run_dataset *w = p->want;
    char got[65], want[65];

    ds_sha_hex(got, &p->root);
    ds_sha_hex(want, &w->root);
    if (!ds_sha_eq(&p->root, &w->root))
        say(a, check, DS_AUDIT_FAILED, "its records give root sha256:%s, the run says sha256:%s",
            got, want);
    else if (p->records != w->records)
        say(a, check, DS_AUDIT_FAILED, "%" PRIu64 " records, the run says %" PRIu64, p->records,
            w->records);
    else if (strcmp(p->tokenizer, w->tokenizer) != 0)
        say(a, check, DS_AUDIT_FAILED, "column '%s' names tokenizer '%s', the run says '%s'",
            w->column, p->tokenizer, w->tokenizer);
    else if (p->where == DS_SET_FILE)
        say(a, check, DS_AUDIT_OK, "%s: %" PRIu64 " record%s, root sha256:%s", p->path, p->records,
            ds_s(p->records), got);
    else if (p->where == DS_SET_ROOT && *w->commit)
        say(a, check, DS_AUDIT_OK,
            "commit %s: %" PRIu64 " record%s, root sha256:%s (commit %s is not in the store)",
            git_oid_tostr_s(&p->commit), p->records, ds_s(p->records), got, w->commit);
    else
        say(a, check, DS_AUDIT_OK, "commit %s: %" PRIu64 " record%s, root sha256:%s",
            git_oid_tostr_s(&p->commit), p->records, ds_s(p->records), got);
    if (p->erased)
        say(a, check, DS_AUDIT_OK, "verified, with records erased from %" PRIu64 " block%s",
            p->erased, ds_s(p->erased));
    return ds_sha_eq(&p->root, &w->root) && p->records == w->records;
}

/* What was left out because it had been erased before the run is a tombstone ever since. */
static int check_left_out(audit *a, const ds_runset_part *p, const char *check, ds_err *err)
{
    const ds_run_dataset *w = p->want;
    ds_buf now = {0};
    uint64_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < w->nerased; i++)
        n += w->erased[i].n;
    if (n && p->where != DS_SET_FILE)
        rc = ds_erasedlist(&now, a->set.store, &p->commit, err);
    const uint64_t there = ds_erasedlist_lacks((const ds_records *)(const void *)now.data,
                                               now.len / sizeof(ds_records), w->erased, w->nerased);
    ds_buf_fini(&now);
    if (rc || !n)
        return rc;
    if (p->where == DS_SET_FILE)
        say(a, check, DS_AUDIT_UNCHECKED,
            "%" PRIu64 " record%s left out as erased: a store tells which are", n, ds_s(n));
    else if (there != UINT64_MAX)
        say(a, check, DS_AUDIT_FAILED,
            "record %" PRIu64 " was left out as erased before the run, and it is not erased here",
            there);
    else
        say(a, check, DS_AUDIT_OK, "%" PRIu64 " record%s erased before the run and left out", n,
            ds_s(n));
    return 0;
}

static int check_dataset(audit *a, size_t i, ds_err *err)
{
    ds_runset_part *p = &a->set.parts[i];
    char check[200];
    ds_err why = {0};
    int rc;

    snprintf(check, sizeof check, "dataset %s", p->want->name);
    if (p->where == DS_SET_ABSENT) {
        a->absent = true;
        if (*p->want->commit && a->o->store && !a->o->offline)
            say(a, check, DS_AUDIT_FAILED,
                "commit %s is not in the store, nor is another version with its root",
                p->want->commit);
        else
            say(a, check, DS_AUDIT_UNCHECKED, "%s",
                !*p->want->commit ? "it was a file: give it with --data"
                : a->o->store     ? "it is not in the store"
                                  : "there is no store to look into");
        return 0;
    }
    rc = ds_runset_load(&a->set, i, &why);
    a->absent |= rc != 0;
    if (ds_is_io(rc)) { /* a remote that is away, of a store that fetches what it reads */
        say(a, check, DS_AUDIT_UNCHECKED, "%s", why.msg);
        return 0;
    }
    if (rc)
        return found(a, check, &why, rc, err);
    a->absent |= !compare(a, p, check);
    return check_left_out(a, p, check, err);
}

/* ---- the ledger ---- */

typedef struct pass {
    audit *a;
    ds_chain chain;
    const ds_stretch *self; /* that is read; NULL: the ledger */
    ds_packing *packing;    /* NULL: rows cannot be recomputed */
    ds_consumed *consumed;  /* of the last segment; NULL: not told, or it cannot be recomputed */
    uint64_t from;          /* the last segment's first step */
    uint64_t rows, order_rows;
    ds_skipcheck *skips; /* NULL: of a stretch, which came to nothing */
    ds_buf got, want, text;
    ds_err chain_why, order_why, targets_why, consumed_why; /* the first trouble of each */
} pass;

static int check_order(pass *p, const ds_ledger_row *r, const ds_span *got, size_t ngot,
                       ds_err *err)
{
    const ds_runset *set = &p->a->set;
    const ds_span *spans;
    uint64_t row;
    size_t n;
    int rc;

    if (!p->packing || p->order_why.code)
        return 0;
    rc = ds_packing_next(p->packing, &row, &spans, &n, &p->order_why);
    if (rc)
        return rc == DS_NOMEM ? ds_fail_nomem(err) : 0;
    ds_buf_reset(&p->want);
    rc = ds_spans_encode(&p->want, spans, n, set->firsts, set->run->ndatasets, err);
    if (!rc &&
        (p->want.len != r->pieces_len || memcmp(p->want.data, r->pieces, r->pieces_len) != 0)) {
        ds_buf_reset(&p->text);
        rc = ds_runset_text(set, &p->text, spans, n, err);
        rc = rc ? rc : ds_buf_puts(&p->text, " expected, the ledger has ");
        rc = rc ? rc : ds_runset_text(set, &p->text, got, ngot, err);
        const char *s = rc ? NULL : ds_buf_cstr(&p->text);
        if (!s)
            return ds_fail_nomem(err);
        ds_fail(&p->order_why, DS_FAIL, "step %" PRIu64 ", row %" PRIu64 ": %s",
                row / set->run->rows + 1, row, s);
    }
    p->order_rows += !rc && !p->order_why.code;
    return rc;
}

static void check_targets(pass *p, const ds_ledger_row *r, const ds_span *spans, size_t n)
{
    uint64_t all = 0;

    const bool known = !p->a->absent;

    for (size_t i = 0; i < n; i++)
        all += known          ? ds_runset_targets(&p->a->set, &spans[i])
               : spans[i].len ? spans[i].len - 1
                              : 0;
    if (!p->targets_why.code && (known ? r->targets != all : r->targets > all))
        ds_fail(&p->targets_why, DS_FAIL,
                "step %" PRIu64 ", row %" PRIu64 ": %" PRIu64 " targets, its pieces have %" PRIu64,
                r->step, r->row, r->targets, all);
}

static int on_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    pass *p = ctx;
    const ds_runset *set = &p->a->set;
    int rc = ds_chain_row(&p->chain, r, &p->chain_why);

    if (r->row % set->run->rows == set->run->rows - 1)
        ds_stretches_step(&p->a->stretches, p->self, r->step, &p->chain);
    if (rc && rc != DS_FAIL) /* a row that does not follow is remembered, and the rest looked at */
        return ds_fail(err, rc, "%s", p->chain_why.msg);
    p->rows++;
    ds_buf_reset(&p->got);
    rc = ds_spans_decode(&p->got, r->pieces, r->pieces_len, set->firsts, set->run->ndatasets, err);
    if (rc)
        return ds_err_prefix(err, "step %" PRIu64 ", row %" PRIu64, r->step, r->row);
    const ds_span *spans = (const ds_span *)(const void *)p->got.data;
    const size_t n = p->got.len / sizeof *spans;
    check_targets(p, r, spans, n);
    if (p->skips)
        ds_skipcheck_row(p->skips, r);
    if (p->consumed && r->step >= p->from && !p->consumed_why.code)
        ds_consumed_add(p->consumed, spans, n, set->firsts, &p->consumed_why);
    rc = check_order(p, r, spans, n, err);
    return rc ? rc : ds_check_interrupt(err);
}

static int say_ledger(pass *p, const ds_segments *l, ds_err *why, int rc, ds_err *err)
{
    audit *a = p->a;
    const ds_lineage *want = &a->out->lineage;
    char got[65], head[65];

    if (rc == DS_NOMEM || (rc && rc != DS_FAIL && !p->chain_why.code))
        return found(a, "ledger", why, rc, err);
    a->out->corrupt |= rc == DS_CORRUPT || ds_is_io(rc);
    ds_sha_hex(got, &p->chain.value);
    ds_sha_hex(head, &want->head);
    if (p->chain_why.code)
        say(a, "ledger", DS_AUDIT_FAILED, "%s", p->chain_why.msg);
    else if (rc)
        say(a, "ledger", DS_AUDIT_FAILED, "%s", why->msg);
    else if (p->rows != want->rows || want->rows != want->step * want->run.rows)
        say(a, "ledger", DS_AUDIT_FAILED,
            "%" PRIu64 " rows; lineage.json says %" PRIu64 " rows in %" PRIu64 " steps of %" PRIu64,
            p->rows, want->rows, want->step, want->run.rows);
    else if (!ds_sha_eq(&p->chain.value, &want->head))
        say(a, "ledger", DS_AUDIT_FAILED,
            "the chain ends in sha256:%s, lineage.json says sha256:%s", got, head);
    else
        say(a, "ledger", DS_AUDIT_OK,
            "%" PRIu64 " row%s in %" PRIu64 " step%s, %zu segment%s, sha256:%s", p->rows,
            ds_s(p->rows), want->step, ds_s(want->step), l->n, ds_s(l->n), got);
    return 0;
}

static bool masked(const ds_run *r)
{
    for (size_t i = 0; i < r->ndatasets; i++)
        if (r->datasets[i].mask)
            return true;
    return false;
}

static void say_rows(pass *p, bool whole)
{
    audit *a = p->a;

    if (p->order_why.code)
        say(a, "order", DS_AUDIT_FAILED, "%s", p->order_why.msg);
    else if (!p->packing)
        say(a, "order", DS_AUDIT_UNCHECKED, "a dataset could not be compared");
    else if (!whole)
        say(a, "order", DS_AUDIT_FAILED, "only the first %" PRIu64 " rows could be compared",
            p->order_rows);
    else
        say(a, "order", DS_AUDIT_OK, "%" PRIu64 " rows are those that seed %" PRIu64 " gives",
            p->order_rows, a->out->lineage.run.seed);
    if (p->targets_why.code)
        say(a, "targets", DS_AUDIT_FAILED, "%s", p->targets_why.msg);
    else if (!whole)
        say(a, "targets", DS_AUDIT_FAILED, "only the first %" PRIu64 " rows could be counted",
            p->rows);
    else if (a->absent)
        say(a, "targets", DS_AUDIT_UNCHECKED, "no row has more than its pieces");
    else
        say(a, "targets", DS_AUDIT_OK, "as many as the pieces have%s",
            masked(a->set.run) ? " under their loss mask" : "");
}

/* Steps whose update was skipped, where there can be such. */
static void say_skips(audit *a, const ds_skipcheck *c, bool whole)
{
    if (c->why.code)
        say(a, "skipped", DS_AUDIT_FAILED, "%s", c->why.msg);
    else if (whole && c->scaling.first)
        say(a, "skipped", DS_AUDIT_OK,
            "%" PRIu64 " of %" PRIu64 " steps, as their losses say; %" PRIu64
            " without an update, as the loss scale allows",
            c->skipped, c->steps, c->scale.overflows);
    else if (whole && c->spike.c.policy != DS_SPIKE_OFF)
        say(a, "skipped", DS_AUDIT_OK, "%" PRIu64 " of %" PRIu64 " steps, as their losses say",
            c->skipped, c->steps);
}

/* Byte for byte; or, where records were erased that have taken what was counted with them (`gap`),
 * as far as can be told. */
static int counted_as_told(const pass *p, ds_buf *now, const char *told, bool *same, bool *gap,
                           ds_err *err)
{
    const ds_runset *set = &p->a->set;
    const size_t n = set->run->ndatasets;
    ds_err why = {0};
    bool any = false;

    *same =
        !p->consumed_why.code && now->len == strlen(told) && memcmp(now->data, told, now->len) == 0;
    if (*same || p->consumed_why.code)
        return 0;
    bool *erased = calloc(n + 1, sizeof *erased);
    const char *text = ds_buf_cstr(now);
    if (!erased || !text) {
        free(erased);
        return ds_fail_nomem(err);
    }
    for (size_t i = 0; i < n; i++)
        any |= erased[i] = set->parts[i].erased != 0;
    const int rc = any ? ds_erasedgap_check(told, text, erased, n, &why) : DS_FAIL;
    free(erased);
    *same = *gap = rc == 0;
    return rc == DS_NOMEM ? ds_fail_nomem(err) : 0;
}

/* What lineage.json says of the last steps, against what their rows give. */
static int say_consumed(pass *p, const ds_segments *l, ds_err *err)
{
    const char *told = p->a->out->lineage.consumed;
    ds_buf b = {0};
    bool same = false, gap = false;
    int rc = 0;

    if (!told)
        return 0;
    if (!p->consumed) {
        say(p->a, "consumed", DS_AUDIT_UNCHECKED, "a dataset could not be compared");
        return 0;
    }
    if (p->consumed_why.code == DS_NOMEM)
        return ds_fail_nomem(err);
    if (!p->consumed_why.code)
        rc = ds_consumed_dump(&b, p->consumed, p->from, l->v[l->n - 1].last, err);
    if (rc)
        ds_buf_fini(&b);
    if (rc)
        return rc;
    rc = counted_as_told(p, &b, told, &same, &gap, err);
    ds_buf_reset(&b);
    if (!rc && same)
        rc = ds_consumed_text(&b, p->consumed, p->a->set.run, err);
    if (!rc && same)
        say(p->a, "consumed", DS_AUDIT_OK, "steps %" PRIu64 " to %" PRIu64 ": %s%s", p->from,
            l->v[l->n - 1].last, ds_buf_cstr(&b) ? (const char *)b.data : "",
            gap ? " (labels, languages and sources of erased records: as told)" : "");
    else if (!rc)
        say(p->a, "consumed", DS_AUDIT_FAILED,
            "the rows of steps %" PRIu64 " to %" PRIu64 " give other numbers", p->from,
            l->v[l->n - 1].last);
    ds_buf_fini(&b);
    return rc;
}

static int new_consumed(pass *p, ds_err *err)
{
    const ds_runset *set = &p->a->set;
    const ds_recfacts **facts = calloc(set->run->ndatasets, sizeof *facts);
    int rc;

    if (!facts)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < set->run->ndatasets; i++)
        facts[i] = &set->parts[i].facts;
    rc = ds_consumed_new(&p->consumed, facts, set->run->ndatasets, err);
    free(facts);
    return rc;
}

static int prepare(pass *p, ds_buf *lengths, ds_err *err)
{
    audit *a = p->a;
    int rc = ds_chain_begin(&p->chain, a->set.run, err);

    if (!rc)
        ds_stretches_step(&a->stretches, NULL, 0, &p->chain);
    if (rc || a->absent)
        return rc;
    if (a->out->lineage.consumed)
        rc = new_consumed(p, err);
    rc = rc ? rc : ds_runset_lengths(&a->set, lengths, err);
    if (rc)
        return rc;
    rc = ds_run_packing(&p->packing, a->set.run, (const uint32_t *)(const void *)lengths->data,
                        &p->order_why);
    return rc == DS_NOMEM ? ds_fail_nomem(err) : 0;
}

static void pass_fini(pass *p)
{
    ds_packing_free(p->packing);
    ds_consumed_free(p->consumed);
    ds_buf_fini(&p->got);
    ds_buf_fini(&p->want);
    ds_buf_fini(&p->text);
}

/* ---- what was abandoned ---- */

/* A packing that stands before a row. */
static int pack_from(ds_packing **out, audit *a, const ds_buf *lengths, uint64_t row, ds_err *why)
{
    const ds_span *spans;
    uint64_t at;
    size_t n;
    int rc = ds_run_packing(out, a->set.run, (const uint32_t *)(const void *)lengths->data, why);

    for (uint64_t i = 0; !rc && i < row; i++)
        rc = ds_packing_next(*out, &at, &spans, &n, why);
    return rc;
}

/* Its rows follow from the place where it departed, and are those that the order gives. */
static int check_stretch(audit *a, const ds_stretch *s, const ds_buf *lengths, ds_err *err)
{
    const uint64_t steps = s->segments.v[s->segments.n - 1].last - s->from, rows = a->set.run->rows;
    pass p = {.a = a, .self = s};
    ds_err why = {0};
    int scan, rc = 0;

    if (ds_stretch_begin(&p.chain, s, a->set.run, &why)) {
        say(a, "abandoned", DS_AUDIT_FAILED, "%s", why.msg);
        return 0;
    }
    if (!a->absent && pack_from(&p.packing, a, lengths, s->from * rows, &p.order_why) == DS_NOMEM)
        rc = ds_fail_nomem(err);
    scan = rc ? 0 : ds_segments_scan(&s->segments, NULL, on_row, &p, &why);
    rc = rc ? rc : ds_check_interrupt(err);
    const ds_err *told[] = {&p.chain_why, &why, &p.order_why, &p.targets_why};
    const ds_err *wrong = NULL;
    for (size_t k = 0; k < 4; k++)
        wrong = !wrong && told[k]->code ? told[k] : wrong;
    if (!rc && scan && scan != DS_FAIL)
        rc = found(a, "abandoned", &why, scan, err);
    else if (!rc && (wrong || p.rows != steps * rows))
        say(a, "abandoned", DS_AUDIT_FAILED, "stretch %" PRIu64 ": %s", s->number,
            wrong ? wrong->msg : "a step of other than so many rows");
    else if (!rc)
        say(a, "abandoned", DS_AUDIT_OK,
            "stretch %" PRIu64 ": steps %" PRIu64 " to %" PRIu64 ", %" PRIu64
            " rows that follow step %" PRIu64 "%s",
            s->number, s->from + 1, s->from + steps, p.rows, s->from,
            a->absent ? "" : ", as seed and data give them");
    pass_fini(&p);
    return rc;
}

static int check_ledger(audit *a, ds_err *err)
{
    ds_skipcheck skips = {.rows = 1};
    pass p = {.a = a, .skips = &skips};
    ds_segments l = {0};
    ds_buf lengths = {0};
    ds_err why = {0};
    char *dir = NULL;
    int scan, rc = path_in(&dir, a->o->dir, "ledger", err);

    if (!rc && ds_stretches_dir(&a->stretches, a->o->dir, &why)) {
        rc = found(a, "abandoned", &why, why.code, err);
        why = (ds_err){0};
    }
    rc = rc ? rc : prepare(&p, &lengths, err);
    rc = rc ? rc : ds_skipcheck_init(&skips, a->set.run, err);
    if (!rc) {
        scan = ds_segments_dir(&l, dir, &why);
        scan = scan ? scan : ds_segments_check(&l, 0, a->out->lineage.step, &why);
        p.from = l.n ? l.v[l.n - 1].first : 0;
        scan = scan ? scan : ds_segments_scan(&l, NULL, on_row, &p, &why);
        rc = ds_check_interrupt(err);
        rc = rc ? rc : say_ledger(&p, &l, &why, scan, err);
        if (!rc)
            say_rows(&p, !scan), say_skips(a, &skips, !scan);
        if (!rc && !scan)
            rc = say_consumed(&p, &l, err);
        for (size_t i = 0; !rc && i < a->stretches.n; i++)
            rc = check_stretch(a, &a->stretches.v[i], &lengths, err);
    }
    free(dir);
    ds_segments_fini(&l);
    ds_stretches_fini(&a->stretches);
    ds_buf_fini(&lengths);
    ds_skipcheck_fini(&skips);
    pass_fini(&p);
    return rc;
}

int ds_audit_run(ds_audit *out, const ds_audit_opts *o, ds_audit_fn fn, void *ctx, ds_err *err)
{
    audit a = {.o = o, .out = out, .fn = fn, .ctx = ctx};
    int rc;

    *out = (ds_audit){0};
    rc = ds_lineage_read(&out->lineage, o->dir, err);
    rc = rc ? rc : ds_run_digest(&out->run, &out->lineage.run, err);
    rc = rc ? rc : ds_runset_open(&a.set, o->store, &out->lineage.run, o->files, o->nfiles, err);
    rc = rc ? rc : check_files(&a, err);
    rc = rc ? rc : check_name(&a, err);
    rc = rc ? rc : check_tokenizer(&a, err);
    for (size_t i = 0; !rc && i < out->lineage.run.ndatasets; i++)
        rc = check_dataset(&a, i, err);
    rc = rc ? rc : check_ledger(&a, err);
    rc = rc ? rc : check_registered(&a, err);
    rc = rc ? rc : check_model(&a, err);
    if (a.set.run)
        ds_runset_fini(&a.set);
    return rc;
}
