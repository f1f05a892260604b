/* dicomseries.c - see dicomseries.h. */
#include "dicomseries.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dicomfiles.h"
#include "dicommeta.h"
#include "dicomstudy.h"
#include "dicomvolume.h"
#include "io.h"
#include "json.h"
#include "proofraw.h"
#include "sig.h"
#include "term.h"

#define PART ((size_t)1 << 20)

/* A source of the open study. */
typedef struct told {
    ds_source src;
    char room[33];
    char *name; /* where it is not a pseudonym */
} told;

typedef struct run {
    const ds_dicom_series *s;
    ds_dicom_index x;
    ds_slice *slices;
    size_t nslices;
    ds_volume *v;
    size_t nv;
    size_t *steps; /* objects in the order in which they are read */
    size_t nsteps, sent, taken;
    ds_dicom_result r; /* of the object that is being used */
    size_t object;
    bool good;
    int frames; /* where its frames are */
    int fd;     /* pixels of the volume */
    ds_proofraw raw;
    ds_buf from; /* ds_dicom_member: the slices of the volume */
    ds_buf here; /* bool, a slice each: its frame is in fd */
    ds_buf part, chain, members, volume, key;
    ds_dicom_common meta;
    told *told;
    uint64_t *sizes, *ordinals;
    size_t ntold, cap_told, cap_sizes, cap_ordinals;
    ds_dicom_study study;
    char *base; /* what volumes of one series or object are numbered within */
    unsigned number;
    ds_err *err;
} run;

static bool study_wanted(const run *u)
{
    return u->s->rows->unit == DS_UNIT_STUDY;
}

/* ---- the plan ---- */

static bool placed(const ds_dicom_entry *e)
{
    const unsigned all = DS_PLACE_POSITION | DS_PLACE_ORIENTATION | DS_PLACE_SPACING;
    bool is = e->has_image && e->facts.nplaces == e->shape.frames;
    for (uint32_t i = 0; is && i < e->facts.nplaces; i++)
        is = (e->facts.places[i].has & all) == all;
    return is;
}

/* What was lost counts where it leaves a gap. */
static size_t slices_of(const ds_dicom_entry *e)
{
    return placed(e) ? e->shape.frames : !e->lost;
}

static int make_slices(run *u)
{
    size_t n = 0, k = 0;
    for (size_t i = 0; i < u->x.n; i++)
        n += slices_of(&u->x.v[i]);
    u->slices = calloc(n ? n : 1, sizeof *u->slices);
    u->nslices = n;
    if (!u->slices)
        return ds_fail_nomem(u->err);
    for (size_t i = 0; i < u->x.n; i++) {
        const ds_dicom_entry *e = &u->x.v[i];
        bool each = placed(e);
        for (size_t f = 0, frames = slices_of(e); f < frames; f++)
            u->slices[k++] = (ds_slice){.object = i,
                                        .frame = (uint32_t)f,
                                        .facts = &e->facts,
                                        .place = each ? &e->facts.places[f] : NULL,
                                        .key = e->key,
                                        .shape = e->shape,
                                        .whole = !each,
                                        .lost = e->lost};
    }
    int rc = ds_volumes_plan(&u->v, &u->nv, u->slices, n, u->err);
    for (size_t i = 0; i < n && rc == 0; i++) /* what its volume has */
        u->x.v[u->slices[i].object].shape.dtype = u->slices[i].shape.dtype;
    return rc;
}

/* Frames of one object are of one reading. */
static int make_steps(run *u)
{
    u->steps = calloc(u->nslices ? u->nslices : 1, sizeof *u->steps);
    if (!u->steps)
        return ds_fail_nomem(u->err);
    for (size_t i = 0; i < u->nv; i++)
        for (size_t k = 0; k < u->v[i].n; k++) {
            size_t object = u->v[i].slices[k].object;
            if (u->v[i].slices[k].lost)
                continue;
            if (u->nsteps == 0 || u->steps[u->nsteps - 1] != object)
                u->steps[u->nsteps++] = object;
        }
    return 0;
}

/* ---- objects, once more ---- */

