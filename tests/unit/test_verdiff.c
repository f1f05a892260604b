/* Differences between versions: the same whatever fits in memory, for any number of threads, and
 * whichever blocks are read. */
#include "obj_help.h"

#include <fcntl.h>
#include <unistd.h>

#include "dsr_prov.h"
#include "dsr_rows.h"
#include "io.h"
#include "publish.h"
#include "verdiff.h"

enum { RECORDS = 6000 };

/* Version `v` of a list of records: derived keys over `id`, which repeats; `text` may change. */
static void put_record(ds_rows *r, uint64_t i, int v)
{
    char id[32], text[64];
    uint64_t s = i;
    const uint64_t x = obj_rand(&s);
    if (v && x % 50 == 0)
        return;
    snprintf(id, sizeof id, "%llu", (unsigned long long)(i % 7 ? i : i % 70));
    snprintf(text, sizeof text, "some text %llu%s", (unsigned long long)x,
             v && x % 61 == 0 ? " changed" : "");
    OK(ds_rows_begin(r, err));
    OK(ds_colbuild_bytes(ds_rows_col(r, 0), id, strlen(id), err));
    OK(ds_colbuild_bytes(ds_rows_col(r, 1), text, strlen(text), err));
    OK(ds_rows_end(r, err));
}

static git_oid put_version(ds_store *s, int v)
{
    char path[512];
    ds_schema schema;
    ds_buf prov = {0};
    ds_out out = {0};
    ds_writer *w = NULL;
    ds_rows *r = NULL;
    ds_published done = {0};
    int fd = -1;
    snprintf(path, sizeof path, "%s", unit_path("v.dsr"));
    ds_schema_init(&schema);
    schema.block_min = 1024;
    schema.block_target = 4096;
    schema.block_max = 16384;
    OK(ds_schema_add(&schema, NULL, "id", DS_UTF8, DS_COL_PRIMARY | DS_COL_KEYED, NULL, err));
    OK(ds_schema_add(&schema, NULL, "text", DS_UTF8, DS_COL_PRIMARY, NULL, err));
    OK(ds_prov_append(&prov, NULL, 0, "test", NULL, NULL, err));
    OK(ds_open(&fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600, err));
    OK(ds_out_init(&out, fd, path, err));
    OK(ds_writer_new(&w, &out, &schema, prov.data, prov.len, &(ds_writer_opts){0}, err));
    OK(ds_rows_new(&r, w, &schema, err));
    for (uint64_t i = 0; i < RECORDS; i++) {
        put_record(r, i, v);
        if (v && i % 97 == 0)
            put_record(r, i + RECORDS, v);
    }
    OK(ds_rows_finish(r, err));
    OK(ds_writer_end(w, NULL, NULL, err));
    OK(ds_out_flush(&out, err));
    ds_rows_free(r);
    ds_writer_free(w);
    ds_out_fini(&out);
    OK(ds_close(&fd, path, err));
    OK(ds_open(&fd, path, O_RDONLY, 0, err));
    OK(ds_publish_stream(
        &done, s, fd, path,
        &(ds_publish_opts){.dataset = "d", .branch = "main", .pass = {.threads = 1}}, err));
    OK(ds_close(&fd, path, err));
    const git_oid id = done.id;
    ds_published_fini(&done);
    ds_schema_fini(&schema);
    ds_buf_fini(&prov);
    return id;
}

/* The items as text; places only where they are the same whichever blocks are read. */
static char *items(ds_store *s, const git_oid *a, const git_oid *b, const ds_verdiff_opts *o,
                   ds_diffstats *stats)
{
    ds_verdiff *d = NULL;
    ds_diffitem it;
    ds_recblock rec[2] = {{0}, {0}};
    ds_buf text = {0};
    int rc;
    OK(ds_verdiff_new(&d, s, a, b, o, err));
    *stats = *ds_verdiff_stats(d);
    while ((rc = ds_verdiff_next(d, &it, NULL)) > 0) {
        const bool after = it.change != DS_REMOVED;
        const ds_recplace at = after ? it.b : it.a;
        OK(ds_recblock_at(&rec[after], ds_verdiff_side(d, after), at.block, at.row, err));
        const ds_value *x = rec[after].values;
        assert_int_equal(ds_buf_printf(&text, "%d %.*s %.*s\n", it.change, (int)x[0].len,
                                       (const char *)x[0].p, (int)x[1].len, (const char *)x[1].p),
                         0);
    }
    assert_int_equal(rc, 0);
    ds_recblock_fini(&rec[0]);
    ds_recblock_fini(&rec[1]);
    ds_verdiff_free(d);
    assert_non_null(ds_buf_cstr(&text));
    return (char *)text.data;
}

static void the_result_depends_on_the_versions_alone(void **state)
{
    (void)state;
    ds_store s = {0};
    ds_diffstats first, stats;
    OK(ds_store_init(unit_path("store"), DS_SHARED_UMASK, NULL, err));
    OK(ds_store_open(&s, unit_path("store"), DS_OBJ_WRITE, err));
    const git_oid a = put_version(&s, 0), b = put_version(&s, 1);
    char *want = items(&s, &a, &b, &(ds_verdiff_opts){.threads = 1}, &first);
    assert_true(first.removed > 50 && first.changed > 50 && first.added > 30);
    assert_int_equal(first.records_a + first.added, first.records_b + first.removed);
    static const ds_verdiff_opts others[] = {{.threads = 4},
                                             {.threads = 2, .limit = 100},
                                             {.threads = 1, .limit = 1},
                                             {.threads = 2, .whole = true},
                                             {.threads = 1, .seed = 77}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char *got = items(&s, &a, &b, &others[i], &stats);
        assert_string_equal(got, want);
        free(got);
    }
    free(want);
    want = items(&s, &b, &b, &(ds_verdiff_opts){.threads = 1}, &stats);
    assert_string_equal(want, "");
    assert_int_equal(stats.blocks_read, 0);
    free(want);
    ds_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_result_depends_on_the_versions_alone),
    };
    return cmocka_run_group_tests_name("verdiff", tests, NULL, unit_dir_remove);
}
