/* dicomrows.c - see dicomrows.h. */
#include "dicomrows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dicompatch.h"
#include "dicompreview.h"
#include "io.h"

#define PART ((size_t)1 << 20)
#define HELD ((size_t)128 << 20)    /* images of a block that stay in memory */
#define HELD_ONE ((size_t)16 << 20) /* of those, one */

typedef struct column {
    const char *name;
    enum ds_type type; /* of a list: of its items */
    bool list, nullable, primary;
} column;

/* In the order of the schema. Texts from COL_PATIENT on are facts, in the order of enum ds_fact
 * but for the frame of reference. */
enum {
    COL_KEY,
    COL_KIND,
    COL_IMAGE,
    COL_FRAME,
    COL_META,
    COL_TEXT,
    COL_CHAIN,
    COL_PATIENT,
    COL_STUDY,
    COL_SERIES,
    COL_MODALITY,
    COL_BODY_PART,
    COL_LATERALITY,
    COL_VIEW,
    COL_SPACING,
    COL_POSITION,
    COL_ORIENTATION,
    COL_AFFINE,
    COL_CONTENT,
    COL_INDICATION,
    COL_TECHNIQUE,
    COL_COMPARISON,
    COL_FINDINGS,
    COL_IMPRESSION,
    COL_VOLUME,
    COL_MEMBERS,
    COLUMNS,
    COL_GRID = COLUMNS,
    COL_MASK,
    COL_COUNT,
    ALL_COLUMNS /* with patches */
};

_Static_assert(COL_IMAGE == DS_DICOM_IMAGE, "where images are");

static const column columns[ALL_COLUMNS] = {
    [COL_KEY] = {"key", DS_UTF8, false, false, false},
    [COL_KIND] = {"kind", DS_UTF8, false, false, false},
    [COL_IMAGE] = {"image", DS_TENSOR, false, true, false},
    [COL_FRAME] = {"frame", DS_I64, false, true, false},
    [COL_META] = {"meta", DS_JSON, false, false, true},
    [COL_TEXT] = {"text", DS_UTF8, false, true, false},
    [COL_CHAIN] = {"chain", DS_JSON, false, true, false},
    [COL_PATIENT] = {"patient", DS_UTF8, false, true, false},
    [COL_STUDY] = {"study", DS_UTF8, false, true, false},
    [COL_SERIES] = {"series", DS_UTF8, false, true, false},
    [COL_MODALITY] = {"modality", DS_UTF8, false, true, false},
    [COL_BODY_PART] = {"body_part", DS_UTF8, false, true, false},
    [COL_LATERALITY] = {"laterality", DS_UTF8, false, true, false},
    [COL_VIEW] = {"view", DS_UTF8, false, true, false},
    [COL_SPACING] = {"spacing", DS_F64, true, true, false},
    [COL_POSITION] = {"position", DS_F64, true, true, false},
    [COL_ORIENTATION] = {"orientation", DS_F64, true, true, false},
    [COL_AFFINE] = {"affine", DS_F64, true, true, false},
    [COL_CONTENT] = {"content", DS_JSON, false, true, false},
    [COL_INDICATION] = {"indication", DS_UTF8, false, true, false},
    [COL_TECHNIQUE] = {"technique", DS_UTF8, false, true, false},
    [COL_COMPARISON] = {"comparison", DS_UTF8, false, true, false},
    [COL_FINDINGS] = {"findings", DS_UTF8, false, true, false},
    [COL_IMPRESSION] = {"impression", DS_UTF8, false, true, false},
    [COL_VOLUME] = {"volume", DS_JSON, false, true, false},
    [COL_MEMBERS] = {"members", DS_JSON, false, true, false},
    [COL_GRID] = {"grid", DS_I64, true, true, false},
    [COL_MASK] = {"mask", DS_TENSOR, false, true, false},
    [COL_COUNT] = {"count", DS_I64, false, true, false},
};

int ds_dicom_schema(ds_schema *s, uint32_t patch, ds_err *err)
{
    int rc = 0;
    s->explicit_key = true;
    for (size_t i = 0; i < (patch ? (size_t)ALL_COLUMNS : COLUMNS) && rc == 0; i++) {
        const column *c = &columns[i];
        const char *name = patch && i == COL_IMAGE ? "patches" : c->name;
        rc = c->list ? ds_schema_add_list(s, NULL, name, c->type, c->nullable, err)
                     : ds_schema_add(s, NULL, name, c->type,
                                     (c->nullable ? DS_COL_NULLABLE : 0) |
                                         (c->primary ? DS_COL_PRIMARY : 0),
                                     NULL, err);
    }
    return rc == 0 ? ds_schema_check(s, err) : rc;
}