/* Its values have the type of its volume. */
static uint8_t asked_of(const run *u, size_t object)
{
    return (uint8_t)u->x.v[object].shape.dtype;
}

static ds_dicom_member member_of(const run *u, size_t object, int64_t frame)
{
    const ds_dicom_entry *e = &u->x.v[object];
    return (ds_dicom_member){.path = e->path,
                             .name = e->name,
                             .stamp = e->stamp,
                             .size = e->size,
                             .sha = e->sha,
                             .frame = frame,
                             .ask = asked_of(u, object)};
}

static int send_ahead(run *u)
{
    const ds_dicom_series *s = u->s;
    int rc = ds_check_interrupt(u->err);
    while (rc == 0 && u->sent < u->nsteps && u->sent - u->taken < s->nins &&
           !ds_dicom_jobs_full(s->jobs)) {
        ds_dicom_in *in = &s->ins[u->sent % s->nins];
        const size_t object = u->steps[u->sent];
        const uint8_t ask = asked_of(u, object);
        rc = ds_dicom_index_ask(&u->x, object, s->rows->late, ask, in, u->err);
        if (rc == 0)
            u->sent++;
        if (rc == 0 && !in->reason && in->answer.len == 0)
            rc = ds_dicom_jobs_submit(s->jobs, in, ask, u->err);
    }
    return rc;
}

static int make_room(run *u)
{
    return ds_grow(&u->told, &u->cap_told, u->ntold, sizeof *u->told) ||
                   ds_grow(&u->sizes, &u->cap_sizes, u->ntold, sizeof *u->sizes) ||
                   ds_grow(&u->ordinals, &u->cap_ordinals, u->ntold, sizeof *u->ordinals)
               ? ds_fail_nomem(u->err)
               : 0;
}

/* Identifiers, accounts and source of an object that is in the output. */
static int take_good(run *u, const ds_dicom_in *in)
{
    ds_proof *proof = u->s->rows->proof;
    ds_dicom_entry *e = &u->x.v[u->object];
    int rc = 0;
    if (proof) /* what a volume keeps of it is searched here, for its own dates */
        rc = ds_proof_value(proof, "meta", DS_PROOF_JSON, u->r.meta.data, u->r.meta.len, u->err);
    if (rc == 0)
        rc = ds_dicom_account_taken(u->s->acc, in, &u->r, u->err);
    if (rc == 0 && u->s->rows->files)
        rc = ds_dicom_files_take(u->s->rows->files, &u->r, u->err);
    if (rc == 0)
        rc = make_room(u);
    if (rc != 0)
        return rc;
    told *t = &u->told[u->ntold];
    *t = (told){0};
    rc = ds_dicom_account_source(u->s->acc, in, &u->r.sha, t->room, &t->src, u->err);
    if (rc == 0 && !u->s->acc->key && !(t->name = strdup(in->name)))
        rc = ds_fail_nomem(u->err);
    u->sizes[u->ntold] = in->size;
    e->ordinal = u->ntold++;
    return rc;
}

/* The result of an object that is next in the plan, or the one that is there. */
static int use_object(run *u, size_t object)
{
    const ds_dicom_series *s = u->s;
    if (u->taken > 0 && u->object == object)
        return 0;
    ds_dicom_result_fini(&u->r);
    int rc = send_ahead(u);
    if (rc != 0)
        return rc;
    ds_dicom_in *in = &s->ins[u->taken % s->nins];
    const ds_dicom_entry *e = &u->x.v[object];
    const char *reason = in->reason;
    bool failed = true;
    if (!reason)
        rc = ds_dicom_late_next(s->rows->late, s->jobs, in, asked_of(u, object), &u->r, &u->frames,
                                u->err);
    if (!reason && rc == 0 && u->r.outcome != DS_DICOM_RECORD) {
        reason = u->r.reason;
        failed = u->r.outcome == DS_DICOM_FAILED;
    } else if (!reason && rc == 0 &&
               (!ds_sha_eq(&u->r.sha, &e->sha) ||
                memcmp(&u->r.shape, &e->shape, sizeof e->shape) != 0)) {
        reason = "changed-meanwhile";
    }
    if (rc == 0 && !reason) {
        bool found;
        rc = ds_dicom_rows_look(s->rows, &u->r, &found, u->err);
        if (found) {
            reason = DS_DICOM_NAMED;
            failed = false;
        }
    }
    if (reason && s->rows->files)
        ds_dicom_files_drop(s->rows->files, &u->r);
    u->taken++;
    u->object = object;
    u->good = rc == 0 && !reason;
    if (rc == 0)
        rc = reason ? ds_dicom_account_left_out(s->acc, in, failed, reason, u->err)
                    : take_good(u, in);
    ds_dicom_in_fini(in);
    return rc;
}

