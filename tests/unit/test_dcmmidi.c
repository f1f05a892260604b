/* De-identification scored as MIDI-B scores it: synthetic identifiers in ten classes of action, put
 * into objects at every level, de-identified, written as files, read again, judged. Removals must
 * all be right, and at least 99 % of what is to be retained. Objects are made here, and the samples
 * in $DS_SHARED are used too where they are. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "unit.h"

#include "dcm_parse.h"
#include "dcmdate.h"
#include "dcmdeid.h"
#include "dcmwrite.h"

#define VR(s) DCM_VR((s)[0], (s)[1])

enum {
    TAG_RETAINED,
    TEXT_NOTNULL,
    TEXT_RETAINED,
    TEXT_REMOVED,
    DATE_SHIFTED,
    UID_CHANGED,
    UID_CONSISTENT,
    PATID_CONSISTENT,
    PIXELS_HIDDEN,
    PIXELS_RETAINED,
    CLASSES
};
static const char *const names[CLASSES] = {
    "tag_retained", "text_notnull",   "text_retained",    "text_removed",  "date_shifted",
    "uid_changed",  "uid_consistent", "patid_consistent", "pixels_hidden", "pixels_retained"};
static unsigned total[CLASSES], passed[CLASSES];

static void score(int class, bool ok, const char *what, uint32_t tag)
{
    total[class]++;
    passed[class] += ok;
    if (!ok)
        print_message("# %s: %s (%04x,%04x)\n", names[class], what, tag >> 16, tag & 0xffff);
}

/* What is injected. `text`: what must be gone from, or stay in, the element. */
static const struct probe {
    int class;
    uint32_t tag;
    const char *vr, *value, *text;
} probes[] = {
    {TAG_RETAINED, 0x00080060, "CS", "CT", NULL},
    {TAG_RETAINED, 0x00180050, "DS", "1.25", NULL},
    {TAG_RETAINED, 0x00180060, "DS", "120", NULL},
    {TAG_RETAINED, 0x00280030, "DS", "0.5\\0.5", NULL},
    {TAG_RETAINED, 0x00080100, "SH", "T-D3000", NULL},
    {TEXT_NOTNULL, 0x00181210, "SH", "B70f", NULL},
    {TEXT_NOTNULL, 0x00080070, "LO", "ACME Scanners", NULL},
    {TEXT_RETAINED, 0x00081030, "LO", "CT THORAX W/O CONTRAST", "CT THORAX W/O CONTRAST"},
    {TEXT_RETAINED, 0x0008103e, "LO", "Axial 1.25mm B70f", "Axial 1.25mm B70f"},
    {TEXT_RETAINED, 0x00080104, "LO", "Chest", "Chest"},
    {TEXT_RETAINED, 0x00204000, "LT", "12 x 15 mm nodule, segment 4/5, SUV 3.75, BI-RADS 4",
     "12 x 15 mm nodule, segment 4/5, SUV 3.75, BI-RADS 4"},
    {TEXT_RETAINED, 0x00081090, "LO", "Discovery 750", "Discovery 750"},
    {TEXT_RETAINED, 0x00101010, "AS", "064Y", "064Y"},
    {TEXT_RETAINED, 0x00080119, "UC", "386053000", "386053000"},
    {TEXT_REMOVED, 0x00100010, "PN", "Sorensen^Ingrid^Marie", "Sorensen"},
    {TEXT_REMOVED, 0x00100020, "LO", "MRN-5530917", "5530917"},
    {TEXT_REMOVED, 0x00080050, "SH", "ACC88121", "88121"},
    {TEXT_REMOVED, 0x00080090, "PN", "Okonkwo^Chidi", "Okonkwo"},
    {TEXT_REMOVED, 0x00081050, "PN", "Vandermeer^Piet", "Vandermeer"},
    {TEXT_REMOVED, 0x00080080, "LO", "Lakeshore General", "Lakeshore"},
    {TEXT_REMOVED, 0x00080081, "ST", "77 Harbor Point Road", "Harbor"},
    {TEXT_REMOVED, 0x00101040, "LO", "4 Elmtree Close", "Elmtree"},
    {TEXT_REMOVED, 0x00102154, "SH", "555-867-5309", "867-5309"},
    {TEXT_REMOVED, 0x00101001, "PN", "Halvorsen^Ingrid", "Halvorsen"},
    {TEXT_REMOVED, 0x00181000, "LO", "SN-99812-Q", "99812"},
    {TEXT_REMOVED, 0x00081010, "SH", "CT7LAKESHORE", "CT7LAKESHORE"},
    {TEXT_REMOVED, 0x00102000, "LO", "see Sorensen file", "Sorensen"},
    {TEXT_REMOVED, 0x00104000, "LT", "Ingrid Sorensen called 555-867-5309 on 01/02/2019", "Ingrid"},
    {TEXT_REMOVED, 0x00321060, "LO", "CT for I. SORENSEN", "SORENSEN"},
    {TEXT_REMOVED, 0x00181030, "LO", "Thorax MRN-5530917", "5530917"},
    {TEXT_REMOVED, 0x00081080, "LO", "pain; Dr. Fitzwilliam aware", "Fitzwilliam"},
    {TEXT_REMOVED, 0x0040a160, "UT", "Reported by Okonkwo for patient Sorensen, born 12 Mar 1955.",
     "Sorensen"},
    {TEXT_REMOVED, 0x0040a160, "UT", "E-mail ingrid@sorensen.example, tel +47 22 33 44 55",
     "ingrid@"},
    {TEXT_REMOVED, 0x0040a123, "PN", "Okonkwo^Chidi", "Okonkwo"},
    {TEXT_REMOVED, 0x00100030, "DA", "19550312", "19550312"},
    {TEXT_REMOVED, 0x00090010, "LO", "SORENSEN PRIVATE", "SORENSEN"},
    {TEXT_REMOVED, 0x00091001, "LO", "Sorensen", "Sorensen"},
    {TEXT_REMOVED, 0x00091002, "UN", "Sorensen^Ingrid ", "Sorensen"},
    {TEXT_REMOVED, 0x60003000, "OW", "Sorensen overlay", "Sorensen"},
    {TEXT_REMOVED, 0x60004000, "LT", "Sorensen", "Sorensen"},
    {TEXT_REMOVED, 0x50003000, "OW", "Sorensen curve!!", "Sorensen"},
    {TEXT_REMOVED, 0xfffcfffc, "OB", "Sorensen trailer", "Sorensen"},
    {TEXT_REMOVED, 0x0018a002, "CS", "SORENSEN", "SORENSEN"},
    {TEXT_REMOVED, 0x00189004, "OB", "1.3.6.1.4.1.55.7.1001", "55.7.1001"},
    {DATE_SHIFTED, 0x00080020, "DA", "20190102", NULL},
    {DATE_SHIFTED, 0x00080021, "DA", "20190102", NULL},
    {DATE_SHIFTED, 0x00080022, "DA", "20190109", NULL},
    {DATE_SHIFTED, 0x0008002a, "DT", "20190102103000.5", NULL},
    {DATE_SHIFTED, 0x00400244, "DA", "20190301", NULL},
    {DATE_SHIFTED, 0x0040a121, "DA", "20200229", NULL},
    {UID_CHANGED, 0x00080018, "UI", "1.3.6.1.4.1.55.7.1001", NULL},
    {UID_CHANGED, 0x0020000d, "UI", "1.3.6.1.4.1.55.7.1", NULL},
    {UID_CHANGED, 0x0020000e, "UI", "1.3.6.1.4.1.55.7.2", NULL},
    {UID_CHANGED, 0x00081155, "UI", "1.3.6.1.4.1.55.7.1002", NULL},
    {UID_CHANGED, 0x00200052, "UI", "1.3.6.1.4.1.55.7.3", NULL},
    {UID_CHANGED, 0x0040a124, "UI", "1.3.6.1.4.1.55.7.4", NULL},
    {TAG_RETAINED, 0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2", NULL},
};
#define NPROBES (sizeof probes / sizeof *probes)

/* Levels: the top, an item, an item in an item, a node of SR content in another. */
static const uint32_t paths[][3] = {
    {0}, {0x00081115}, {0x00400275, 0x00321064}, {0x0040a730, 0x0040a730}};
#define NPATHS (sizeof paths / sizeof *paths)

static dcm_set *level(dcm_tree *t, const uint32_t *path, bool make)
{
    dcm_set *s = dcm_tree_main(t), *next;
    for (unsigned i = 0; i < 3 && path[i] && s; i++, s = next) {
        const dcm_elem *e = dcm_set_find(s, path[i]);
        next = e && e->nitems ? e->items[e->nitems - 1] : NULL;
        if (make && (i == 0 || !next))
            assert_int_equal(dcm_set_item(t, s, path[i], &next, NULL), 0);
    }
    return s;
}

/* One probe a tag and level: later ones of the same tag go to the next object. */
static void inject(dcm_tree *t, size_t path, const bool *use)
{
    dcm_set *s = level(t, paths[path], true);
    for (size_t i = 0; i < NPROBES; i++)
        if (use[i])
            assert_int_equal(dcm_set_put(t, s, probes[i].tag, VR(probes[i].vr), probes[i].value,
                                         strlen(probes[i].value), NULL, NULL),
                             0);
}

static int to_buf(void *ctx, const void *p, size_t n, ds_err *err)
{
    (void)err;
    return ds_buf_put(ctx, p, n);
}

static bool holds(const void *p, size_t n, const char *text)
{
    size_t m = strlen(text);
    for (size_t i = 0; i + m <= n; i++)
        if (strncasecmp((const char *)p + i, text, m) == 0)
            return true;
    return false;
}

static int days(const char *p)
{
    dcm_date d, from = {1990, 1, 1};
    int n = 0;
    if (!dcm_date_parse(&d, p, strlen(p) < 8 ? strlen(p) : 8))
        return -1;
    while (from.year != d.year || from.month != d.month || from.day != d.day) {
        if (n > 20000 || !dcm_date_shift(&from, 1))
            return -1;
        n++;
    }
    return n;
}

static int the_shift; /* of the one patient; 0 before it is known */

static void judge(const struct probe *pr, const dcm_set *s, const ds_buf *file)
{
    const dcm_elem *e = s ? dcm_set_find(s, pr->tag) : NULL;
    char v[256] = "";
    size_t n = 0;
    if (e && e->val) {
        n = e->len < sizeof v - 1 ? e->len : sizeof v - 1;
        memcpy(v, e->val, n);
        while (n > 0 && (v[n - 1] == ' ' || v[n - 1] == 0))
            n--;
        v[n] = 0;
    }
    switch (pr->class) {
    case TAG_RETAINED:
        score(pr->class, e && strcmp(v, pr->value) == 0, v, pr->tag);
        break;
    case TEXT_NOTNULL:
        score(pr->class, n > 0, v, pr->tag);
        break;
    case TEXT_RETAINED:
        score(pr->class, strcmp(v, pr->text) == 0, v, pr->tag);
        break;
    case TEXT_REMOVED: /* nowhere in the file */
        score(pr->class, !holds(v, n, pr->text) && !holds(file->data, file->len, pr->text), v,
              pr->tag);
        break;
    case DATE_SHIFTED: {
        int a = days(pr->value), b = days(v);
        int shift = b < 0 ? 0 : b - a;
        if (the_shift == 0)
            the_shift = shift;
        score(pr->class,
              shift < 0 && shift % 7 == 0 && shift == the_shift &&
                  strcmp(v + 8, pr->value + 8) == 0,
              v, pr->tag);
        break;
    }
    default:
        score(UID_CHANGED,
              strncmp(v, "2.25.", 5) == 0 && n <= 64 && !holds(file->data, file->len, pr->value), v,
              pr->tag);
    }
}

static const char policy_text[] =
    "basic,retain-modified-dates,retain-patient-characteristics,clean-descriptors,"
    "clean-structured-content,clean-graphics";

static dcm_key test_key(void)
{
    dcm_key k = {.id = "0123456789abcdef"};
    for (unsigned i = 0; i < sizeof k.secret; i++)
        k.secret[i] = (uint8_t)(i * 7 + 1);
    return k;
}

/* De-identifies t and writes it; *again is what was written, parsed. */
static void process(dcm_tree *t, ds_buf *file, dcm_tree **again, dcm_verdict *v, dcm_ids *ids)
{
    dcm_policy *p;
    dcm_write *w;
    dcm_key k = test_key();
    ds_err err = {0};
    dcm_actions *acts;
    assert_int_equal(dcm_policy_parse(&p, policy_text, NULL), 0);
    assert_int_equal(dcm_actions_new(&acts, NULL), 0);
    int rc = dcm_deid_run(t, p, &k, ids, acts, v, &err);
    if (rc != 0)
        fail_msg("%s", err.msg);
    ds_buf_reset(file);
    assert_int_equal(dcm_write_new(&w, t, NULL, to_buf, file, NULL), 0);
    assert_int_equal(dcm_write_end(w, NULL), 0);
    dcm_write_free(w);
    assert_int_equal(dcm_tree_new(again, NULL), 0);
    assert_true(dcm_parse_bytes(*again, file->data, file->len));
    dcm_actions_free(acts);
    dcm_policy_free(p);
}

static void put(dcm_tree *t, uint32_t tag, const char *vr, const char *v)
{
    assert_int_equal(dcm_set_put(t, dcm_tree_main(t), tag, VR(vr), v, strlen(v), NULL, NULL), 0);
}

/* Who it is, in every object: scrubbing can know only what the object says. */
static void put_patient(dcm_tree *t)
{
    put(t, 0x00100010, "PN", "Sorensen^Ingrid^Marie");
    put(t, 0x00100020, "LO", "MRN-5530917");
    put(t, 0x00080018, "UI", "1.3.6.1.4.1.55.7.1001");
    put(t, 0x00080020, "DA", "20190102");
    put(t, 0x00080050, "SH", "ACC88121");
    put(t, 0x00080090, "PN", "Okonkwo^Chidi");
    put(t, 0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2");
}

/* All probes at all levels of what `fill` makes; tags that come twice take two rounds. */
static void suite(const uint8_t *sample, size_t len)
{
    bool done[NPROBES] = {0};
    ds_buf file = {0};
    for (bool more = true; more;) {
        bool use[NPROBES] = {0};
        more = false;
        for (size_t i = 0; i < NPROBES; i++) {
            bool taken = false;
            for (size_t k = 0; k < i; k++)
                taken |= use[k] && probes[k].tag == probes[i].tag;
            use[i] = !done[i] && !taken;
            more |= !done[i] && taken;
            done[i] |= use[i];
        }
        for (size_t path = 0; path < NPATHS; path++) {
            dcm_tree *t, *again;
            dcm_verdict v;
            assert_int_equal(dcm_tree_new(&t, NULL), 0);
            if (sample && !dcm_parse_bytes(t, sample, len))
                path = NPATHS; /* not one that the test's own parser reads */
            if (path < NPATHS) {
                dcm_set_drop(dcm_tree_main(t), 0x00120062);
                inject(t, path, use);
                put_patient(t);
                dcm_parse_creators(t, dcm_tree_main(t));
                process(t, &file, &again, &v, NULL);
                for (size_t i = 0; i < NPROBES; i++)
                    if (use[i])
                        judge(&probes[i], level(again, paths[path], false), &file);
                dcm_tree_free(again);
            }
            dcm_tree_free(t);
        }
    }
    ds_buf_fini(&file);
}

static void made_objects(void **state)
{
    (void)state;
    suite(NULL, 0);
}

static void real_objects(void **state)
{
    (void)state;
    static const char *const dirs[] = {"pydicom", "highdicom", "libdicom"};
    const char *shared = getenv("DS_SHARED");
    unsigned files = 0;
    for (size_t i = 0; i < 3; i++) {
        char path[4096];
        struct dirent **list;
        snprintf(path, sizeof path, "%s/data/dicom/%s", shared ? shared : "../shared", dirs[i]);
        int n = scandir(path, &list, NULL, alphasort);
        for (int k = 0; k < n; k++) {
            char name[8192];
            struct stat st;
            snprintf(name, sizeof name, "%s/%s", path, list[k]->d_name);
            if (stat(name, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < 400000) {
                size_t len;
                char *data = unit_read(name, &len);
                suite((const uint8_t *)data, len);
                free(data);
                files++;
            }
            free(list[k]);
        }
        if (n >= 0)
            free(list);
    }
    if (files == 0)
        skip();
}

static void value_of(dcm_tree *t, uint32_t tag, char out[128])
{
    const char *p = "";
    size_t n = 0;
    dcm_get_text(dcm_tree_main(t), tag, 0, &p, &n);
    snprintf(out, 128, "%.*s", (int)n, p);
}

/* Same patient, same pseudonym; same UID, same UID; others differ; a second pass changes nothing.
 */
static void consistent(void **state)
{
    (void)state;
    static const struct {
        const char *id, *issuer, *study, *sop;
    } files[] = {{"P-1001", "A", "1.3.6.1.55.1", "1.3.6.1.55.1.1"},
                 {"P-1001 ", "A", "1.3.6.1.55.1", "1.3.6.1.55.1.2"},
                 {"P-1002", "A", "1.3.6.1.55.2", "1.3.6.1.55.1.1"},
                 {"P-1001", "B", "1.3.6.1.55.3", "1.3.6.1.55.1.4"}};
    enum { N = sizeof files / sizeof *files };
    char id[N][128], study[N][128], sop[N][128], date[N][128];
    ds_buf one = {0}, two = {0};
    for (unsigned i = 0; i < N; i++) {
        dcm_tree *t, *again, *third;
        dcm_verdict v;
        assert_int_equal(dcm_tree_new(&t, NULL), 0);
        put(t, 0x00100020, "LO", files[i].id);
        put(t, 0x00100021, "LO", files[i].issuer);
        put(t, 0x0020000d, "UI", files[i].study);
        put(t, 0x00080018, "UI", files[i].sop);
        put(t, 0x00080020, "DA", "20190102");
        put(t, 0x00100010, "PN", "Sorensen^Ingrid");
        process(t, &one, &again, &v, NULL);
        assert_false(v.already);
        value_of(again, 0x00100020, id[i]);
        value_of(again, 0x0020000d, study[i]);
        value_of(again, 0x00080018, sop[i]);
        value_of(again, 0x00080020, date[i]);
        process(again, &two, &third, &v, NULL);
        assert_true(v.already);
        assert_int_equal(one.len, two.len);
        assert_memory_equal(one.data, two.data, one.len);
        dcm_tree_free(t);
        dcm_tree_free(again);
        dcm_tree_free(third);
    }
    for (unsigned i = 0; i < N; i++)
        for (unsigned k = 0; k < i; k++) {
            bool same = i == 1 && k == 0;
            score(PATID_CONSISTENT, (strcmp(id[i], id[k]) == 0) == same, id[i], 0x00100020);
            score(UID_CONSISTENT, (strcmp(study[i], study[k]) == 0) == same, study[i], 0x0020000d);
            score(UID_CONSISTENT, (strcmp(sop[i], sop[k]) == 0) == (i == 2 && k == 0), sop[i],
                  0x00080018);
            score(DATE_SHIFTED, (strcmp(date[i], date[k]) == 0) == same, date[i], 0x00080020);
        }
    ds_buf_fini(&one);
    ds_buf_fini(&two);
}

/* Dates that were already changed are not shifted again; real ones are, whoever says what. */
static void not_shifted_twice(void **state)
{
    (void)state;
    static const char *const says[] = {"MODIFIED", "UNMODIFIED"};
    for (int i = 0; i < 2; i++) {
        dcm_tree *t, *again;
        dcm_verdict v;
        ds_buf file = {0};
        char date[128];
        assert_int_equal(dcm_tree_new(&t, NULL), 0);
        put(t, 0x00080020, "DA", "20190102");
        put(t, 0x00120062, "CS", "YES");
        put(t, 0x00120063, "LO", "some tool");
        put(t, 0x00280303, "CS", says[i]);
        process(t, &file, &again, &v, NULL);
        value_of(again, 0x00080020, date);
        assert_int_equal(strcmp(date, "20190102") == 0, i == 0);
        assert_true(v.already);
        dcm_tree_free(t);
        dcm_tree_free(again);
        ds_buf_fini(&file);
    }
}

static void us_number(dcm_tree *t, dcm_set *s, uint32_t tag, unsigned n)
{
    uint8_t b[4];
    ds_set_u32(b, n);
    assert_int_equal(dcm_set_put(t, s, tag, VR("UL"), b, 4, NULL, NULL), 0);
}

static void pixels(void **state)
{
    (void)state;
    enum { ROWS = 40, COLS = 50 };
    uint8_t px[ROWS * COLS * 3];
    dcm_tree *t, *again;
    dcm_verdict v;
    dcm_set *region;
    dcm_elem *e;
    ds_buf file = {0};
    static const unsigned boxes[2][4] = {{5, 10, 24, 30}, {20, 20, 44, 39}};
    assert_int_equal(dcm_tree_new(&t, NULL), 0);
    put_patient(t);
    put(t, 0x00080060, "CS", "US");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dcm_set_item(t, dcm_tree_main(t), 0x00186011, &region, NULL), 0);
        for (unsigned k = 0; k < 4; k++)
            us_number(t, region, 0x00186018 + 2 * k, boxes[i][k]);
    }
    assert_int_equal(dcm_set_put(t, dcm_tree_main(t), 0x7fe00010, VR("OB"), "", 0, &e, NULL), 0);
    e->bulk = true;
    process(t, &file, &again, &v, NULL);
    assert_int_equal(v.pixels, DCM_PIX_MASK);
    memset(px, 7, sizeof px);
    dcm_mask_frame(px, ROWS, COLS, 3, 1, &v);
    for (unsigned y = 0; y < ROWS; y++)
        for (unsigned x = 0; x < COLS; x++) {
            bool in = false;
            for (int i = 0; i < 2; i++)
                in |= x >= boxes[i][0] && x <= boxes[i][2] && y >= boxes[i][1] && y <= boxes[i][3];
            const uint8_t *p = px + 3 * (y * COLS + x), want = in ? 7 : 0;
            score(in ? PIXELS_RETAINED : PIXELS_HIDDEN,
                  p[0] == want && p[1] == want && p[2] == want, "pixel", 0x7fe00010);
        }
    dcm_tree_free(t);
    dcm_tree_free(again);
    ds_buf_fini(&file);
}

/* Reasons to hold, one each. */
static void held(void **state)
{
    (void)state;
    static const struct {
        uint32_t tag;
        const char *vr, *value, *reason;
    } v[] = {
        {0x00280301, "CS", "YES", "burned-in-annotation"},
        {0x00080008, "CS", "DERIVED\\SECONDARY\\SCREEN SAVE", "screen-save"},
        {0x0008103e, "LO", "Dose Report", "dose-report"},
        {0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7", "secondary-capture"},
        {0x00181016, "LO", "Grabber Inc", "digitised-film"},
        {0x00080060, "CS", "US", "ultrasound-without-regions"},
        {0x00080008, "CS", "DERIVED\\SECONDARY", "derived-secondary"},
        {0x00080008, "CS", "ORIGINAL\\PRIMARY\\LABEL\\NONE", "slide-label"},
        {0x00080008, "CS", "DERIVED\\PRIMARY\\OVERVIEW\\NONE", "slide-label"},
        {0x00480010, "CS", "YES", "slide-label"},
        {0x00080060, "CS", "ES", "endoscopy"},
        {0x00080060, "CS", "OT", "modality-other"},
        {0x00420011, "OB", "%PDF", "encapsulated-document"},
        {0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL", NULL},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t;
        dcm_elem *e;
        dcm_verdict got = {0};
        assert_int_equal(dcm_tree_new(&t, NULL), 0);
        put(t, v[i].tag, v[i].vr, v[i].value);
        dcm_set_put(t, dcm_tree_main(t), 0x7fe00010, VR("OW"), "", 0, &e, NULL);
        e->bulk = true;
        dcm_burned_in(t, &got);
        if (v[i].reason)
            assert_string_equal(got.reason, v[i].reason);
        assert_int_equal(got.pixels == DCM_PIX_HOLD || got.hold, v[i].reason != NULL);
        dcm_tree_free(t);
    }
}

/* Regions that the image does not hold are those of another image; one that is all of it says
 * nothing. */
static void regions(void **state)
{
    (void)state;
    static const struct {
        unsigned box[4];
        bool fine;
    } v[] = {
        {{5, 10, 24, 30}, true},  {{0, 1, 49, 39}, true},   {{0, 10, 50, 40}, true},
        {{0, 0, 49, 39}, false},  {{0, 0, 50, 40}, false},  {{5, 10, 99, 30}, false},
        {{5, 10, 24, 41}, false}, {{24, 10, 5, 30}, false}, {{60, 60, 70, 70}, false},
    };
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        dcm_tree *t;
        dcm_set *region;
        dcm_elem *e;
        dcm_verdict got = {0};
        assert_int_equal(dcm_tree_new(&t, NULL), 0);
        put(t, 0x00080060, "CS", "US");
        us_number(t, dcm_tree_main(t), 0x00280010, 40);
        us_number(t, dcm_tree_main(t), 0x00280011, 50);
        assert_int_equal(dcm_set_item(t, dcm_tree_main(t), 0x00186011, &region, NULL), 0);
        for (unsigned k = 0; k < 4; k++)
            us_number(t, region, 0x00186018 + 2 * k, v[i].box[k]);
        dcm_set_put(t, dcm_tree_main(t), 0x7fe00010, VR("OB"), "", 0, &e, NULL);
        e->bulk = true;
        dcm_burned_in(t, &got);
        assert_string_equal(got.reason,
                            v[i].fine ? "ultrasound-regions" : "ultrasound-bad-regions");
        assert_int_equal(got.pixels, v[i].fine ? DCM_PIX_MASK : DCM_PIX_HOLD);
        dcm_tree_free(t);
    }
}

static void the_table(void **state)
{
    (void)state;
    static const double weight[2] = {1.0, 0.99}; /* removals, retention */
    print_message("  %-17s %8s %8s\n", "class", "checks", "right");
    for (int i = 0; i < CLASSES; i++) {
        bool keep =
            i == TAG_RETAINED || i == TEXT_NOTNULL || i == TEXT_RETAINED || i == PIXELS_RETAINED;
        print_message("  %-17s %8u %7.2f%%\n", names[i], total[i],
                      total[i] ? 100.0 * passed[i] / total[i] : 0);
        assert_true(total[i] > 0);
        assert_true(passed[i] >= weight[keep] * total[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_objects), cmocka_unit_test(real_objects),
        cmocka_unit_test(consistent),   cmocka_unit_test(not_shifted_twice),
        cmocka_unit_test(pixels),       cmocka_unit_test(held),
        cmocka_unit_test(regions),      cmocka_unit_test(the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