void ds_dicom_rows_fini(ds_dicom_rows *r)
{
    ds_proofraw_fini(&r->raw);
}

static int proved(ds_dicom_rows *r, const char *name, enum ds_proof_kind kind, const void *p,
                  size_t n, ds_err *err)
{
    return r->proof && n ? ds_proof_value(r->proof, name, kind, p, n, err) : 0;
}

/* ---- one record ---- */

typedef struct put {
    ds_dicom_rows *r;
    ds_rows *rows;
    const ds_dicom_record *rec;
    ds_hasher *hash; /* NULL: no digest is wanted */
    ds_patches grid;
    bool lazy; /* the image comes later */
    ds_err *err;
} put;

static ds_colbuild *col(const put *p, size_t i)
{
    return ds_rows_col(p->rows, i);
}

static int put_text(put *p, size_t i, ds_text t)
{
    if (!t.p)
        return ds_colbuild_null(col(p, i), p->err);
    int rc = proved(p->r, columns[i].name,
                    columns[i].type == DS_JSON ? DS_PROOF_JSON : DS_PROOF_TEXT, t.p, t.n, p->err);
    return rc == 0 ? ds_colbuild_bytes(col(p, i), t.p, t.n, p->err) : rc;
}

/* Bytes of the image's tensor, in order. */
static int put_bytes(put *p, const uint8_t *bytes, size_t n, ds_err *err)
{
    int rc = ds_colbuild_part(col(p, COL_IMAGE), bytes, n, err);
    if (rc == 0 && p->hash)
        rc = ds_hasher_put(p->hash, bytes, n, err);
    if (rc == 0 && !p->rec->searched)
        rc = ds_proofraw_put(&p->r->raw, p->r->proof, "image", bytes, n, err);
    return rc;
}

/* All of it at once, straight to where it stays, where that is memory. */
static int put_whole(put *p, uint64_t n, bool *done, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    uint8_t *to = NULL;
    int rc = n <= HELD_ONE ? ds_colbuild_room(col(p, COL_IMAGE), (size_t)n, &to, err) : 0;
    *done = to != NULL;
    if (rc != 0 || !to)
        return rc;
    rc = ds_pread_exact(rec->fd, "an answer", to, (size_t)n, rec->at, err);
    if (rc == 0 && p->hash)
        rc = ds_hasher_put(p->hash, to, (size_t)n, err);
    if (rc == 0 && !rec->searched)
        rc = proved(p->r, "image", DS_PROOF_RAW, to, (size_t)n, err);
    ds_colbuild_filled(col(p, COL_IMAGE), (size_t)n);
    return rc;
}

static int put_parts_of(put *p, uint64_t left, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    uint64_t at = rec->at;
    ds_buf part = {0};
    int rc = 0;
    if (ds_buf_reserve(&part, left < PART ? (size_t)left : PART) != 0)
        rc = ds_fail_nomem(err);
    while (rc == 0 && left > 0) {
        size_t take = left < PART ? (size_t)left : PART;
        rc = ds_pread_exact(rec->fd, "temporary file", part.data, take, at, err);
        if (rc == 0)
            rc = put_bytes(p, part.data, take, err);
        at += take;
        left -= take;
    }
    ds_buf_fini(&part);
    return rc;
}

/* All frames as they come. */
static int put_tensor(put *p, int n, const uint64_t *dims, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    const uint64_t all = rec->shape.frames * rec->frame_bytes; /* checked before */
    bool done = false;
    int rc = ds_colbuild_tensor_begin(col(p, COL_IMAGE), (int)rec->shape.dtype, n, dims, err);
    if (rc == 0)
        rc = put_whole(p, all, &done, err);
    if (rc == 0 && !done)
        rc = put_parts_of(p, all, err);
    return rc == 0 ? ds_colbuild_end(col(p, COL_IMAGE), err) : rc;
}

static int put_plain(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    const dcm_shape *im = &rec->shape;
    uint64_t dims[4];
    int n = 0;
    if (im->frames > 1 || rec->stack)
        dims[n++] = im->frames;
    dims[n++] = im->rows;
    dims[n++] = im->cols;
    if (im->samples > 1)
        dims[n++] = im->samples;
    return put_tensor(p, n, dims, err);
}