/* ---- a volume ---- */

/* A frame becomes the n-th of the volume's pixels, and is searched for what its file tells. */
static int copy_frame(run *u, const ds_dicom_result *r, int frames, uint32_t frame, size_t nth)
{
    ds_proof *proof = u->s->rows->proof;
    uint64_t left = r->frame_bytes, at = r->data_at + frame * r->frame_bytes;
    int rc = lseek(u->fd, (off_t)(nth * r->frame_bytes), SEEK_SET) >= 0
                 ? 0
                 : ds_fail(u->err, DS_IO, "temporary file: cannot be sought in");
    ds_buf_reset(&u->part);
    if (ds_buf_reserve(&u->part, PART) != 0)
        return ds_fail_nomem(u->err);
    while (rc == 0 && left > 0) {
        size_t take = left < PART ? (size_t)left : PART;
        rc = ds_pread_exact(frames, "temporary file", u->part.data, take, at, u->err);
        if (rc == 0)
            rc = ds_proofraw_put(&u->raw, proof, "image", u->part.data, take, u->err);
        if (rc == 0)
            rc = ds_write_full(u->fd, "temporary file", u->part.data, take, u->err);
        at += take;
        left -= take;
    }
    return rc;
}

static int add_slice(run *u, const ds_slice *s, size_t nth)
{
    const ds_dicom_member m = member_of(u, s->object, s->frame);
    const bool here = u->frames >= 0, many = s->shape.frames > 1;
    int rc = here ? copy_frame(u, &u->r, u->frames, s->frame, nth) : 0;
    if (rc == 0 && (ds_buf_put(&u->from, &m, sizeof m) || ds_buf_putc(&u->here, here)))
        rc = ds_fail_nomem(u->err);
    bool first = u->meta.text.len == 0;
    if (rc == 0 && (!many || first))
        rc = ds_dicom_common_add(&u->meta, u->r.meta.data, u->r.meta.len, u->err);
    if (rc == 0 && many && first) /* what differs from frame to frame */
        rc = ds_dicom_common_drop(&u->meta, "PerFrameFunctionalGroupsSequence", u->err);
    if (rc == 0 && u->chain.len && ds_buf_putc(&u->chain, '\n') != 0)
        rc = ds_fail_nomem(u->err);
    if (rc == 0)
        rc = ds_dicom_rows_chain(&u->chain, &u->r.chain, s->frame, u->err);
    int bad = ds_buf_puts(&u->members, u->members.len > 1 ? ",{\"key\":" : "{\"key\":") |
              ds_json_str(&u->members, s->key, strlen(s->key));
    if (many)
        bad |= ds_buf_printf(&u->members, ",\"frame\":%" PRIu32, s->frame + 1);
    bad |= ds_buf_putc(&u->members, '}');
    return rc == 0 && bad ? ds_fail_nomem(u->err) : rc;
}

/* One line where all are the same. */
static void merge_chain(ds_buf *lines)
{
    uint8_t *p = lines->data, *nl = lines->len ? memchr(p, '\n', lines->len) : NULL;
    size_t n = nl ? (size_t)(nl - p) : 0;
    if (!nl || (lines->len + 1) % (n + 1) != 0)
        return;
    for (size_t at = n + 1; at < lines->len; at += n + 1)
        if (memcmp(p, p + at, n) != 0)
            return;
    lines->len = n;
}

