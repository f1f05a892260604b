/* lineage.json and the run description: what is written reads back to the same bytes, and anything
 * else is refused. */
#include "unit.h"

#include <stdio.h>

#include "filesum.h"
#include "lineage.h"

static char training[] = "{\"method\":\"lora\",\"lr\":0.0001}",
            environment[] = "{\"backend\":\"cpu\"}";
static char tokenizer[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
static char docs[] = "docs", more[] = "m\"o\xc3\xa9", tokens[] = "tokens", none[] = "",
            version[] = "0.1.0", step[] = "step-000300", base[] = "base";

static ds_run_dataset datasets[2];

static ds_lineage sample(void)
{
    datasets[0] = (ds_run_dataset){.name = docs,
                                   .column = tokens,
                                   .tokenizer = tokenizer,
                                   .root = {{1, 2}},
                                   .records = 1000,
                                   .commit = "0123456789012345678901234567890123456789"};
    datasets[1] =
        (ds_run_dataset){.name = more, .column = tokens, .tokenizer = none, .root = {{3}}};
    return (ds_lineage){.name = step,
                        .files = {{9}},
                        .run = {.datasets = datasets,
                                .ndatasets = 2,
                                .seed = 7,
                                .steps = 600,
                                .rows = 4,
                                .seq_len = 128,
                                .window = 100,
                                .longer = DS_LONG_SPLIT,
                                .model = {{5}},
                                .training = training,
                                .trainer = version},
                        .environment = environment,
                        .model_name = base,
                        .binary = {{6}},
                        .step = 300,
                        .rows = 1200,
                        .head = {{8}}};
}

static ds_buf dumped(void)
{
    const ds_lineage l = sample();
    ds_buf b = {0};
    ds_err err = {0};
    if (ds_lineage_dump(&b, &l, &err))
        fail_msg("%s", err.msg);
    return b;
}

static void round_trip(void **state)
{
    ds_buf b = dumped(), again = {0};
    ds_lineage l;
    ds_sha x, y;
    ds_err err = {0};
    const ds_lineage want = sample();

    (void)state;
    if (ds_lineage_parse(&l, b.data, b.len, "x", &err))
        fail_msg("%s", err.msg);
    assert_int_equal(ds_lineage_dump(&again, &l, &err), 0);
    assert_int_equal(again.len, b.len);
    assert_memory_equal(again.data, b.data, b.len);
    assert_string_equal(l.run.datasets[0].commit, want.run.datasets[0].commit);
    assert_string_equal(l.run.datasets[1].commit, "");
    assert_string_equal(l.run.datasets[1].name, more);
    assert_string_equal(l.run.training, training);
    assert_string_equal(l.model_name, base);
    assert_true(l.run.longer == DS_LONG_SPLIT && l.step == 300 && l.rows == 1200 &&
                l.head.b[0] == 8 && l.binary.b[0] == 6);
    assert_int_equal(ds_run_digest(&x, &want.run, &err), 0);
    assert_int_equal(ds_run_digest(&y, &l.run, &err), 0);
    assert_true(ds_sha_eq(&x, &y));
    ds_lineage_fini(&l);
    ds_buf_fini(&b);
    ds_buf_fini(&again);
}

/* The description in the document is the one that the digest is of. */
static void description_as_documented(void **state)
{
    const ds_lineage l = sample();
    ds_buf b = {0};
    ds_err err = {0};
    ds_sha a, c;

    (void)state;
    assert_int_equal(ds_run_dump(&b, &l.run, &err), 0);
    const char want[] =
        "{\"version\":1,\"trainer\":\"0.1.0\",\"datasets\":[{\"name\":\"docs\",\"column\":"
        "\"tokens\",\"tokenizer\":"
        "\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"root\":"
        "\"sha256:0102000000000000000000000000000000000000000000000000000000000000\",\"records\":"
        "1000},"
        "{\"name\":\"m\\\"o\xc3\xa9\",\"column\":\"tokens\",\"tokenizer\":\"\",\"root\":"
        "\"sha256:0300000000000000000000000000000000000000000000000000000000000000\",\"records\":0}"
        "],"
        "\"seed\":7,\"steps\":600,\"rows\":4,\"seq_len\":128,\"window\":100,\"long\":\"split\","
        "\"model\":"
        "\"sha256:0500000000000000000000000000000000000000000000000000000000000000\",\"training\":"
        "{\"method\":\"lora\",\"lr\":0.0001}}";
    assert_int_equal(b.len, sizeof want - 1);
    assert_memory_equal(b.data, want, b.len);
    assert_int_equal(ds_run_digest(&a, &l.run, &err), 0);
    assert_int_equal(ds_sha_tagged(&c, "ds.run", b.data, b.len, &err), 0);
    assert_true(ds_sha_eq(&a, &c));
    ds_buf_fini(&b);
}

/* Loss mask, weights and what was consumed come back, and are told only where they are. */
static void what_may_be_absent(void **state)
{
    static char loss[] = "loss", consumed[] = "{\"first\":1,\"datasets\":[]}";
    static const char *const lies[][3] = {{"\"weight\":3}", "\"weight\":0}", "weight"},
                                          {",\"weight\":7", "", "weight"},
                                          {"\"mask\":\"loss\"", "\"mask\":\"\"", "mask"},
                                          {"\"first\":1", "\"first\":2", ""},
                                          {"\"consumed\"", "\"consumer\"", ""},
                                          {"[0,2]", "[0,0]", "[0].erased"},
                                          {"[0,2]", "[-1,2]", "[0].erased"},
                                          {"[0,2]", "[0,5]", "[0].erased"}, /* touches the next */
                                          {"[998,2]", "[998,3]", "[0].erased"},
                                          {"[998,2]", "[998]", "[0].erased"},
                                          {"[[0,2],[5,1],[998,2]]", "[]", "[0].erased"}};
    static ds_records erased[] = {{0, 2}, {5, 1}, {998, 2}};
    ds_lineage l = sample(), back;
    ds_buf b = {0}, again = {0};
    ds_err err = {0};

    (void)state;
    datasets[0].mask = loss;
    datasets[0].weight = 7;
    datasets[1].weight = 3;
    datasets[0].erased = erased;
    datasets[0].nerased = 3;
    l.consumed = consumed;
    assert_int_equal(ds_lineage_dump(&b, &l, &err), 0);
    assert_non_null(strstr(ds_buf_cstr(&b), "\"records\":1000,\"mask\":\"loss\",\"weight\":7,"
                                            "\"erased\":[[0,2],[5,1],[998,2]]},"));
    assert_int_equal(ds_lineage_parse(&back, b.data, b.len, "x", &err), 0);
    assert_string_equal(back.run.datasets[0].mask, "loss");
    assert_null(back.run.datasets[1].mask);
    assert_true(back.run.datasets[0].weight == 7 && back.run.datasets[1].weight == 3);
    assert_string_equal(back.consumed, consumed);
    assert_true(back.run.datasets[0].nerased == 3 && back.run.datasets[1].nerased == 0);
    assert_memory_equal(back.run.datasets[0].erased, erased, sizeof erased);
    ds_lineage_fini(&back);
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        const char *text = ds_buf_cstr(&b), *at = strstr(text, lies[i][0]);
        assert_non_null(at);
        ds_buf_reset(&again);
        err.code = 0;
        assert_int_equal(ds_buf_printf(&again, "%.*s%s%s", (int)(at - text), text, lies[i][1],
                                       at + strlen(lies[i][0])),
                         0);
        assert_int_equal(ds_lineage_parse(&back, again.data, again.len, "x", &err), DS_CORRUPT);
        assert_non_null(strstr(err.msg, lies[i][2]));
    }
    ds_buf_fini(&b);
    ds_buf_fini(&again);
}

