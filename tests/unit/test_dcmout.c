/* What is written beside records: the proof over values and shards, the report, the source map,
 * DICOM files. */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "dcm_parse.h"
#include "deidreport.h"
#include "dicomfiles.h"
#include "dsr_make.h"
#include "ids_help.h"
#include "json.h"

#define VR(s) DCM_VR((s)[0], (s)[1])

static dcm_ids *ids_of(const char *name, const char *born)
{
    dcm_ids *ids;
    assert_int_equal(dcm_ids_new(&ids, NULL), 0);
    assert_int_equal(ids_add(ids, 0x00100010, name, strlen(name)), 0);
    assert_int_equal(ids_add(ids, 0x00100030, born, strlen(born)), 0);
    return ids;
}

static uint64_t hits_after(ds_proof *p, enum ds_proof_kind kind, const char *text)
{
    assert_int_equal(ds_proof_value(p, "col", kind, text, strlen(text), NULL), 0);
    return ds_proof_hits(p);
}

static void values(void **state)
{
    (void)state;
    ds_proof *p;
    ds_err err = {0};
    ds_buf out = {0};
    json_t *v;
    assert_int_equal(ds_proof_new(&p, NULL), 0);
    dcm_ids *a = ids_of("Sorensen^Ingrid", "19550312"), *b = ids_of("Okonkwo^Chidi", "19610107");
    assert_int_equal(ds_proof_file(p, a, NULL), 0);
    assert_int_equal(hits_after(p, DS_PROOF_TEXT, "nobody, 1961-01-07"), 0);
    assert_int_equal(hits_after(p, DS_PROOF_TEXT, "okonkwo"), 0); /* not known yet */
    assert_int_equal(ds_proof_verdict(p, &err), 0);
    assert_int_equal(hits_after(p, DS_PROOF_TEXT, "born 1955-03-12"), 1);
    assert_int_equal(ds_proof_file(p, b, NULL), 0);
    assert_int_equal(hits_after(p, DS_PROOF_TEXT, "1955-03-12"), 1); /* dates of others count not */
    assert_int_equal(hits_after(p, DS_PROOF_JSON, "\"x\\nSorensen\""), 2);
    assert_int_equal(hits_after(p, DS_PROOF_RAW, "\1\2Sorensen^Ingrid\3"), 3);
    assert_int_equal(ds_proof_verdict(p, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "PatientName in column col"));
    assert_null(strstr(err.msg, "Sorensen"));
    assert_int_equal(ds_proof_json(p, &out, NULL), 0);
    assert_int_equal(ds_json_parse(&v, out.data, out.len, "proof", NULL), 0);
    assert_int_equal(json_array_size(json_object_get(v, "hits")), 2);
    json_decref(v);
    ds_buf_fini(&out);
    dcm_ids_free(a);
    dcm_ids_free(b);
    ds_proof_free(p);
}

static void shards(void **state)
{
    (void)state;
    ds_buf stream = {0};
    ds_proof *p;
    ds_err err = {0};
    make_wide_stream(&stream, 300, 3, NULL);
    mkdir(unit_path("shards"), 0700);
    unit_write(unit_path("shards/shard-00000.dsr"), stream.data, stream.len);
    assert_int_equal(ds_proof_new(&p, NULL), 0);
    dcm_ids *a = ids_of("Sorensen^Ingrid", "19550312");
    ds_proof_file(p, a, NULL);
    assert_int_equal(ds_proof_shards(p, unit_path("shards"), &err), 0);
    assert_int_equal(ds_proof_hits(p), 0);
    dcm_ids_free(a);
    ds_proof_free(p);
    ds_buf_fini(&stream);
}

