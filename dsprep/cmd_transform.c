/* cmd_transform.c - see cmd_transform.h. */
#include "cmd_transform.h"

#include "term.h"

void ds_transform_say(const ds_rowresult *r, const ds_rowplan *p)
{
    ds_buf text = {0};
    ds_rowresult_text(&text, r, p);
    if (ds_log_level > 0 && ds_buf_cstr(&text))
        fprintf(stderr, "%s\n", (const char *)text.data);
    ds_buf_fini(&text);
}