/* Records that were erased before a run have no length; what cannot be is refused. */
static void what_is_left_out(void **state)
{
    static ds_records many[DS_ERASED_MAX + 1];
    const ds_records some[] = {{0, 2}, {4, 1}}, beyond[] = {{4, 2}}, past[] = {{6, 1}};
    uint32_t lengths[] = {1, 2, 3, 4, 5};
    ds_lineage l = sample();
    ds_buf b = {0};
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_run_leave_out(lengths, 5, some, 2, &err), 0);
    assert_true(!lengths[0] && !lengths[1] && lengths[2] == 3 && lengths[3] == 4 && !lengths[4]);
    assert_int_equal(ds_run_leave_out(lengths, 5, beyond, 1, &err), DS_FAIL);
    assert_int_equal(ds_run_leave_out(lengths, 5, past, 1, &err), DS_FAIL);
    for (size_t i = 0; i <= DS_ERASED_MAX; i++)
        many[i] = (ds_records){2 * i, 1};
    datasets[0].erased = many;
    datasets[0].nerased = DS_ERASED_MAX + 1;
    err.code = 0;
    assert_int_equal(ds_run_dump(&b, &l.run, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "erased in 65537 places"));
    ds_buf_fini(&b);
}

/* parse(mutated) must fail as corrupt, with a name. */
static void refused(const json_t *root, const char *how)
{
    ds_buf b = {0};
    ds_lineage l;
    ds_err err = {0};

    assert_int_equal(ds_json_dump(&b, root, &err), 0);
    const int rc = ds_lineage_parse(&l, b.data, b.len, "F", &err);
    if (rc != DS_CORRUPT)
        fail_msg("%s gives %d: %s: %.*s", how, rc, err.msg, (int)b.len, (const char *)b.data);
    assert_non_null(strstr(err.msg, "F: "));
    ds_buf_fini(&b);
}