/* A stream of one text column with what should not be in it. */
static void shards_with_a_leak(void **state)
{
    (void)state;
    ds_schema s;
    ds_out out;
    ds_writer *w;
    ds_rows *r;
    ds_proof *p;
    ds_err err = {0};
    static const char *const rows[] = {"all is well", "seen: Sorensen, I.", "all is well"};
    FILE *f = fopen(unit_path("leak.dsr"), "wb");
    assert_non_null(f);
    make_text_schema(&s, 0, 0, 0);
    ds_writer_opts o = {0};
    assert_int_equal(ds_out_init(&out, fileno(f), "leak", NULL), 0);
    assert_int_equal(ds_writer_new(&w, &out, &s, "[]", 2, &o, NULL), 0);
    assert_int_equal(ds_rows_new(&r, w, &s, NULL), 0);
    for (int i = 0; i < 3; i++) {
        ds_rows_begin(r, NULL);
        ds_colbuild_bytes(ds_rows_col(r, 0), rows[i], strlen(rows[i]), NULL);
        assert_int_equal(ds_rows_end(r, NULL), 0);
    }
    assert_int_equal(ds_rows_finish(r, NULL), 0);
    assert_int_equal(ds_writer_end(w, NULL, NULL, NULL), 0);
    assert_int_equal(ds_out_flush(&out, NULL), 0);
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&out);
    ds_schema_fini(&s);
    fclose(f);
    assert_int_equal(ds_proof_new(&p, NULL), 0);
    dcm_ids *a = ids_of("Sorensen^Ingrid", "19550312");
    ds_proof_file(p, a, NULL);
    int rc = ds_proof_shards(p, unit_path("leak.dsr"), &err);
    if (rc != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(ds_proof_hits(p), 1);
    assert_int_equal(ds_proof_verdict(p, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "column text"));
    dcm_ids_free(a);
    ds_proof_free(p);
}

static void report(void **state)
{
    (void)state;
    dcm_policy *policy;
    dcm_actions *acts;
    ds_counts counts = {.records = 7};
    dcm_key key = {.id = "0011223344556677"};
    json_t *v;
    size_t len;
    assert_int_equal(dcm_policy_parse(&policy, "basic", NULL), 0);
    assert_int_equal(dcm_actions_new(&acts, NULL), 0);
    dcm_actions_add(acts, 0x00100010, NULL, DCM_ACT_DUMMY, 3, NULL);
    dcm_actions_add(acts, 0x00091001, "ACME", DCM_ACT_REMOVE, 2, NULL);
    ds_counts_add(&counts, false, "secondary-capture", 2, NULL);
    const ds_deid_report r = {
        .policy = policy, .key = &key, .actions = acts, .counts = &counts, .inputs = 9};
    assert_int_equal(ds_deid_report_write(&r, unit_path("report"), NULL), 0);
    char *text = unit_read(unit_path("report"), &len);
    assert_int_equal(ds_json_parse(&v, text, len, "report", NULL), 0);
    assert_int_equal(json_integer_value(json_object_get(v, "inputs")), 9);
    json_t *a = json_object_get(v, "actions");
    assert_int_equal(json_array_size(a), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(a, 1), "keyword")),
                        "PatientName");
    json_decref(v);
    free(text);
    ds_counts_fini(&counts);
    dcm_actions_free(acts);
    dcm_policy_free(policy);
}

typedef struct counted {
    size_t rows;
    uint64_t more;
} counted;

static void count_row(void *ctx, uint32_t tag, const char *creator, enum dcm_action act, uint64_t n)
{
    counted *c = ctx;
    c->rows++;
    if (tag == DCM_ACTIONS_MORE && !creator && act == DCM_ACT_REMOVE)
        c->more += n;
}

/* Files that are made of private elements, each of a creator of its own, fill no report. */
static void report_has_an_end(void **state)
{
    (void)state;
    dcm_actions *acts;
    char creator[16];
    counted c = {0};
    assert_int_equal(dcm_actions_new(&acts, NULL), 0);
    for (unsigned turn = 0; turn < 2; turn++)
        for (unsigned i = DCM_ACTIONS_MAX + 100; i > 0; i--) {
            snprintf(creator, sizeof creator, "%u", i);
            dcm_actions_add(acts, 0x00091001, creator, DCM_ACT_REMOVE, 1, NULL);
        }
    dcm_actions_each(acts, count_row, &c);
    assert_int_equal(c.rows, DCM_ACTIONS_MAX + 1);
    assert_int_equal(c.more, 200);
    dcm_actions_free(acts);
}

