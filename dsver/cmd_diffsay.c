/* cmd_diffsay.c - see cmd_diffsay.h. */
#include "cmd_diffsay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_changed.h"
#include "cmd_verb.h"
#include "sig.h"
#include "verdiff.h"

#define ITEMS_BYTES ((size_t)16 << 20) /* of changes that are looked at together */

typedef struct saying {
    const diffsay_opts *o;
    ds_verdiff *d;
    const ds_diffstats *st;
    recsay rec[2];
    ds_diffitem *items; /* at hand */
    size_t nitems;
    changed changed; /* of these, those that changed */
    bool differs;
} saying;

/* ---- one record ---- */

static int say_fields(saying *c, size_t item, ds_err *err)
{
    const ds_schema *s = &ds_verdiff_side(c->d, true)->schema;
    const changed_column *k;
    const size_t n = changed_of(&c->changed, item, &k);
    const char *sep = c->o->json ? "" : ": ";
    int rc = 0;
    for (const changed_column *end = k + n; !rc && k < end; k++) {
        const char *name = s->cols[k->column].name;
        fputs(sep, stdout);
        sep = c->o->json ? "," : ", ";
        if (!c->o->json) {
            verb_text(stdout, name, strlen(name));
            continue;
        }
        verb_json(stdout, name);
        fputs(":{\"before\":", stdout);
        rc = changed_say(&c->changed, k, err);
        if (rc)
            break;
        fputs(",\"after\":", stdout);
        rc = recsay_value(&c->rec[1], k->column, err);
        if (!rc)
            putchar('}');
    }
    return rc;
}

static int say_json(saying *c, size_t item, int side, ds_err *err)
{
    static const char *const names[] = {"removed", "changed", "added"};
    const ds_diffitem *it = &c->items[item];
    const ds_buf *key;
    int rc = recsay_key(&c->rec[side], &key, err);
    if (rc)
        return rc;
    printf("{\"type\":\"record\",\"change\":\"%s\",", names[it->change]);
    fwrite(key->data, 1, key->len, stdout);
    fputs(it->change == DS_CHANGED ? ",\"fields\":{" : ",\"record\":{", stdout);
    rc = it->change == DS_CHANGED ? say_fields(c, item, err) : recsay_values(&c->rec[side], err);
    if (!rc)
        printf("}}\n");
    return rc;
}

static int say_line(saying *c, size_t item, int side, ds_err *err)
{
    const size_t pre = sizeof "\"key\":" - 1;
    const ds_diffitem *it = &c->items[item];
    const ds_buf *key;
    int rc = recsay_key(&c->rec[side], &key, err);
    if (rc)
        return rc;
    printf("%c ", "-~+"[it->change]);
    verb_text(stdout, key->data + pre, key->len - pre);
    if (it->change == DS_CHANGED)
        rc = say_fields(c, item, err);
    putchar('\n');
    return rc;
}

static int say_item(saying *c, size_t item, ds_err *err)
{
    const ds_diffitem *it = &c->items[item];
    const int side = it->change != DS_REMOVED;
    const int rc = recsay_seek(&c->rec[side], side ? it->b : it->a, err);
    if (rc)
        return rc;
    return c->o->json ? say_json(c, item, side, err) : say_line(c, item, side, err);
}

/* ---- many ---- */

/* So many that a block before is not read for each, and as many as memory is to take. */
static size_t items_at_once(const saying *c)
{
    const size_t columns = ds_verdiff_side(c->d, true)->schema.n;
    return ITEMS_BYTES / (sizeof *c->items + columns * sizeof(ds_x128));
}

/* The next of them; 0: there are no more. */
static int next_items(saying *c, size_t most, ds_err *err)
{
    int rc = 1;
    for (c->nitems = 0; rc > 0 && c->nitems<most; c->nitems += rc> 0)
        rc = ds_verdiff_next(c->d, &c->items[c->nitems], err);
    rc = rc < 0 ? rc
                : changed_read(&c->changed, c->rec, ds_verdiff_columns(c->d), c->items, c->nitems,
                               c->o->json, err);
    return rc ? rc : c->nitems > 0;
}

