/* Members of minified JSON objects: as they are spelled, and none behind what is no object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "jsonmember.h"

/* The members of a text as NAME=VALUE;... with '.' behind a whole object. The text lies at the end
 * of its memory, where a sanitizer sees what is read too far. */
static void expect(const char *text, const char *want)
{
    const size_t len = strlen(text);
    char *p = malloc(len ? len : 1);
    ds_jsonmembers it;
    ds_jsonmember m;
    ds_buf said = {0};
    assert_non_null(p);
    memcpy(p, text, len);
    ds_jsonmembers_begin(&it, p, len);
    while (ds_jsonmembers_next(&it, &m))
        ds_buf_printf(&said, "%.*s=%.*s;", (int)m.name_len, (const char *)m.name, (int)m.value_len,
                      (const char *)m.value);
    if (ds_jsonmembers_whole(&it))
        ds_buf_puts(&said, ".");
    assert_string_equal(ds_buf_cstr(&said), want);
    ds_buf_fini(&said);
    free(p);
}

static void members(void **state)
{
    (void)state;
    expect("{}", ".");
    expect("{\"a\":1}", "a=1;.");
    expect("{\"\":\"\",\"a\":\"}\",\"a\":[{\"b\":[]},\"]\"]}",
           "=\"\";a=\"}\";a=[{\"b\":[]},\"]\"];.");
    expect("{\"q\\\"\\\\\":\"\\\\\\\",\",\"n\":null}", "q\\\"\\\\=\"\\\\\\\",\";n=null;.");
}

static void what_is_no_object(void **state)
{
    (void)state;
    static const char *const none[] = {"",         "{",      "[1]",      "\"a\"", "null",
                                       "{\"a",     "{\"a\"", "{\"a\":",  "{a}",   "{\"a\":}",
                                       "{\"a\"1}", "{\"\\",  "{\"a\":]}"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        expect(none[i], "");
    expect("{\"a\":1,\"b\":\"x}", "a=1;");
    expect("{\"a\":1,\"b\":[2}", "a=1;");
    expect("{\"a\":1}}", "a=1;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