static const ds_dicom_member *members(const run *u)
{
    return (const ds_dicom_member *)(const void *)u->from.data;
}

/* Whether an image that is made of these may be left where it lies. */
static bool may_be_late(const run *u, const ds_dicom_record *rec)
{
    ds_sha digest;
    return !study_wanted(u) || ds_dicom_late_digest(u->s->rows->late, rec, &digest);
}

/* Frames of files that were not read, where those of others of the volume were. */
static int read_missing(run *u, size_t n)
{
    ds_proof *proof = u->s->rows->proof;
    const ds_dicom_member *m = members(u), *last = NULL;
    const ds_dicom_result *r = NULL;
    int rc = 0, frames = -1;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (u->here.data[i])
            continue;
        if (!last || strcmp(last->path, m[i].path) != 0)
            rc = ds_dicom_late_fetch(u->s->rows->late, &m[i], &r, &frames, u->err);
        last = &m[i];
        ds_proofraw_reset(&u->raw);
        if (rc == 0 && proof)
            rc = ds_proof_own(proof, r->ids, u->err);
        if (rc == 0)
            rc = copy_frame(u, r, frames, (uint32_t)m[i].frame, i);
    }
    ds_proofraw_reset(&u->raw);
    return rc == 0 && last && proof ? ds_proof_own(proof, u->r.ids, u->err) : rc;
}

/* Pixels and words of its slices; those that failed are taken out. */
static int gather(run *u, ds_volume *v)
{
    size_t k = 0;
    ds_buf_reset(&u->chain);
    ds_buf_reset(&u->members);
    ds_buf_reset(&u->from);
    ds_buf_reset(&u->here);
    ds_dicom_common_reset(&u->meta);
    int rc = lseek(u->fd, 0, SEEK_SET) == 0 && ftruncate(u->fd, 0) == 0
                 ? 0
                 : ds_fail(u->err, DS_IO, "temporary file: cannot be emptied");
    if (rc == 0 && ds_buf_putc(&u->members, '[') != 0)
        rc = ds_fail_nomem(u->err);
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        ds_slice s = v->slices[i];
        if (s.lost)
            continue;
        rc = use_object(u, s.object);
        if (rc != 0 || !u->good)
            continue;
        rc = add_slice(u, &s, k);
        v->slices[k++] = s;
    }
    if (rc == 0 && ds_buf_putc(&u->members, ']') != 0)
        rc = ds_fail_nomem(u->err);
    v->lost = v->n - k;
    v->n = k;
    merge_chain(&u->chain);
    return rc == 0 && k > 0 ? ds_volume_measure(v, u->err) : rc;
}

/* The series, or the object with many frames, and a number from 1. */
static int name_volume(run *u, const ds_slice *s)
{
    const char *series = s->facts->text[DS_FACT_SERIES];
    size_t n = s->facts->len[DS_FACT_SERIES];
    if (s->shape.frames > 1 || !series) {
        series = s->key;
        n = strlen(s->key);
    }
    if (!u->base || strlen(u->base) != n || memcmp(u->base, series, n) != 0) {
        free(u->base);
        u->base = strndup(series, n);
        u->number = 0;
    }
    ds_buf_reset(&u->key);
    bool ok = u->base && ds_buf_printf(&u->key, "%s/%u", u->base, ++u->number) == 0;
    return ok ? 0 : ds_fail_nomem(u->err);
}

static int put(run *u, ds_dicom_record *rec)
{
    ds_sha digest = {{0}};
    uint64_t count = 0;
    int rc = ds_dicom_rows_record(u->s->rows, rec, &digest, &count, u->err);
    return rc == 0 && study_wanted(u) ? ds_dicom_study_note(&u->study, rec, &digest, count, u->err)
                                      : rc;
}