/* Members whose value the document does not say a second time: another value of the same kind is
 * another fact, not an error. */
static bool free_fact(const char *key)
{
    static const char *const keys[] = {"rows", "steps",  "seed",    "seq_len", "window", "records",
                                       "lr",   "method", "backend", "trainer", "column"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i]))
            return true;
    return false;
}

static void walk(json_t *root, json_t *at, bool own)
{
    if (json_is_array(at))
        for (size_t i = 0; i < json_array_size(at); i++)
            walk(root, json_array_get(at, i), own);
    if (!json_is_object(at))
        return;
    const char *key;
    json_t *v;
    json_object_foreach(at, key, v)
    {
        const bool inner = own || !strcmp(key, "training") || !strcmp(key, "internalParameters");
        walk(root, v, inner);
    }
    if (own)
        return;
    /* One member at a time: of another type, then beside a stranger. */
    json_t *keys = json_array();
    json_object_foreach(at, key, v) json_array_append_new(keys, json_string(key));
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *k = json_string_value(json_array_get(keys, i));
        json_t *old = json_incref(json_object_get(at, k)), *copy = json_copy(at);
        json_object_set_new(at, k, json_null());
        refused(root, k);
        if (json_is_string(old) && !free_fact(k) && strcmp(k, "name") != 0 &&
            strcmp(k, "sha256") != 0) {
            json_object_set_new(at, k, json_string("other"));
            refused(root, k);
        }
        if (json_is_integer(old)) {
            json_object_set_new(at, k, json_integer(-1));
            refused(root, k);
        }
        if (strcmp(k, "gitCommit") != 0) { /* a file has none */
            json_object_del(at, k);
            refused(root, k);
        }
        json_object_clear(at);
        json_object_update(at, copy); /* in their first order */
        json_object_set_new(at, "stranger", json_true());
        refused(root, "stranger");
        json_object_del(at, "stranger");
        json_decref(copy);
        json_decref(old);
    }
    json_decref(keys);
}

static void every_member_is_checked(void **state)
{
    ds_buf b = dumped();
    json_t *root = NULL;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_json_parse(&root, b.data, b.len, "x", &err), 0);
    walk(root, root, false);
    /* After all that the document is what it was. */
    ds_buf again = {0};
    assert_int_equal(ds_json_dump(&again, root, &err), 0);
    assert_memory_equal(again.data, b.data, b.len);
    json_decref(root);
    ds_buf_fini(&again);
    ds_buf_fini(&b);
}

static void every_cut_is_refused(void **state)
{
    ds_buf b = dumped();
    ds_lineage l;

    (void)state;
    for (size_t i = 0; i < b.len; i++) {
        ds_err err = {0};
        assert_int_equal(ds_lineage_parse(&l, b.data, i, "F", &err), DS_CORRUPT);
    }
    assert_int_equal(ds_buf_putc(&b, ' '), 0);
    ds_err err = {0};
    assert_int_equal(ds_lineage_parse(&l, b.data, b.len, "F", &err), DS_CORRUPT);
    ds_buf_fini(&b);
}

/* A digest that the document says twice cannot be changed in one place. */
static void digests_agree(void **state)
{
    static const char *const twice[] = {"01020000", "01234567", "05000000"};
    ds_lineage l;

    (void)state;
    for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
        ds_buf b = dumped();
        ds_err err = {0};
        uint8_t *p = memmem(b.data, b.len, twice[i], 8);
        assert_non_null(p);
        p[1] = p[1] == '1' ? '2' : '1';
        assert_int_equal(ds_lineage_parse(&l, b.data, b.len, "F", &err), DS_CORRUPT);
        ds_buf_fini(&b);
    }
}