/* A frame at a time: its patches one behind the other, each row by row. */
static int put_patches(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    const ds_patches *g = &p->grid;
    ds_buf frame = {0}, laid = {0};
    uint64_t dims[2] = {g->count, (uint64_t)g->side * g->side * rec->shape.samples};
    if (p->r->laid)
        return put_tensor(p, 2, dims, err);
    int rc = ds_colbuild_tensor_begin(col(p, COL_IMAGE), (int)rec->shape.dtype, 2, dims, err);
    if (rc == 0 && ds_buf_reserve(&frame, (size_t)rec->frame_bytes) != 0)
        rc = ds_fail_nomem(err);
    for (uint32_t f = 0; rc == 0 && f < rec->shape.frames; f++) {
        rc = ds_pread_exact(rec->fd, "temporary file", frame.data, (size_t)rec->frame_bytes,
                            rec->at + f * rec->frame_bytes, err);
        if (rc == 0)
            rc = ds_patches_lay(g, frame.data, &laid, err);
        if (rc == 0)
            rc = put_bytes(p, laid.data, laid.len, err);
    }
    ds_buf_fini(&frame);
    ds_buf_fini(&laid);
    return rc == 0 ? ds_colbuild_end(col(p, COL_IMAGE), err) : rc;
}

static int put_image(put *p, ds_err *err)
{
    if (p->lazy)
        return 0;
    if (p->rec->has_image && p->rec->fd < 0)
        return ds_dicom_late_image(p->r->late, p->rec, err);
    if (!p->rec->has_image)
        return ds_colbuild_null(col(p, COL_IMAGE), err);
    ds_proofraw_reset(&p->r->raw);
    const uint64_t all = p->rec->shape.frames * p->rec->frame_bytes;
    ds_colbuild_limit(col(p, COL_IMAGE), all <= HELD_ONE ? HELD : 0);
    int rc = p->r->digests ? ds_hasher_new(&p->hash, err) : 0;
    if (rc == 0 && p->hash)
        rc = ds_hasher_reset(p->hash, err);
    if (rc != 0)
        return rc;
    return p->r->patch ? put_patches(p, err) : put_plain(p, err);
}

/* ---- geometry ---- */

static int put_reals(ds_colbuild *b, const double *v, size_t n, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ds_colbuild_item_f64(b, v[i], err);
    return rc;
}

static const double *part_of(const ds_dicom_place *p, unsigned what, size_t *n)
{
    *n = what == DS_PLACE_SPACING ? 2 : what == DS_PLACE_POSITION ? 3 : 6;
    return what == DS_PLACE_SPACING    ? p->spacing
           : what == DS_PLACE_POSITION ? p->position
                                       : p->orientation;
}

/* One set of numbers a frame; one for all where they are the same and that is wanted. */
static int put_parts(put *p, size_t i, unsigned what, bool merge, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    ds_colbuild *b = col(p, i);
    size_t n = 0, frames = rec->shape.frames;
    bool all = rec->places != NULL, same = merge;
    for (size_t f = 0; all && f < frames; f++) {
        all = (rec->places[f]->has & what) != 0;
        const double *v = part_of(rec->places[f], what, &n), *w = part_of(rec->places[0], what, &n);
        same = same && memcmp(v, w, n * sizeof *v) == 0;
    }
    if (!all || frames == 0)
        return ds_colbuild_null(b, err);
    int rc = ds_colbuild_list_begin(b, err);
    if (rc == 0 && what == DS_PLACE_SPACING && rec->step) {
        const double *s = rec->step;
        rc = ds_colbuild_item_f64(b, sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]), err);
    }
    for (size_t f = 0; f < (same ? 1 : frames) && rc == 0; f++) {
        const double *v = part_of(rec->places[f], what, &n);
        rc = put_reals(b, v, n, err);
    }
    return rc == 0 ? ds_colbuild_list_end(b, err) : rc;
}

static int put_affine(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    ds_colbuild *b = col(p, COL_AFFINE);
    double m[16];
    size_t n = rec->stack ? rec->one_affine : rec->shape.frames;
    bool all = rec->places != NULL && n > 0;
    for (size_t f = 0; all && f < n; f++)
        all = ds_dicom_affine(rec->places[f], rec->step, m);
    if (!all)
        return ds_colbuild_null(b, err);
    int rc = ds_colbuild_list_begin(b, err);
    for (size_t f = 0; f < n && rc == 0; f++) {
        ds_dicom_affine(rec->places[f], rec->step, m);
        rc = put_reals(b, m, 16, err);
    }
    return rc == 0 ? ds_colbuild_list_end(b, err) : rc;
}