static void source_map(void **state)
{
    (void)state;
    ds_source_map *m;
    ds_sha sha = {{1}};
    struct stat st;
    size_t len;
    assert_int_equal(ds_source_map_open(&m, unit_path("map"), NULL), 0);
    assert_int_equal(ds_source_map_put(m, "aabb", "a \"b\".dcm", 9, &sha, NULL), 0);
    ds_source_map_free(m);
    assert_int_equal(stat(unit_path("map"), &st), -1); /* not ended, not there */
    assert_int_equal(ds_source_map_open(&m, unit_path("map"), NULL), 0);
    assert_int_equal(ds_source_map_put(m, "aabb", "a \"b\".dcm", 9, &sha, NULL), 0);
    assert_int_equal(ds_source_map_end(m, NULL), 0);
    ds_source_map_free(m);
    assert_int_equal(stat(unit_path("map"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *text = unit_read(unit_path("map"), &len);
    assert_non_null(
        strstr(text, "{\"source\":\"aabb\",\"name\":\"a \\\"b\\\".dcm\",\"sha256\":\"01"));
    free(text);
}

static dcm_tree *object(void)
{
    dcm_tree *t;
    dcm_elem *e;
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    dcm_set *s = dcm_tree_main(t);
    static const struct {
        uint32_t tag;
        const char *vr, *v;
    } v[] = {{0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2"},
             {0x00080018, "UI", "2.25.4"},
             {0x00100020, "LO", "ab/../cd"},
             {0x0020000d, "UI", "2.25.1"},
             {0x0020000e, "UI", "2.25.2"},
             {0x00280004, "CS", "YBR_FULL"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        dcm_set_put(t, s, v[i].tag, VR(v[i].vr), v[i].v, strlen(v[i].v), NULL, NULL);
    dcm_set_put(t, s, 0x7fe00010, VR("OB"), "", 0, &e, NULL);
    e->bulk = true;
    dcm_set_put(t, s, 0xfffcfffc, VR("OB"), "xy", 2, NULL, NULL);
    return t;
}

static void dicom_files(void **state)
{
    (void)state;
    static const struct {
        unsigned allocated, stored, samples, frames, size;
        enum dcm_sample dtype;
        const char *vr;
    } v[] = {{8, 8, 3, 2, 1, DCM_U8, "OB"},
             {16, 12, 1, 1, 2, DCM_I16, "OW"},
             {1, 1, 1, 3, 1, DCM_U8, "OB"},
             {32, 32, 1, 1, 4, DCM_F32, "OF"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_image im = {.rows = 3, .cols = 5, .samples = v[i].samples, .frames = v[i].frames};
        uint8_t frame[3 * 5 * 3 * 4];
        ds_dicom_file f;
        size_t len, n = 15u * v[i].samples * v[i].size;
        int64_t got;
        ds_err err = {0};
        dcm_tree *t = object(), *again;
        im.allocated = (uint16_t)v[i].allocated;
        im.stored = (uint16_t)v[i].stored;
        im.dtype = v[i].dtype;
        snprintf(im.photometric, sizeof im.photometric, v[i].samples == 3 ? "RGB" : "MONOCHROME2");
        for (size_t k = 0; k < sizeof frame; k++)
            frame[k] = (uint8_t)(v[i].allocated == 1 ? k % 3 == 0 : k);
        int rc = ds_dicom_file_begin(&f, unit_path("one.dcm"), t, &im, &err);
        if (rc != 0)
            fail_msg("%s", err.msg);
        for (unsigned k = 0; k < v[i].frames; k++)
            assert_int_equal(ds_dicom_file_frame(&f, frame, n, NULL), 0);
        assert_int_equal(ds_dicom_file_end(&f, NULL), 0);
        char *data = unit_read(unit_path("one.dcm"), &len);
        assert_int_equal(len % 2, 0);
        assert_int_equal(dcm_tree_new(&again, NULL), 0);
        assert_true(dcm_parse_bytes(again, (uint8_t *)data, len));
        const dcm_set *s = dcm_tree_main(again);
        assert_true(dcm_get_int(s, 0x00280100, 0, &got));
        assert_int_equal(got, v[i].allocated);
        assert_int_equal(dcm_get_count(s, 0x00280008), v[i].frames > 1);
        assert_non_null(dcm_set_find(s, 0x00280004));
        assert_null(dcm_set_find(dcm_tree_meta(again), 0x00020016));
        free(data);
        dcm_tree_free(t);
        dcm_tree_free(again);
        /* A frame too few, or one of another size, is no file. */
        t = object();
        assert_int_equal(ds_dicom_file_begin(&f, unit_path("two.dcm"), t, &im, NULL), 0);
        assert_int_equal(ds_dicom_file_frame(&f, frame, n + 1, NULL), DS_FAIL);
        assert_int_equal(ds_dicom_file_end(&f, NULL), DS_FAIL);
        assert_int_not_equal(access(unit_path("two.dcm"), F_OK), 0);
        dcm_tree_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(shards),
        cmocka_unit_test(shards_with_a_leak),
        cmocka_unit_test(report),
        cmocka_unit_test(report_has_an_end),
        cmocka_unit_test(source_map),
        cmocka_unit_test(dicom_files),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
