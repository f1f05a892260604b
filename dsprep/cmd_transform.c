/* cmd_transform.c - see cmd_transform.h. */
#include "cmd_transform.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "json.h"
#include "sig.h"
#include "term.h"

void ds_transform_begin(const ds_rowopts *o)
{
    ds_sig_setup();
    if (o->quiet || o->json)
        ds_log_level = 0;
}

int ds_transform_end(const ds_command *cmd, const ds_rowopts *o, const ds_err *err, bool partial)
{
    if (err->code == 0)
        return partial ? ds_exit_code(DS_PARTIAL) : 0;
    return o->json ? ds_command_end_aside(err) : ds_command_end(cmd, err, false);
}

static json_t *accounts(const ds_rowresult *r, const ds_rowplan *p, const json_t *more)
{
    json_t *held = json_object();
    for (size_t i = 0; r->dropped && i < p->nreasons; i++)
        if (r->dropped[i])
            (void)json_object_set_new(held, p->reasons[i], json_integer((json_int_t)r->dropped[i]));
    json_t *all = json_pack("{s:s,s:s,s:I,s:I,s:o}", "type", "summary", "command", p->tool, "input",
                            (json_int_t)r->input, "output", (json_int_t)r->output, "held", held);
    if (all && more && json_object_update(all, (json_t *)(uintptr_t)more) != 0) {
        json_decref(all);
        return NULL;
    }
    return all;
}

void ds_transform_say(const ds_rowopts *o, const ds_rowresult *r, const ds_rowplan *p,
                      const json_t *more)
{
    if (o->json) {
        ds_accounts_print(accounts(r, p, more));
        return;
    }
    ds_buf text = {0};
    ds_rowresult_text(&text, r, p);
    if (ds_log_level > 0 && ds_buf_cstr(&text))
        fprintf(stderr, "%s\n", (const char *)text.data);
    ds_buf_fini(&text);
}

void ds_transform_say_all(const ds_rowopts *o, const char *tool, uint64_t records)
{
    const ds_rowplan p = {.tool = tool};
    const ds_rowresult r = {.input = records, .output = records};
    ds_transform_say(o, &r, &p, NULL);
}