static int put_geometry(put *p, ds_err *err)
{
    int rc = put_parts(p, COL_SPACING, DS_PLACE_SPACING, true, err);
    if (rc == 0)
        rc = put_parts(p, COL_POSITION, DS_PLACE_POSITION, false, err);
    if (rc == 0)
        rc = put_parts(p, COL_ORIENTATION, DS_PLACE_ORIENTATION, true, err);
    return rc == 0 ? put_affine(p, err) : rc;
}

/* ---- texts ---- */

/* Placeholders for every patch, a line, the text; what looks like a placeholder in it does not. */
static int put_words(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    uint64_t n = rec->has_image ? p->grid.count : rec->count;
    ds_buf b = {0};
    if (!p->r->patch || (!rec->text.p && n == 0))
        return put_text(p, COL_TEXT, rec->text);
    int rc = ds_patches_text(&b, p->r->placeholder, n, rec->text.p, rec->text.n, err);
    if (rc == 0)
        rc = put_text(p, COL_TEXT, (ds_text){b.data, b.len});
    ds_buf_fini(&b);
    return rc;
}

/* Sections of a report may be tokenized too. */
static int put_section(put *p, size_t i, ds_text t, ds_err *err)
{
    ds_buf b = {0};
    if (!p->r->patch || !t.p)
        return put_text(p, i, t);
    int rc = ds_patches_text(&b, p->r->placeholder, 0, t.p, t.n, err);
    if (rc == 0)
        rc = put_text(p, i, (ds_text){b.data, b.len});
    ds_buf_fini(&b);
    return rc;
}

static int put_facts(put *p, ds_err *err)
{
    static const struct {
        uint8_t column, fact;
    } map[] = {{COL_PATIENT, DS_FACT_PATIENT},     {COL_STUDY, DS_FACT_STUDY},
               {COL_SERIES, DS_FACT_SERIES},       {COL_MODALITY, DS_FACT_MODALITY},
               {COL_BODY_PART, DS_FACT_BODY_PART}, {COL_LATERALITY, DS_FACT_LATERALITY},
               {COL_VIEW, DS_FACT_VIEW},           {COL_CONTENT, DS_FACT_CONTENT}};
    const ds_dicom_facts *f = p->rec->facts;
    int rc = 0;
    for (size_t i = 0; i < sizeof map / sizeof *map && rc == 0; i++)
        rc = put_text(p, map[i].column,
                      f ? (ds_text){f->text[map[i].fact], f->len[map[i].fact]} : (ds_text){0});
    for (size_t i = 0; i < DS_FACTS - DS_FACT_SECTION && rc == 0; i++)
        rc = put_section(p, COL_INDICATION + i, p->rec->section[i], err);
    return rc;
}

static int put_grid(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    const ds_patches *g = &p->grid;
    ds_buf mask = {0};
    if (!p->r->patch)
        return 0;
    if (!rec->has_image) {
        int rc = ds_colbuild_null(col(p, COL_GRID), err);
        if (rc == 0)
            rc = ds_colbuild_null(col(p, COL_MASK), err);
        if (rc == 0)
            rc = rec->count ? ds_colbuild_i64(col(p, COL_COUNT), (int64_t)rec->count, err)
                            : ds_colbuild_null(col(p, COL_COUNT), err);
        return rc;
    }
    const int64_t grid[3] = {(int64_t)rec->shape.frames, g->down, g->across};
    int rc = ds_colbuild_list_begin(col(p, COL_GRID), err);
    for (size_t i = 0; i < 3 && rc == 0; i++)
        rc = ds_colbuild_item_i64(col(p, COL_GRID), grid[i], err);
    if (rc == 0)
        rc = ds_colbuild_list_end(col(p, COL_GRID), err);
    uint64_t dims[2] = {g->count, (uint64_t)g->side * g->side};
    if (rc == 0)
        rc = ds_colbuild_tensor_begin(col(p, COL_MASK), DS_U8, 2, dims, err);
    if (rc == 0)
        rc = ds_patches_mask(g, &mask, err);
    for (uint32_t f = 0; rc == 0 && f < rec->shape.frames; f++)
        rc = ds_colbuild_part(col(p, COL_MASK), mask.data, mask.len, err);
    ds_buf_fini(&mask);
    if (rc == 0)
        rc = ds_colbuild_end(col(p, COL_MASK), err);
    return rc == 0 ? ds_colbuild_i64(col(p, COL_COUNT), (int64_t)g->count, err) : rc;
}

