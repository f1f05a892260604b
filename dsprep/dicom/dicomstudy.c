/* dicomstudy.c - see dicomstudy.h. */
#include "dicomstudy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define SECTIONS (DS_FACTS - DS_FACT_SECTION)

static int put_member(ds_buf *b, const char *name, ds_text t)
{
    return t.p ? ds_buf_printf(b, ",\"%s\":", name) | ds_json_str(b, t.p, t.n) : 0;
}

static ds_text fact(const ds_dicom_record *rec, enum ds_fact what)
{
    return (ds_text){rec->facts->text[what], rec->facts->len[what]};
}

static int put_shape(ds_buf *b, const ds_dicom_record *rec, const ds_sha *digest, uint64_t count)
{
    char hex[65];
    const dcm_shape *s = &rec->shape;
    int bad = ds_buf_printf(b, ",\"dtype\":\"%s\",\"shape\":[", ds_dtype_name((int)s->dtype));
    if (s->frames > 1 || rec->stack)
        bad |= ds_buf_printf(b, "%" PRIu32 ",", s->frames);
    bad |= ds_buf_printf(b, "%" PRIu32 ",%" PRIu32, s->rows, s->cols);
    if (s->samples > 1)
        bad |= ds_buf_printf(b, ",%" PRIu32, s->samples);
    ds_sha_hex(hex, digest);
    bad |= ds_buf_printf(b, "],\"sha256\":\"%s\"", hex);
    return count ? bad | ds_buf_printf(b, ",\"count\":%" PRIu64, count) : bad;
}

static int put_affine(ds_buf *b, const ds_dicom_record *rec)
{
    double m[16];
    if (!rec->one_affine || !rec->places || !ds_dicom_affine(rec->places[0], rec->step, m))
        return 0;
    int bad = ds_buf_puts(b, ",\"affine\":[");
    for (int i = 0; i < 16; i++)
        bad |= (i ? ds_buf_putc(b, ',') : 0) | ds_json_real(b, m[i]);
    return bad | ds_buf_putc(b, ']');
}

static int append(ds_buf *b, ds_text t, const char *between)
{
    return t.p ? (b->len ? ds_buf_puts(b, between) : 0) | ds_buf_put(b, t.p, t.n) : 0;
}

static int note_first(ds_dicom_study *s, const ds_dicom_record *rec)
{
    if (s->first.len)
        return 0;
    return append(&s->first, rec->key, "") | append(&s->patient, fact(rec, DS_FACT_PATIENT), "") |
           append(&s->study, fact(rec, DS_FACT_STUDY), "");
}

int ds_dicom_study_note(ds_dicom_study *s, const ds_dicom_record *rec, const ds_sha *digest,
                        uint64_t count, ds_err *err)
{
    ds_buf *b = &s->members;
    int bad = note_first(s, rec) | ds_buf_puts(b, b->len ? ",{\"key\":" : "{\"key\":") |
              ds_json_str(b, rec->key.p, rec->key.n) |
              ds_buf_printf(b, ",\"kind\":\"%s\"", rec->kind);
    bad |= put_member(b, "series", fact(rec, DS_FACT_SERIES));
    if (rec->facts->series_number != INT64_MIN)
        bad |= ds_buf_printf(b, ",\"number\":%" PRId64, rec->facts->series_number);
    bad |= put_member(b, "modality", fact(rec, DS_FACT_MODALITY));
    if (rec->has_image)
        bad |= put_shape(b, rec, digest, count) | put_affine(b, rec);
    if (rec->volume.p)
        bad |= ds_buf_puts(b, ",\"volume\":") | ds_buf_put(b, rec->volume.p, rec->volume.n);
    bad |= ds_buf_putc(b, '}') | append(&s->text, rec->text, "\n");
    for (size_t i = 0; i < SECTIONS; i++)
        bad |= append(&s->section[i], rec->section[i], "\n\n");
    s->count += count;
    if (bad)
        return ds_fail_nomem(err);
    return ds_dicom_common_add(&s->meta, rec->meta.p, rec->meta.n, err);
}

static int put_record(ds_dicom_study *s, ds_dicom_rows *rows, const uint64_t *ordinals,
                      const uint64_t *sizes, size_t n, ds_err *err)
{
    ds_dicom_facts facts = {0};
    ds_buf key = {0}, members = {0};
    facts.text[DS_FACT_PATIENT] = ds_text_of(&s->patient).p;
    facts.len[DS_FACT_PATIENT] = s->patient.len;
    facts.text[DS_FACT_STUDY] = ds_text_of(&s->study).p;
    facts.len[DS_FACT_STUDY] = s->study.len;
    const ds_buf *name = s->study.len ? &s->study : &s->first;
    int bad = (s->study.len ? 0 : ds_buf_puts(&key, "study-")) |
              ds_buf_put(&key, name->data, name->len) | ds_buf_putc(&members, '[') |
              ds_buf_put(&members, s->members.data, s->members.len) | ds_buf_putc(&members, ']');
    ds_dicom_record rec = {.kind = "study",
                           .key = ds_text_of(&key),
                           .meta = ds_text_of(&s->meta.text),
                           .text = ds_text_of(&s->text),
                           .members = ds_text_of(&members),
                           .facts = &facts,
                           .sources = ordinals,
                           .sizes = sizes,
                           .nsources = n,
                           .count = s->count};
    for (size_t i = 0; i < SECTIONS; i++)
        rec.section[i] = ds_text_of(&s->section[i]);
    int rc = bad ? ds_fail_nomem(err) : ds_dicom_rows_record(rows, &rec, NULL, NULL, err);
    ds_buf_fini(&key);
    ds_buf_fini(&members);
    return rc;
}

int ds_dicom_study_put(ds_dicom_study *s, ds_dicom_rows *rows, const uint64_t *sizes, size_t n,
                       ds_err *err)
{
    if (s->first.len == 0)
        return 0;
    uint64_t *ordinals = calloc(n ? n : 1, sizeof *ordinals);
    if (!ordinals)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        ordinals[i] = i;
    int rc = put_record(s, rows, ordinals, sizes, n, err);
    free(ordinals);
    ds_dicom_study_fini(s);
    return rc;
}

void ds_dicom_study_fini(ds_dicom_study *s)
{
    ds_buf_fini(&s->patient);
    ds_buf_fini(&s->study);
    ds_buf_fini(&s->first);
    ds_buf_fini(&s->members);
    ds_buf_fini(&s->text);
    for (size_t i = 0; i < SECTIONS; i++)
        ds_buf_fini(&s->section[i]);
    ds_dicom_common_fini(&s->meta);
    memset(s, 0, sizeof *s);
}
