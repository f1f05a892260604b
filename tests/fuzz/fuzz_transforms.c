/* fuzz_transforms.c - what transforms are told and what they look at: keys to sort by, templates
 * and members of map, rules of filter over any text, runs of words, zones of times. Whatever the
 * bytes, it compiles or says why, and what compiled works. The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "gramindex.h"
#include "mapcol.h"
#include "sortkey.h"
#include "textparts.h"
#include "textrules.h"
#include "utf8.h"
#include "zonefile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static ds_schema schema;
static const ds_colnames names = {.schema = &schema};
static ds_textclass *classes;
static ds_wordfold *fold;
static const char text[] = "GET /a 200 \xe8\xbd\xb4",
                  meta[] = "{\"a\":[1,2],\"b\":\"x\\u0041\",\"c\":-1.5e3,\"d\":{\"e\":null}}";

static void begin(void)
{
    if (classes)
        return;
    require(ds_textclass_new(&classes, NULL) == 0);
    require(ds_wordfold_new(&fold, NULL) == 0);
    ds_schema_init(&schema);
    require(ds_schema_add(&schema, NULL, "text", DS_UTF8,
                          DS_COL_NULLABLE | DS_COL_PRIMARY | DS_COL_KEYED, NULL, NULL) == 0);
    require(ds_schema_add(&schema, NULL, "meta", DS_JSON, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(&schema, NULL, "n", DS_I64, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(&schema, NULL, "f", DS_F64, DS_COL_NULLABLE, NULL, NULL) == 0);
    require(ds_schema_add(&schema, NULL, "at", DS_TIMESTAMP, DS_COL_NULLABLE, NULL, NULL) == 0);
}

static void record(ds_value v[5], bool null)
{
    const ds_value all[5] = {
        {.null = null, .p = (const uint8_t *)text, .len = sizeof text - 1},
        {.null = null, .p = (const uint8_t *)meta, .len = sizeof meta - 1},
        {.null = null, .i = INT64_MIN},
        {.null = null, .f = 1e308},
        {.null = null, .i = INT64_MAX},
    };
    memcpy(v, all, sizeof all);
}

/* Two keys, parted by the first line end. */
static void sorting(char *p, bool numeric)
{
    ds_sortkey *k = NULL;
    ds_sortwork w = {0};
    ds_err err = {0};
    ds_buf out = {0};
    ds_value v[5];
    char *nl = strchr(p, '\n');
    const char *by[2] = {p, nl ? nl + 1 : NULL};
    if (nl)
        *nl = '\0';
    const int rc = ds_sortkey_new(&k, &names, by, nl ? 2 : 1, numeric, numeric, &err);
    require(rc == 0 || (err.code && err.msg[0]));
    for (int i = 0; rc == 0 && i < 2; i++) {
        const ds_range range = {1, 2, 3};
        ds_colview views[5] = {{.type = DS_UTF8},
                               {.type = DS_JSON},
                               {.type = DS_I64},
                               {.type = DS_F64},
                               {.type = DS_TIMESTAMP}};
        record(v, i);
        require(ds_sortkey_put(k, &w, views, v, &range, 1, &out, &err) == 0 || err.code);
    }
    ds_sortwork_fini(&w);
    ds_sortkey_free(k);
    ds_buf_fini(&out);
}

static void mapping(const char *p, unsigned how)
{
    ds_mapcol *m = NULL;
    ds_mapwork w = {0};
    ds_err err = {0};
    ds_value v[5];
    int rc;
    if (how == 0) {
        rc = ds_mapcol_text(&m, p, &names, &err);
    } else if (how == 1) {
        rc = ds_mapcol_object(&m, 1, &names, &err);
        const char *eq = strchr(p, '=');
        char *name = strndup(p, eq ? (size_t)(eq - p) : strlen(p));
        require(name != NULL);
        rc = rc ? rc : ds_mapcol_member(m, name, eq ? eq + 1 : NULL, &err);
        free(name);
    } else {
        rc = ds_mapcol_value(&m, p, strlen(p), (enum ds_type)((how - 2) % (DS_NTYPES + 1)), &names,
                             &err);
    }
    require(rc == 0 || (err.code && err.msg[0]));
    for (int i = 0; rc == 0 && i < 2; i++) {
        ds_madecol out = {.type = ds_mapcol_type(m)};
        record(v, i);
        rc = ds_mapcol_make(m, &w, NULL, v, &out, &err);
        require(rc == 0 || (rc == 1 && w.why.len) || rc == DS_NOMEM);
        rc = rc == 1 ? 0 : rc;
        ds_spool_fini(&out.data);
        ds_buf_fini(&out.cells);
    }
    ds_mapwork_fini(&w);
    ds_mapcol_free(m);
}