/* ---- a record ---- */

static int put_origin(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    if (!rec->sources)
        return ds_shardout_row(p->r->out, 0, rec->sizes[0], err);
    return ds_shardout_joined(p->r->out, rec->sources, rec->sizes, rec->nsources, err);
}

static int put_columns(put *p, ds_err *err)
{
    const ds_dicom_record *rec = p->rec;
    int rc = ds_rows_begin(p->rows, err);
    if (rc == 0)
        rc = put_text(p, COL_KEY, rec->key);
    if (rc == 0)
        rc = ds_colbuild_bytes(col(p, COL_KIND), rec->kind, strlen(rec->kind), err);
    if (rc == 0)
        rc = put_image(p, err);
    if (rc == 0)
        rc = rec->frame ? ds_colbuild_i64(col(p, COL_FRAME), rec->frame, err)
                        : ds_colbuild_null(col(p, COL_FRAME), err);
    if (rc == 0)
        rc = put_text(p, COL_META, rec->meta);
    if (rc == 0)
        rc = put_words(p, err);
    if (rc == 0)
        rc = put_text(p, COL_CHAIN, rec->chain);
    if (rc == 0)
        rc = put_facts(p, err);
    if (rc == 0)
        rc = put_geometry(p, err);
    if (rc == 0)
        rc = put_text(p, COL_VOLUME, rec->volume);
    if (rc == 0)
        rc = put_text(p, COL_MEMBERS, rec->members);
    if (rc == 0)
        rc = put_grid(p, err);
    return rc == 0 ? put_origin(p, err) : rc;
}

int ds_dicom_rows_image(ds_dicom_rows *r, const ds_dicom_record *rec, ds_err *err)
{
    put p = {.r = r, .rec = rec, .err = err};
    int rc = ds_shardout_rows(r->out, &p.rows, err);
    if (rc == 0 && r->patch && rec->has_image)
        rc = ds_patches_of(&p.grid, r->patch, &rec->shape, err);
    if (rc == 0)
        rc = put_image(&p, err);
    ds_hasher_free(p.hash);
    return rc;
}

/* Of an image that was put, or comes later. */
static int image_digest(const put *p, ds_sha *digest, ds_err *err)
{
    ds_dicom_late *late = p->r->late;
    if (!p->hash) { /* it is asked for only where it is known */
        if (p->rec->has_image && !ds_dicom_late_digest(late, p->rec, digest))
            return ds_fail(err, DS_FAIL, "the digest of an image is not known");
    } else {
        int rc = ds_hasher_end(p->hash, digest, err);
        if (rc != 0)
            return rc;
    }
    return late && p->rec->has_image ? ds_dicom_late_put_digest(late, p->rec, digest, err) : 0;
}

int ds_dicom_rows_record(ds_dicom_rows *r, const ds_dicom_record *rec, ds_sha *digest,
                         uint64_t *count, ds_err *err)
{
    put p = {.r = r, .rec = rec, .err = err};
    int rc = ds_shardout_rows(r->out, &p.rows, err);
    if (rc == 0 && r->patch && rec->has_image)
        rc = ds_patches_of(&p.grid, r->patch, &rec->shape, err);
    if (rc == 0 && r->late)
        rc = ds_dicom_late_begin(r->late, rec, &p.lazy, err);
    if (rc == 0)
        rc = put_columns(&p, err);
    if (rc == 0 && r->preview && rec->has_image)
        rc = ds_dicom_preview_record(r->preview, rec, err);
    if (rc == 0 && r->digests && digest)
        rc = image_digest(&p, digest, err);
    ds_hasher_free(p.hash);
    if (count)
        *count = p.grid.count;
    r->records += rc == 0;
    return rc;
}

/* ---- objects by themselves ---- */

int ds_dicom_rows_chain(ds_buf *out, const ds_buf *lines, int64_t frame, ds_err *err)
{
    const char *p = (const char *)lines->data, *end = p + lines->len, *nl;
    if (lines->len == 0 || !memchr(p, '\n', lines->len))
        return ds_buf_put(out, p, lines->len) ? ds_fail_nomem(err) : 0;
    int bad = frame < 0 ? ds_buf_putc(out, '[') : 0;
    for (int64_t i = 0; p < end; p = nl + 1, i++) {
        nl = memchr(p, '\n', (size_t)(end - p));
        nl = nl ? nl : end;
        if (frame == i)
            bad |= ds_buf_put(out, p, (size_t)(nl - p));
        else if (frame < 0)
            bad |= (i ? ds_buf_putc(out, ',') : 0) | ds_buf_put(out, p, (size_t)(nl - p));
    }
    bad |= frame < 0 ? ds_buf_putc(out, ']') : 0;
    return bad ? ds_fail_nomem(err) : 0;
}

