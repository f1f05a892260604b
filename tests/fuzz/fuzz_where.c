/* fuzz_where.c - expressions: whatever the text, it compiles or says why; what compiled gives a
 * value for records with and without nulls. */
#include <stdlib.h>
#include <string.h>

#include "where.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static void make_schema(ds_schema *s)
{
    ds_schema_init(s);
    require(ds_schema_add(s, NULL, "text", DS_UTF8, DS_COL_NULLABLE | DS_COL_PRIMARY | DS_COL_KEYED,
                          NULL, NULL) == 0);
    require(ds_schema_add(s, NULL, "meta", DS_JSON, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(s, NULL, "n", DS_I64, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(s, NULL, "f", DS_F64, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(s, NULL, "ok", DS_BOOL, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(s, NULL, "at", DS_TIMESTAMP, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(s, NULL, "ids", DS_TOKENS16, DS_COL_NULLABLE, NULL, NULL) == 0);
}

static void evaluate(const ds_where *w, ds_wherework *k, bool null)
{
    static const char text[] = "GET /a 200 \xe8\xbd\xb4", meta[] =
                                                              "{\"a\":[1,2],\"b\":\"x\\u0041\","
                                                              "\"c\":-1.5e3,\"d\":{\"e\":null}}";
    const ds_value v[7] = {
        {.null = null, .p = (const uint8_t *)text, .len = sizeof text - 1},
        {.null = null, .p = (const uint8_t *)meta, .len = sizeof meta - 1},
        {.null = null, .i = INT64_MIN},
        {.null = null, .f = 1e308},
        {.null = null, .i = 1},
        {.null = null, .i = INT64_MAX},
        {.null = null, .count = 3},
    };
    ds_wval out;
    ds_err err = {0};
    int rc = ds_where_eval(w, k, NULL, v, &out, &err);
    require(rc == 0 || rc == DS_NOMEM || rc == DS_FAIL); /* a pattern may be too slow */
    size_t sum = 0;
    if (rc == 0 && out.type == DS_W_TEXT)
        for (size_t i = 0; i < out.len; i++)
            sum += out.p[i];
    require(sum < SIZE_MAX && ds_where_truth(&out) <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    ds_schema s;
    ds_where *w = NULL;
    ds_wherework k = {0};
    ds_err err = {0};
    char *copy = malloc(len ? len : 1);
    require(copy != NULL);
    if (len)
        memcpy(copy, data, len);
    make_schema(&s);
    int rc = ds_where_new(&w, copy, len, &(ds_colnames){.schema = &s}, &err);
    require((rc == 0) == (w != NULL) && (rc == 0 || err.msg[0]));
    if (w) {
        evaluate(w, &k, false);
        evaluate(w, &k, true);
    }
    int64_t ns;
    (void)ds_time_read(data, len, &ns);
    ds_wherework_fini(&k);
    ds_where_free(w);
    ds_schema_fini(&s);
    free(copy);
    return 0;
}