/* Ordinals and sizes of what the slices are made of. */
static int list_sources(run *u, const ds_volume *v, uint64_t **ordinals, uint64_t **sizes,
                        size_t *n)
{
    *ordinals = calloc(v->n, sizeof **ordinals);
    *sizes = calloc(v->n, sizeof **sizes);
    *n = 0;
    for (size_t i = 0; *ordinals && *sizes && i < v->n; i++) {
        const ds_dicom_entry *e = &u->x.v[v->slices[i].object];
        if (*n && (*ordinals)[*n - 1] == e->ordinal)
            continue;
        (*ordinals)[*n] = e->ordinal;
        (*sizes)[(*n)++] = e->size;
    }
    return *ordinals && *sizes ? 0 : ds_fail_nomem(u->err);
}

static int put_volume(run *u, const ds_volume *v, ds_dicom_record *rec)
{
    ds_buf chain = {0};
    size_t gaps = 0;
    ds_buf_reset(&u->volume);
    int rc = ds_volume_json(v, &u->volume, &gaps, u->err);
    if (rc == 0)
        rc = ds_dicom_rows_chain(&chain, &u->chain, -1, u->err);
    if (gaps || v->doubled || v->lost)
        ds_info("dicom: %.*s: %zu slices, %zu lost, %zu gaps, %zu places held twice",
                (int)u->key.len, (const char *)u->key.data, v->n, v->lost, gaps, v->doubled);
    rec->chain = ds_text_of(&chain);
    rec->volume = ds_text_of(&u->volume);
    if (rc == 0)
        rc = put(u, rec);
    ds_buf_fini(&chain);
    return rc;
}

static int put_stack(run *u, const ds_volume *v)
{
    const dcm_shape *sh = &v->slices->shape;
    uint64_t *ordinals = NULL, *sizes = NULL;
    const ds_dicom_place **places = calloc(v->n, sizeof *places);
    ds_dicom_record rec = {.kind = "volume",
                           .key = ds_text_of(&u->key),
                           .meta = ds_text_of(&u->meta.text),
                           .members = ds_text_of(&u->members),
                           .facts = v->slices->facts,
                           .has_image = true,
                           .stack = true,
                           .searched = true,
                           .shape = *sh,
                           .frame_bytes = (uint64_t)sh->rows * sh->cols * sh->samples *
                                          dcm_sample_size(sh->dtype),
                           .fd = memchr(u->here.data, true, v->n) ? u->fd : -1,
                           .made = members(u),
                           .nmade = v->n,
                           .places = places,
                           .step = v->regular ? v->step : NULL,
                           .one_affine = v->regular || v->n == 1};
    rec.shape.frames = (uint32_t)v->n;
    int rc = places ? list_sources(u, v, &ordinals, &sizes, &rec.nsources) : ds_fail_nomem(u->err);
    for (size_t i = 0; rc == 0 && i < v->n; i++)
        places[i] = v->slices[i].place;
    rec.sources = ordinals;
    rec.sizes = sizes;
    if (rec.fd < 0 && !may_be_late(u, &rec))
        rec.fd = u->fd;
    if (rc == 0 && rec.fd >= 0)
        rc = read_missing(u, v->n);
    if (rc == 0)
        rc = put_volume(u, v, &rec);
    free(places);
    free(ordinals);
    free(sizes);
    return rc;
}

static int fetch_whole(run *u, ds_dicom_record *rec)
{
    ds_proof *proof = u->s->rows->proof;
    const ds_dicom_result *r;
    int rc = ds_dicom_late_fetch(u->s->rows->late, rec->made, &r, &rec->fd, u->err);
    rec->at = r->data_at;
    return rc == 0 && proof ? ds_proof_own(proof, u->r.ids, u->err) : rc;
}

/* An object by itself: no place, many frames without places, or no pixels. */
static int put_whole(run *u, const ds_slice *s)
{
    int rc = use_object(u, s->object);
    if (rc != 0 || !u->good)
        return rc;
    const ds_dicom_entry *e = &u->x.v[s->object];
    ds_buf_reset(&u->key);
    if (ds_buf_puts(&u->key, s->key) != 0)
        return ds_fail_nomem(u->err);
    ds_dicom_record rec;
    ds_dicom_parts parts = {0};
    ds_dicom_member m = member_of(u, s->object, -1);
    rc = ds_dicom_rows_object(&rec, &parts, &u->r, u->frames, &m, -1, u->err);
    if (rc == 0 && rec.has_image && rec.fd < 0 && !may_be_late(u, &rec))
        rc = fetch_whole(u, &rec);
    rec.key = ds_text_of(&u->key);
    rec.sources = &e->ordinal;
    rec.nsources = 1;
    if (rc == 0)
        rc = put(u, &rec);
    ds_dicom_parts_fini(&parts);
    return rc;
}