int ds_dicom_rows_object(ds_dicom_record *rec, ds_dicom_parts *parts, const ds_dicom_result *res,
                         int fd, ds_dicom_member *member, int64_t frame, ds_err *err)
{
    const ds_dicom_facts *f = &res->facts;
    uint32_t first = frame < 0 ? 0 : (uint32_t)frame, n = frame < 0 ? res->shape.frames : 1;
    bool bad = ds_buf_put(&parts->key, res->key.data, res->key.len) != 0;
    if (frame >= 0)
        bad |= ds_buf_printf(&parts->key, "#%" PRId64, frame + 1) != 0;
    if (f->nplaces && res->has_image) {
        parts->places = calloc(n, sizeof *parts->places);
        bad |= !parts->places;
        for (uint32_t i = 0; parts->places && i < n; i++)
            parts->places[i] = ds_dicom_place_of(f, first + i);
    }
    int rc = bad ? ds_fail_nomem(err) : 0;
    member->frame = frame;
    if (rc == 0 && res->has_image)
        rc = ds_dicom_rows_chain(&parts->chain, &res->chain, frame, err);
    *rec = (ds_dicom_record){.kind = !res->has_image ? "document"
                                     : frame < 0     ? "image"
                                                     : "frame",
                             .key = ds_text_of(&parts->key),
                             .meta = ds_text_of(&res->meta),
                             .text = ds_text_of(&res->text),
                             .chain = ds_text_of(&parts->chain),
                             .frame = frame + 1,
                             .facts = f,
                             .has_image = res->has_image,
                             .shape = res->shape,
                             .frame_bytes = res->frame_bytes,
                             .at = res->data_at + first * res->frame_bytes,
                             .fd = fd,
                             .made = member,
                             .nmade = 1,
                             .places = parts->places,
                             .sizes = &member->size};
    rec->shape.frames = n;
    for (size_t i = 0; i < DS_FACTS - DS_FACT_SECTION; i++)
        rec->section[i] = (ds_text){f->text[DS_FACT_SECTION + i], f->len[DS_FACT_SECTION + i]};
    return rc;
}

void ds_dicom_parts_fini(ds_dicom_parts *parts)
{
    free(parts->places);
    ds_buf_fini(&parts->key);
    ds_buf_fini(&parts->chain);
    parts->places = NULL;
}

int ds_dicom_rows_look(ds_dicom_rows *r, const ds_dicom_result *res, bool *found, ds_err *err)
{
    const ds_dicom_facts *f = &res->facts;
    *found = false;
    ds_dicom_late_current(r->late, res->ids);
    int rc = r->proof ? ds_proof_file(r->proof, res->ids, err) : 0;
    if (rc != 0 || !r->proof || !r->hold_found || res->outcome != DS_DICOM_RECORD)
        return rc;
    rc = ds_proof_look(r->proof, "meta", DS_PROOF_JSON, res->meta.data, res->meta.len, found, err);
    if (rc == 0)
        rc = ds_proof_look(r->proof, "text", DS_PROOF_TEXT, res->text.data, res->text.len, found,
                           err);
    for (size_t i = 0; i < DS_FACTS && rc == 0; i++)
        rc = ds_proof_look(r->proof, i == DS_FACT_CONTENT ? "content" : "facts",
                           i == DS_FACT_CONTENT ? DS_PROOF_JSON : DS_PROOF_TEXT, f->text[i],
                           f->len[i], found, err);
    return rc;
}

int ds_dicom_rows_put(ds_dicom_rows *r, const ds_dicom_result *res, int fd, ds_dicom_member *member,
                      ds_err *err)
{
    bool each = r->unit == DS_UNIT_FRAME && res->has_image;
    int rc = 0;
    for (uint32_t i = 0; i < (each ? res->shape.frames : 1) && rc == 0; i++) {
        ds_dicom_record rec;
        ds_dicom_parts parts = {0};
        rc = ds_dicom_rows_object(&rec, &parts, res, fd, member, each ? (int64_t)i : -1, err);
        if (rc == 0)
            rc = ds_dicom_rows_record(r, &rec, NULL, NULL, err);
        ds_dicom_parts_fini(&parts);
    }
    return rc;
}
