/* fuzz_tmpl.c - chat templates: any text is a template or refused with its line, and rendering it
 * ends within its limits; every byte of the output has a source. Up to the first NUL the input is
 * the template, behind it messages in JSON; without one a small conversation is used. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tok_tmpl.h"
#include "tok_turns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static const char talk[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\" be \"},{\"role\":\"user\",\"content\":"
    "\"h\xc3\xa9 <x>\\n\"},{\"role\":\"assistant\",\"content\":\"<think>a</think>b\"},{\"role\":"
    "\"assistant\",\"content\":null,\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":"
    "\"f\",\"arguments\":{\"a\":[1,2.5,true,null]}}}]},{\"role\":\"tool\",\"content\":\"5\"}],"
    "\"tools\":[{\"n\":1}]}";

static void check(const ds_tmplout *o)
{
    const ds_tmplrun *r = (const void *)o->runs.data;
    size_t n = o->runs.len / sizeof *r, at = 0;
    for (size_t i = 0; i < n; at = r[i++].end)
        require(r[i].end > at && r[i].end <= o->text.len);
    require(at == o->text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *nul = len ? memchr(data, 0, len) : NULL;
    size_t n = nul ? (size_t)(nul - data) : len;
    ds_tmpl *t = NULL;
    ds_turnset set = {0};
    ds_tmplout out = {0};
    ds_err err = {0};
    int rc = ds_tmpl_parse(&t, n ? (const char *)data : "", n, "fuzz", &err);
    require((rc == 0) == (t != NULL) && (rc == 0 || strstr(err.msg, "line ") || rc == DS_FAIL));
    if (rc == 0)
        rc = nul ? ds_turnset_parse(&set, nul + 1, len - n - 1, &err)
                 : ds_turnset_parse(&set, talk, sizeof talk - 1, &err);
    for (int again = 0; rc == 0 && again < 2; again++) {
        const ds_tmplvars v = {.messages = set.messages,
                               .tools = set.tools,
                               .bos = "<s>",
                               .eos = "</s>",
                               .add_generation_prompt = again};
        ds_err own = {0};
        if (ds_tmpl_render(t, &v, &out, &own) == 0)
            check(&out);
        else
            require(own.msg[0] != 0);
    }
    ds_turnset_fini(&set);
    ds_tmplout_fini(&out);
    ds_tmpl_free(t);
    return 0;
}
