/* fuzz_dicom.c - bytes as a DICOM file, read by the tests' own parser: character sets,
 * de-identification, writing, the search. Whatever comes in, what goes out can be read again, is
 * UTF-8, and holds no name that the input said. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dcm_parse.h"
#include "dcmchar.h"
#include "dcmdeid.h"
#include "dcmwrite.h"
#include "utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static int to_buf(void *ctx, const void *p, size_t n, ds_err *err)
{
    (void)err;
    return ds_buf_put(ctx, p, n);
}

static void check_utf8(const dcm_set *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const dcm_elem *e = &s->elems[i];
        require(i == 0 || s->elems[i - 1].tag < e->tag);
        if (e->val && dcm_vr_is_string(e->vr))
            require(ds_utf8_check(e->val, e->len) == e->len);
        for (uint32_t k = 0; k < e->nitems; k++)
            check_utf8(e->items[k]);
    }
}

static void process(dcm_tree *t, const char *policy)
{
    static const dcm_key key = {.secret = {1, 2, 3}, .id = "00112233445566"};
    dcm_policy *p;
    dcm_ids *ids;
    dcm_actions *acts;
    dcm_verdict v;
    dcm_write *w;
    dcm_tree *again;
    dcm_search *s;
    dcm_hit hit;
    ds_buf out = {0}, json = {0};
    require(dcm_policy_parse(&p, policy, NULL) == 0 && dcm_ids_new(&ids, NULL) == 0);
    require(dcm_actions_new(&acts, NULL) == 0 && dcm_tree_new(&again, NULL) == 0);
    require(dcm_deid_run(t, p, &key, ids, acts, &v, NULL) == 0);
    check_utf8(dcm_tree_main(t));
    require(dcm_write_new(&w, t, NULL, to_buf, &out, NULL) == 0 && dcm_write_end(w, NULL) == 0);
    require(dcm_parse_bytes(again, out.data, out.len));
    require(dcm_tree_main(again)->n <= dcm_tree_main(t)->n);
    require(dcm_search_new(&s, ids, NULL) == 0);
    dcm_search_text(s, out.data, out.len, 0, &hit);
    dcm_search_raw(s, out.data, out.len, 0, &hit);
    require(dcm_actions_json(acts, &json, NULL) == 0);
    ds_buf_fini(&out);
    ds_buf_fini(&json);
    dcm_search_free(s);
    dcm_write_free(w);
    dcm_tree_free(again);
    dcm_actions_free(acts);
    dcm_ids_free(ids);
    dcm_policy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const char *const policies[] = {
        "basic", "basic,retain-modified-dates,clean-descriptors,clean-structured-content",
        "basic,retain-uids,retain-full-dates,retain-device,retain-institution,"
        "retain-patient-characteristics,retain-safe-private"};
    for (int i = 0; i < 3; i++) {
        dcm_tree *t;
        require(dcm_tree_new(&t, NULL) == 0);
        dcm_parse_bytes(t, data, len); /* what came before the damage is processed too */
        process(t, policies[i]);
        dcm_tree_free(t);
    }
    return 0;
}