static void what_cannot_be_written(void **state)
{
    ds_lineage l = sample();
    ds_buf b = {0};
    ds_err err = {0};
    char latin[] = "\xe9", escape[] = "a\033[2J";

    (void)state;
    l.run.seed = UINT64_MAX;
    assert_int_equal(ds_lineage_dump(&b, &l, &err), DS_USAGE);
    l = sample();
    datasets[1].name = latin;
    err.code = 0;
    assert_int_equal(ds_lineage_dump(&b, &l, &err), DS_FAIL);
    l = sample();
    datasets[1].name = escape;
    err.code = 0;
    assert_int_equal(ds_lineage_dump(&b, &l, &err), DS_FAIL);
    assert_null(strchr(err.msg, '\033'));
    ds_buf_fini(&b);
}

static void packing_and_firsts(void **state)
{
    const ds_lineage l = sample();
    ds_packing *p;
    uint64_t firsts[2], row;
    uint32_t lengths[1000] = {0};
    const ds_span *spans;
    size_t n;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_run_firsts(&l.run, firsts), 1000);
    assert_true(firsts[0] == 0 && firsts[1] == 1000);
    lengths[17] = 300; /* split into rows of 128 */
    assert_int_equal(ds_run_packing(&p, &l.run, lengths, &err), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ds_packing_next(p, &row, &spans, &n, &err), 0);
        assert_true(n == 1 && spans->record == 17 && spans->offset % 128 == 0);
    }
    assert_int_equal(ds_packing_epoch(p), 0);
    assert_int_equal(ds_packing_next(p, &row, &spans, &n, &err), 0);
    assert_int_equal(ds_packing_epoch(p), 1);
    ds_packing_free(p);
}

static void model_digest(void **state)
{
    ds_sha a, b;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_model_sum(&a, unit_dir(), &err), DS_FAIL);
    err.code = 0;
    unit_write(unit_path("config.json"), "{}", 2);
    unit_write(unit_path("model.safetensors"), "x", 1);
    assert_int_equal(ds_model_sum(&a, unit_dir(), &err), 0);
    assert_int_equal(ds_filesum_dir(&b, unit_dir(), NULL, &err), 0);
    assert_true(ds_sha_eq(&a, &b));
    unit_write(unit_path("README"), "x", 1);
    assert_int_equal(ds_model_sum(&b, unit_dir(), &err), 0);
    assert_true(ds_sha_eq(&a, &b));
    unit_write(unit_path("model.safetensors"), "y", 1);
    assert_int_equal(ds_model_sum(&b, unit_dir(), &err), 0);
    assert_false(ds_sha_eq(&a, &b));
    assert_int_equal(ds_model_sum(&b, unit_path("absent"), &err), DS_IO);
}

static void model_digest_beside(void **state)
{
    ds_model_job *job;
    ds_sha a, b;
    ds_err err = {0};

    (void)state;
    for (int i = 0; i < 12; i++) { /* more files than threads */
        char name[32];
        snprintf(name, sizeof name, "model-%d.safetensors", i);
        unit_write(unit_path(name), name, strlen(name));
    }
    assert_int_equal(ds_model_sum(&a, unit_dir(), &err), 0);
    assert_int_equal(ds_model_sum_begin(&job, unit_dir(), &err), 0);
    assert_int_equal(ds_model_sum_end(job, &b, &err), 0);
    assert_true(ds_sha_eq(&a, &b));
    assert_int_equal(ds_model_sum_begin(&job, unit_dir(), &err), 0);
    assert_int_equal(ds_model_sum_end(job, NULL, NULL), 0);
    assert_int_equal(ds_model_sum_begin(&job, unit_path("absent"), &err), 0);
    assert_int_equal(ds_model_sum_end(job, &b, &err), DS_IO);
    assert_non_null(strstr(err.msg, "absent"));
}

static void a_digest_can_be_stopped(void **state)
{
    const int stop = 1;
    ds_sha sum;
    ds_err err = {0};

    (void)state;
    unit_write(unit_path("large"), "x", 1);
    assert_int_equal(ds_sha_file_until(&sum, NULL, unit_path("large"), &stop, &err), DS_FAIL);
    assert_string_equal(err.msg, "stopped");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(description_as_documented),
        cmocka_unit_test(what_may_be_absent),
        cmocka_unit_test(what_is_left_out),
        cmocka_unit_test(every_member_is_checked),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(digests_agree),
        cmocka_unit_test(what_cannot_be_written),
        cmocka_unit_test(packing_and_firsts),
        cmocka_unit_test(model_digest),
        cmocka_unit_test(model_digest_beside),
        cmocka_unit_test(a_digest_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