/* ---- studies ---- */

static bool same_study(const ds_volume *a, const ds_volume *b)
{
    const ds_dicom_facts *x = a->slices->facts, *y = b->slices->facts;
    for (int i = DS_FACT_PATIENT; i <= DS_FACT_STUDY; i++)
        if (x->len[i] != y->len[i] || (x->len[i] && memcmp(x->text[i], y->text[i], x->len[i]) != 0))
            return false;
    return true;
}

/* Its record, then its sources: no record behind refers to them. */
static int end_study(run *u)
{
    int rc =
        study_wanted(u) ? ds_dicom_study_put(&u->study, u->s->rows, u->sizes, u->ntold, u->err) : 0;
    ds_source *v = calloc(u->ntold ? u->ntold : 1, sizeof *v);
    if (rc == 0 && !v)
        rc = ds_fail_nomem(u->err);
    for (size_t i = 0; rc == 0 && i < u->ntold; i++) {
        v[i] = u->told[i].src;
        v[i].name = u->told[i].name ? u->told[i].name : u->told[i].room;
    }
    if (rc == 0 && u->ntold)
        rc = ds_shardout_sources(u->s->rows->out, v, u->ntold, u->err);
    free(v);
    for (size_t i = 0; i < u->ntold; i++)
        free(u->told[i].name);
    u->ntold = 0;
    return rc;
}

static int put_all(run *u)
{
    int rc = 0;
    for (size_t i = 0; i < u->nv && rc == 0; i++) {
        ds_volume *v = &u->v[i];
        const ds_slice first = v->slices[0]; /* it may go */
        bool last = i + 1 == u->nv || !same_study(v, v + 1);
        if (!v->stack) {
            rc = put_whole(u, &first);
        } else {
            rc = gather(u, v);
            if (rc == 0)
                rc = name_volume(u, &first);
            if (rc == 0 && v->n > 0)
                rc = put_stack(u, v);
        }
        if (rc == 0 && last)
            rc = end_study(u);
    }
    return rc;
}

static void run_fini(run *u)
{
    for (size_t i = 0; i < u->ntold; i++)
        free(u->told[i].name);
    free(u->told);
    free(u->sizes);
    free(u->ordinals);
    free(u->steps);
    free(u->slices);
    free(u->v);
    free(u->base);
    ds_dicom_result_fini(&u->r);
    ds_dicom_index_fini(&u->x);
    ds_dicom_study_fini(&u->study);
    ds_dicom_common_fini(&u->meta);
    ds_proofraw_fini(&u->raw);
    ds_buf_fini(&u->from);
    ds_buf_fini(&u->here);
    ds_buf_fini(&u->part);
    ds_buf_fini(&u->chain);
    ds_buf_fini(&u->members);
    ds_buf_fini(&u->volume);
    ds_buf_fini(&u->key);
    if (u->fd >= 0)
        close(u->fd);
}

int ds_dicom_series_run(const ds_dicom_series *s, ds_err *err)
{
    run u = {.s = s, .fd = -1, .err = err, .x = {.limit = s->spool_limit}};
    int rc = ds_dicom_index_make(&u.x, s->input, s->jobs, s->ins, s->nins, s->acc, s->rows->proof,
                                 s->rows->late, err);
    s->rows->digests = study_wanted(&u);
    if (rc == 0)
        rc = ds_dicom_temp(&u.fd, err);
    if (rc == 0)
        rc = make_slices(&u);
    if (rc == 0)
        rc = make_steps(&u);
    if (rc == 0)
        rc = put_all(&u);
    ds_dicom_late_current(s->rows->late, NULL);
    run_fini(&u);
    return rc;
}