static int say_items(saying *c, ds_err *err)
{
    const size_t most = items_at_once(c);
    int rc = (c->items = malloc(most * sizeof *c->items)) ? 0 : ds_fail_nomem(err);
    while (!rc && (rc = next_items(c, most, err)) > 0) {
        rc = 0;
        for (size_t i = 0; !rc && i < c->nitems; i++) {
            rc = say_item(c, i, err);
            rc = rc ? rc : ds_check_interrupt(err);
        }
    }
    free(c->items);
    changed_fini(&c->changed);
    return rc;
}

/* ---- columns, and the sum ---- */

static void say_column(const saying *c, const ds_column *col, bool added)
{
    if (c->o->json) {
        printf("{\"type\":\"column\",\"change\":\"%s\",\"name\":", added ? "added" : "removed");
        verb_json(stdout, col->name);
        printf(",\"column_type\":\"%s\"}\n", ds_type_name(col->type));
    } else {
        printf("%c column ", added ? '+' : '-');
        verb_text(stdout, col->name, strlen(col->name));
        printf(" (%s)\n", ds_type_name(col->type));
    }
}

static bool say_columns(const saying *c)
{
    const ds_schema *a = &ds_verdiff_side(c->d, false)->schema,
                    *b = &ds_verdiff_side(c->d, true)->schema;
    const long *columns = ds_verdiff_columns(c->d);
    bool any = false;
    for (size_t j = 0; j < a->n; j++) {
        bool kept = false;
        for (size_t i = 0; i < b->n; i++)
            kept = kept || columns[i] == (long)j;
        if (!kept)
            say_column(c, &a->cols[j], false);
        any = any || !kept;
    }
    for (size_t i = 0; i < b->n; i++)
        if (columns[i] < 0) {
            say_column(c, &b->cols[i], true);
            any = true;
        }
    return any;
}

static void say_sum(const saying *c)
{
    const ds_diffstats *t = c->st;
    const ds_version *a = &ds_verdiff_side(c->d, false)->version,
                     *b = &ds_verdiff_side(c->d, true)->version;
    if (c->o->json) {
        printf("{\"type\":\"diff\",\"before\":\"%s\"", git_oid_tostr_s(&a->id));
        if (c->o->draft)
            printf(",\"after\":null");
        else
            printf(",\"after\":\"%s\"", git_oid_tostr_s(&b->id));
        printf(",\"records_before\":%" PRIu64 ",\"records_after\":%" PRIu64 ",\"removed\":%" PRIu64
               ",\"changed\":%" PRIu64 ",\"added\":%" PRIu64
               ",\"same_schema\":%s,\"reordered\":%s,\"blocks_read\":%" PRIu64 "}\n",
               t->records_a, t->records_b, t->removed, t->changed, t->added,
               t->same_schema ? "true" : "false", t->reordered ? "true" : "false", t->blocks_read);
        return;
    }
    printf("%" PRIu64 " removed, %" PRIu64 " changed, %" PRIu64 " added: %" PRIu64
           " records before, %" PRIu64 " after%s\n",
           t->removed, t->changed, t->added, t->records_a, t->records_b,
           t->reordered ? "; the same records in another order" : "");
}

static int say(saying *c, ds_err *err)
{
    int rc = 0;
    c->st = ds_verdiff_stats(c->d);
    c->differs =
        say_columns(c) || c->st->removed || c->st->changed || c->st->added || c->st->reordered;
    for (int i = 0; !rc && i < 2; i++)
        rc = recsay_open(&c->rec[i], ds_verdiff_side(c->d, i), c->o->data, err);
    if (!rc && !c->o->stat)
        rc = say_items(c, err);
    if (!rc)
        say_sum(c);
    for (int i = 0; i < 2; i++)
        recsay_fini(&c->rec[i]);
    return rc;
}

int diffsay_records(bool *differs, ds_store *s, const git_oid *before, const git_oid *after,
                    const diffsay_opts *o, ds_err *err)
{
    const ds_verdiff_opts read = {.threads = o->threads};
    saying c = {.o = o};
    int rc = ds_verdiff_new(&c.d, s, before, after, &read, err);
    rc = rc ? rc : say(&c, err);
    ds_verdiff_free(c.d);
    *differs = c.differs;
    return rc;
}