static void rules(const uint8_t *p, size_t len)
{
    static const char *const presets[] = {"gopher-quality", "gopher-repetition", "c4",
                                          "fineweb-quality", "fineweb"};
    ds_textjudge j = {0};
    ds_err err = {0};
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        ds_textrules r = {0};
        int rule = -2;
        require(ds_textrules_preset(&r, presets[i], &err) == 0);
        require(ds_textjudge_text(&j, &r, classes, p, len, &rule, &err) == 0);
        require(rule >= -1 && rule < DS_NRULES);
        require(!r.rewrites || rule >= 0 || j.len <= len);
    }
    ds_textjudge_fini(&j);
}

static void rule_words(const char *p)
{
    ds_textrules r = {0};
    ds_err err = {0};
    require(ds_textrules_set(&r, p, &err) == 0 || (err.code == DS_USAGE && err.msg[0]));
    ds_err_clear(&err);
    require(ds_textrules_preset(&r, p, &err) == 0 || (err.code == DS_USAGE && err.msg[0]));
}

/* Parts lie in the text, one behind the other: lines and paragraphs do not overlap. */
typedef struct seen {
    size_t len, last, upto;
    bool apart;
} seen;

static int see_part(void *ctx, const ds_textpart *part, ds_err *err)
{
    seen *s = ctx;
    (void)err;
    require(part->from < part->to && part->to <= s->len);
    require(part->from >= (s->apart ? s->upto : s->last));
    s->last = part->from;
    s->upto = part->to;
    return 0;
}

static void parts(const uint8_t *p, size_t len, bool near)
{
    static const char *const how[] = {"line", "paragraph", "words=5"};
    ds_partwork w = {0};
    ds_err err = {0};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        ds_partrules r = {.words = near, .fold = fold};
        seen s = {.len = len, .apart = i < 2};
        require(ds_partrules_read(&r, how[i], &err) == 0);
        require(ds_textparts(&r, &w, p, len, see_part, &s, &err) == 0);
    }
    ds_partwork_fini(&w);
}

/* A text, cut in the middle, in itself. */
static void runs(const uint8_t *p, size_t len, unsigned how)
{
    const ds_gramrules r = {.n = 1 + how % 7,
                            .least = 1 + how % 3 % (1 + how % 7),
                            .hits = 1,
                            .memory = 1 << 20,
                            .threads = 1};
    ds_gramindex *x = NULL;
    ds_gramwork w = {0};
    ds_err err = {0};
    require(ds_gramindex_new(&x, &r, fold, &err) == 0 && ds_gramindex_set(x, "s", &err) == 0);
    int rc = 0;
    for (int i = 0; rc == 0 && i < 3; i++) {
        rc = ds_gramindex_record(x, &i, sizeof i, &err);
        rc = rc ? rc : ds_gramindex_text(x, p, i ? len / 2 : len, &err);
        rc = rc ? rc : ds_gramindex_end(x, &err);
    }
    if (rc == 0)
        require(ds_gramindex_build(x, &err) == 0 && ds_gramindex_find(x, &w, p, len, &err) == 0);
    const ds_gramhit *h = (const ds_gramhit *)(const void *)w.hits.data;
    for (size_t i = 0; rc == 0 && i < w.hits.len / sizeof *h; i++)
        require(h[i].from <= h[i].to && h[i].to <= len && h[i].record < 3 &&
                h[i].common <= h[i].of);
    require(rc || ds_gramindex_short(x) || w.hits.len);
    ds_gramwork_fini(&w);
    ds_gramindex_free(x);
}

static void zones(const uint8_t *p, size_t len)
{
    ds_zone *z = NULL;
    ds_err err = {0};
    int64_t a, b;
    require(ds_zone_parse(&z, p, len, &err) == 0 || (err.code && err.msg[0] && !z));
    for (int64_t t = -9200000000; z && t < 9200000000; t += 987654321) {
        ds_zone_utc(z, t, &a, &b);
        require(a <= b);
    }
    ds_zone_free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    begin();
    if (len < 2)
        return 0;
    const uint8_t *p = data + 2;
    len -= 2;
    char *s = malloc(len + 1);
    require(s != NULL);
    memcpy(s, p, len);
    s[len] = '\0';
    const unsigned what = data[0] % 6;
    if (what == 2 || what == 4) /* texts of a column, which are UTF-8 */
        for (size_t n; (n = ds_utf8_check((const uint8_t *)s, len)) < len;)
            s[n] = ' ';
    switch (what) {
    case 0:
        sorting(s, data[1] & 1);
        break;
    case 1:
        mapping(s, data[1]);
        break;
    case 2:
        rules((const uint8_t *)s, len);
        break;
    case 3:
        rule_words(s);
        break;
    case 4:
        runs((const uint8_t *)s, len, data[1]);
        parts((const uint8_t *)s, len, data[1] & 1);
        break;
    default:
        zones((const uint8_t *)s, len);
    }
    free(s);
    return 0;
}
