/* manifest.c - see manifest.h. */
#include "manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "overlay.h"

enum {
    FILE_LINES_MAX = 1024, /* a file ends at the latest after so many lines; on average after 256 */
    FOLDER_FILES_MAX = 512,
    FOLDER_MASK =
        63, /* a folder ends behind a file whose id ends in six zero bits: 64 files on average */
    FOLDERS_MAX = 9999,
    CHUNKS_MAX = 1024,
    META_MAX = 16 << 20
};
#define CHUNK_LEN_MAX ((uint64_t)1 << 48)

void ds_meta_fini(ds_meta *m)
{
    ds_counts_fini(&m->counts);
    *m = (ds_meta){0};
}

void ds_manline_reset(ds_manline *l)
{
    l->rows = 0;
    l->nchunks = 0;
    ds_buf_reset(&l->lens);
    ds_buf_reset(&l->npieces);
    ds_buf_reset(&l->pieces);
}

void ds_manline_fini(ds_manline *l)
{
    ds_buf_fini(&l->lens);
    ds_buf_fini(&l->npieces);
    ds_buf_fini(&l->pieces);
    *l = (ds_manline){0};
}

int ds_manline_chunk(ds_manline *l, uint64_t len, const ds_sha *pieces, size_t n, ds_err *err)
{
    uint64_t count = n;
    if (ds_buf_put(&l->lens, &len, sizeof len) || ds_buf_put(&l->npieces, &count, sizeof count) ||
        ds_buf_put(&l->pieces, pieces, n * sizeof *pieces))
        return ds_fail_nomem(err);
    l->nchunks++;
    return 0;
}

int ds_manline_addr(const ds_manline *l, ds_sha *block, ds_sha *origin, ds_err *err)
{
    ds_sha chunks[CHUNKS_MAX];
    const ds_sha *p = ds_manline_pieces(l);
    if (l->nchunks == 0 || l->nchunks > CHUNKS_MAX)
        return ds_fail(err, DS_CORRUPT, "a block of %zu chunks", l->nchunks);
    for (size_t i = 0; i < l->nchunks; i++) {
        int rc = ds_addr_chunk(&chunks[i], ds_manline_len(l, i), p, ds_manline_npieces(l, i), err);
        if (rc)
            return rc;
        p += ds_manline_npieces(l, i);
    }
    *origin = chunks[l->nchunks - 1];
    return ds_addr_block(block, l->rows, chunks, l->nchunks - 1, err);
}

/* ---- writing ---- */

/* Lines into files into folders, for blocks and for sources. */
typedef struct tally {
    ds_buf text, inner, outer;
    size_t lines, files, folders;
} tally;

struct ds_manwriter {
    ds_gitpack *pack;
    tally blocks, sources;
};

int ds_manwriter_new(ds_manwriter **w, ds_gitpack *pack, ds_err *err)
{
    *w = calloc(1, sizeof **w);
    if (!*w)
        return ds_fail_nomem(err);
    (*w)->pack = pack;
    return 0;
}

static void tally_fini(tally *t)
{
    ds_buf_fini(&t->text);
    ds_buf_fini(&t->inner);
    ds_buf_fini(&t->outer);
}

void ds_manwriter_free(ds_manwriter *w)
{
    if (!w)
        return;
    tally_fini(&w->blocks);
    tally_fini(&w->sources);
    free(w);
}

static int end_folder(ds_manwriter *w, tally *t, ds_err *err)
{
    git_oid id;
    char name[24];
    if (t->files == 0)
        return 0;
    if (t->folders > FOLDERS_MAX)
        return ds_fail(err, DS_FAIL, "the dataset has too many blocks for a manifest");
    int rc = ds_gitpack_put(w->pack, &id, GIT_OBJECT_TREE, t->inner.data, t->inner.len, err);
    snprintf(name, sizeof name, "%04zu", t->folders++);
    if (!rc && ds_gittree_put(&t->outer, true, name, &id))
        rc = ds_fail_nomem(err);
    ds_buf_reset(&t->inner);
    t->files = 0;
    return rc;
}

static int end_file(ds_manwriter *w, tally *t, ds_err *err)
{
    git_oid id;
    char name[24];
    if (t->lines == 0)
        return 0;
    int rc = ds_gitpack_put(w->pack, &id, GIT_OBJECT_BLOB, t->text.data, t->text.len, err);
    snprintf(name, sizeof name, "%04zu", t->files++);
    if (!rc && ds_gittree_put(&t->inner, false, name, &id))
        rc = ds_fail_nomem(err);
    ds_buf_reset(&t->text);
    t->lines = 0;
    if (!rc && ((id.id[GIT_OID_RAWSZ - 1] & FOLDER_MASK) == 0 || t->files == FOLDER_FILES_MAX))
        rc = end_folder(w, t, err);
    return rc;
}

int ds_manline_text(ds_buf *b, const ds_manline *l)
{
    const ds_sha *p = ds_manline_pieces(l);
    int rc = ds_buf_printf(b, "%" PRIu64, l->rows);
    for (size_t i = 0; !rc && i < l->nchunks; i++) {
        rc = ds_buf_printf(b, " %" PRIu64, ds_manline_len(l, i));
        for (size_t k = 0; !rc && k < ds_manline_npieces(l, i); k++) {
            rc = ds_buf_putc(b, k ? ',' : ':');
            if (!rc)
                rc = ds_buf_hex(b, (p++)->b, sizeof p->b);
        }
    }
    return rc ? rc : ds_buf_putc(b, '\n');
}

static int add_line(ds_manwriter *w, tally *t, const ds_manline *l, const ds_sha *addr, ds_err *err)
{
    if (ds_manline_text(&t->text, l))
        return ds_fail_nomem(err);
    t->lines++;
    return addr->b[0] == 0 || t->lines == FILE_LINES_MAX ? end_file(w, t, err) : 0;
}

int ds_manwriter_block(ds_manwriter *w, const ds_manline *l, const ds_sha *addr, ds_err *err)
{
    return add_line(w, &w->blocks, l, addr, err);
}

int ds_manwriter_page(ds_manwriter *w, const ds_manline *l, ds_err *err)
{
    return add_line(w, &w->sources, l, ds_manline_pieces(l), err);
}

static int put_reasons(ds_buf *b, const char *name, const ds_reason *r, size_t n)
{
    int rc = ds_buf_printf(b, ",\n  \"%s\": {", name);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ds_buf_puts(b, i ? ", " : "");
        if (!rc)
            rc = ds_json_str(b, r[i].reason, strlen(r[i].reason));
        if (!rc)
            rc = ds_buf_printf(b, ": %" PRIu64, r[i].count);
    }
    return rc ? rc : ds_buf_putc(b, '}');
}

static int put_meta(ds_buf *b, const ds_meta *m)
{
    char root[65], origin[65];
    ds_sha_hex(root, &m->root);
    ds_sha_hex(origin, &m->origin_root);
    int rc = ds_buf_printf(b,
                           "{\n  \"format\": 1,\n  \"records\": %" PRIu64
                           ",\n  \"blocks\": %" PRIu64 ",\n  \"sources\": %" PRIu64
                           ",\n  \"bytes\": %" PRIu64 ",\n  \"root\": \"sha256:%s\""
                           ",\n  \"origin_root\": \"sha256:%s\"",
                           m->records, m->blocks, m->sources, m->bytes, root, origin);
    if (!rc)
        rc = put_reasons(b, "held", m->counts.held, m->counts.nheld);
    if (!rc)
        rc = put_reasons(b, "failed", m->counts.failed, m->counts.nfailed);
    return rc ? rc : ds_buf_puts(b, "\n}\n");
}

static int finish_tally(ds_manwriter *w, tally *t, const char *name, ds_buf *tree, ds_err *err)
{
    git_oid id;
    int rc = end_file(w, t, err);
    if (!rc)
        rc = end_folder(w, t, err);
    if (rc || t->folders == 0)
        return rc;
    rc = ds_gitpack_put(w->pack, &id, GIT_OBJECT_TREE, t->outer.data, t->outer.len, err);
    if (!rc && ds_gittree_put(tree, true, name, &id))
        rc = ds_fail_nomem(err);
    return rc;
}

static int put_file(ds_manwriter *w, const char *name, const void *p, size_t len, ds_buf *tree,
                    ds_err *err)
{
    git_oid id;
    int rc = ds_gitpack_put(w->pack, &id, GIT_OBJECT_BLOB, p, len, err);
    if (!rc && ds_gittree_put(tree, false, name, &id))
        rc = ds_fail_nomem(err);
    return rc;
}

int ds_manwriter_finish(ds_manwriter *w, const void *schema, size_t schema_len, const void *prov,
                        size_t prov_len, const ds_meta *meta, git_oid *tree, ds_err *err)
{
    ds_buf root = {0}, text = {0};
    /* in byte order of the names, as git wants it */
    int rc = finish_tally(w, &w->blocks, "blocks", &root, err);
    if (!rc && put_meta(&text, meta))
        rc = ds_fail_nomem(err);
    if (!rc)
        rc = put_file(w, "meta.json", text.data, text.len, &root, err);
    if (!rc)
        rc = put_file(w, "provenance.json", prov, prov_len, &root, err);
    if (!rc)
        rc = put_file(w, "schema.json", schema, schema_len, &root, err);
    if (!rc)
        rc = finish_tally(w, &w->sources, "sources", &root, err);
    if (!rc)
        rc = ds_gitpack_put(w->pack, tree, GIT_OBJECT_TREE, root.data, root.len, err);
    ds_buf_fini(&root);
    ds_buf_fini(&text);
    return rc;
}

/* ---- reading: meta ---- */

static int get_count(const json_t *o, const char *name, uint64_t *v, ds_err *err)
{
    const json_t *x = json_object_get(o, name);
    if (!json_is_integer(x) || json_integer_value(x) < 0)
        return ds_fail(err, DS_CORRUPT, "meta.json: no count \"%s\"", name);
    *v = (uint64_t)json_integer_value(x);
    return 0;
}

static int get_sha(const json_t *o, const char *name, ds_sha *v, ds_err *err)
{
    const char *s = json_string_value(json_object_get(o, name));
    if (!s || strncmp(s, "sha256:", 7) != 0 || !ds_sha_parse(v, s + 7, strlen(s + 7)))
        return ds_fail(err, DS_CORRUPT, "meta.json: no digest \"%s\"", name);
    return 0;
}

static int get_reasons(json_t *o, const char *name, bool failed, ds_counts *c, ds_err *err)
{
    const char *reason;
    json_t *v, *set = json_object_get(o, name);
    int rc = 0;
    if (!json_is_object(set))
        return ds_fail(err, DS_CORRUPT, "meta.json: no counts \"%s\"", name);
    json_object_foreach(set, reason, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return ds_fail(err, DS_CORRUPT, "meta.json: \"%s\": not a count", name);
        rc = ds_counts_add(c, failed, reason, (uint64_t)json_integer_value(v), err);
        if (rc)
            break;
    }
    return rc;
}

int ds_meta_read(ds_meta *m, ds_catalog *c, const git_oid *tree, ds_err *err)
{
    ds_buf text = {0};
    json_t *o = NULL;
    uint64_t format = 0;
    ds_err why = {0};
    *m = (ds_meta){0};
    int rc = ds_catalog_file(&text, c, tree, "meta.json", err);
    if (!rc && text.len > META_MAX)
        rc = ds_fail(err, DS_CORRUPT, "meta.json of tree %s is too long", git_oid_tostr_s(tree));
    if (!rc && ds_json_parse(&o, text.data, text.len, "meta.json", &why))
        rc = ds_fail(err, why.code == DS_NOMEM ? DS_NOMEM : DS_CORRUPT, "%s", why.msg);
    if (!rc)
        rc = get_count(o, "format", &format, err);
    if (!rc && format != 1)
        rc = ds_fail(err, DS_FAIL,
                     "this version was written by a newer dsver (manifest format %" PRIu64 ")",
                     format);
    if (!rc)
        rc = get_count(o, "records", &m->records, err);
    if (!rc)
        rc = get_count(o, "blocks", &m->blocks, err);
    if (!rc)
        rc = get_count(o, "sources", &m->sources, err);
    if (!rc)
        rc = get_count(o, "bytes", &m->bytes, err);
    if (!rc)
        rc = get_sha(o, "root", &m->root, err);
    if (!rc)
        rc = get_sha(o, "origin_root", &m->origin_root, err);
    if (!rc)
        rc = get_reasons(o, "held", false, &m->counts, err);
    if (!rc)
        rc = get_reasons(o, "failed", true, &m->counts, err);
    m->counts.records = m->records;
    m->counts.blocks = m->blocks;
    m->counts.sources = m->sources;
    json_decref(o);
    ds_buf_fini(&text);
    if (rc)
        ds_meta_fini(m);
    return rc;
}

int ds_version_meta(ds_meta *m, ds_catalog *c, const ds_version *v, ds_err *err)
{
    ds_meta own = {0}, *at = m ? m : &own;
    int rc = ds_meta_read(at, c, &v->tree, err);
    if (!rc && !ds_sha_eq(&at->root, &v->root))
        rc =
            ds_fail(err, DS_CORRUPT, "version %s: the root in its message is not that in meta.json",
                    git_oid_tostr_s(&v->id));
    if (!rc && at->records != v->records)
        rc = ds_fail(err, DS_CORRUPT,
                     "version %s: %" PRIu64 " records in its message, %" PRIu64 " in meta.json",
                     git_oid_tostr_s(&v->id), v->records, at->records);
    if (rc || !m)
        ds_meta_fini(at);
    return rc;
}

int ds_version_schema(ds_schema *out, ds_catalog *c, const git_oid *tree, ds_err *err)
{
    ds_buf text = {0};
    int rc = ds_catalog_file(&text, c, tree, "schema.json", err);
    if (!rc)
        rc = ds_schema_parse(out, text.data, text.len, err);
    ds_buf_fini(&text);
    return rc;
}

/* ---- reading: lines ---- */

/* Without leading zeros: a manifest has one spelling. */
static bool get_number(const uint8_t *p, size_t len, size_t *pos, uint64_t *v)
{
    const size_t start = *pos;
    return ds_digits_get(p, len, pos, v) && (p[start] != '0' || *pos == start + 1);
}

/* LEN:HEX[,HEX...] */
static const char *get_chunk(const uint8_t *p, size_t len, size_t *pos, ds_manline *l, bool *nomem)
{
    uint64_t bytes, n = 0;
    if (!get_number(p, len, pos, &bytes) || bytes == 0 || bytes > CHUNK_LEN_MAX)
        return "bad length of a chunk";
    while (*pos < len && p[*pos] == (n ? ',' : ':')) {
        ds_sha s;
        ++*pos;
        if (len - *pos < 64 || !ds_sha_parse(&s, (const char *)p + *pos, 64))
            return "bad address";
        *pos += 64;
        n++;
        if (ds_buf_put(&l->pieces, &s, sizeof s))
            *nomem = true;
    }
    if (n < (bytes + DS_PIECE_MAX - 1) / DS_PIECE_MAX || n > bytes)
        return "a chunk's length and the number of its pieces cannot be";
    if (ds_buf_put(&l->lens, &bytes, sizeof bytes) || ds_buf_put(&l->npieces, &n, sizeof n))
        *nomem = true;
    l->nchunks++;
    return NULL;
}

/* The line at *pos, up to its newline or the end; NULL or what is wrong. A page of sources is one
 * chunk of one piece. */
static const char *parse_line(const uint8_t *p, size_t len, size_t *pos, bool page, ds_manline *l,
                              bool *nomem)
{
    const char *bad = NULL;
    ds_manline_reset(l);
    if (!get_number(p, len, pos, &l->rows) || l->rows == 0)
        bad = "bad row count";
    while (!bad && !*nomem && *pos < len && p[*pos] == ' ') {
        ++*pos;
        bad = l->nchunks == CHUNKS_MAX ? "too many chunks" : get_chunk(p, len, pos, l, nomem);
    }
    if (!bad && l->nchunks == 0)
        bad = "no chunks";
    if (!bad && page && (l->nchunks != 1 || ds_manline_npieces(l, 0) != 1))
        bad = "a page of sources is not one piece";
    return bad;
}

/* The last chunk of a line, its origins, taken from it and put behind the others of another. */
static int take_origins(ds_manscan *s, const ds_manline *l, uint64_t *len, ds_err *err)
{
    const size_t last = l->nchunks - 1, n = ds_manline_npieces(l, last);
    *len = ds_manline_len(l, last);
    ds_buf_reset(&s->origins);
    return ds_buf_put(&s->origins, l->pieces.data + l->pieces.len - n * sizeof(ds_sha),
                      n * sizeof(ds_sha))
               ? ds_fail_nomem(err)
               : 0;
}

static int give_origins(const ds_manscan *s, ds_manline *l, uint64_t len, ds_err *err)
{
    const size_t n = ds_manline_npieces(l, --l->nchunks);
    l->pieces.len -= n * sizeof(ds_sha);
    l->lens.len -= sizeof(uint64_t);
    l->npieces.len -= sizeof(uint64_t);
    return ds_manline_chunk(l, len, (const ds_sha *)(const void *)s->origins.data,
                            s->origins.len / sizeof(ds_sha), err);
}

/* Blocks of one address may have come from different places, so that their origins are the line's
 * own. */
int ds_manscan_instead(ds_manscan *s, const struct ds_overlay *o, const ds_sha *was,
                       const ds_manline *own, ds_manline *l, ds_err *err)
{
    size_t len = 0, pos = 0;
    bool nomem = false;
    const uint64_t rows = own->rows;
    uint64_t origins = 0;
    const uint8_t *p = ds_overlay_find(o, was, &len);
    if (!p)
        return 0;
    int rc = s->pages ? 0 : take_origins(s, own, &origins, err);
    if (rc)
        return rc;
    const char *bad = parse_line(p, len, &pos, s->pages, l, &nomem);
    if (nomem)
        return ds_fail_nomem(err);
    if (bad || pos != len || l->rows != rows)
        return ds_fail(err, DS_CORRUPT, "%s: what replaces a line of manifest file %s: %s",
                       DS_REF_ERASED, git_oid_tostr_s(&s->file), bad ? bad : "not of as many rows");
    rc = s->pages ? 0 : give_origins(s, l, origins, err);
    return rc ? rc : 1;
}

static int replace_line(ds_manscan *s, ds_manline *l, ds_err *err)
{
    s->erased = false;
    if (!s->overlay)
        return 1;
    int rc = ds_manscan_addr(s, l, &s->was, &s->was_origin, err);
    rc = rc ? rc : ds_manscan_instead(s, s->overlay, &s->was, l, l, err);
    s->erased = rc > 0;
    return rc < 0 ? rc : 1;
}

static int get_line(ds_manscan *s, ds_manline *l, ds_err *err)
{
    const size_t len = s->text.len;
    bool nomem = false;
    s->line++;
    const char *bad = parse_line(s->text.data, len, &s->pos, s->pages, l, &nomem);
    if (!bad && (s->pos == len || s->text.data[s->pos] != '\n'))
        bad = "not the end of a line";
    if (nomem)
        return ds_fail_nomem(err);
    if (bad)
        return ds_fail(err, DS_CORRUPT, "manifest file %s line %zu: %s", git_oid_tostr_s(&s->file),
                       s->line, bad);
    s->pos++;
    return replace_line(s, l, err);
}

int ds_manscan_addr(const ds_manscan *s, const ds_manline *l, ds_sha *block, ds_sha *origin,
                    ds_err *err)
{
    if (s->erased) {
        *block = s->was;
        *origin = s->was_origin;
        return 0;
    }
    if (!s->pages)
        return ds_manline_addr(l, block, origin, err);
    *block = *origin = *ds_manline_pieces(l);
    return 0;
}

int ds_manscan_open(ds_manscan *s, ds_catalog *c, const git_oid *tree, const char *what,
                    ds_err *err)
{
    git_tree *root = NULL;
    *s = (ds_manscan){.cat = c, .pages = strcmp(what, "sources") == 0};
    int rc = ds_catalog_overlay(&s->overlay, c, false, err);
    if (rc)
        return rc;
    rc = git_tree_lookup(&root, ds_catalog_repo(c), tree);
    if (rc < 0)
        return ds_fail_git_read(err, "catalog tree %s", git_oid_tostr_s(tree));
    const git_tree_entry *e = git_tree_entry_byname(root, what);
    if (e && git_tree_lookup(&s->outer, ds_catalog_repo(c), git_tree_entry_id(e)) < 0)
        rc = ds_fail_git_read(err, "catalog tree %s, %s", git_oid_tostr_s(tree), what);
    git_tree_free(root);
    return rc;
}

/* Loads the next file that is not to be skipped. 1, 0 at the end, < 0. */
static int next_file(ds_manscan *s, ds_err *err)
{
    for (;;) {
        if (s->inner && s->inner_at < git_tree_entrycount(s->inner)) {
            bool first = true;
            s->file = *git_tree_entry_id(git_tree_entry_byindex(s->inner, s->inner_at++));
            int rc = s->once ? ds_oidset_add(s->once, &s->file, &first, err) : 0;
            if (!rc && (!first || (s->skip && s->skip(s->skip_ctx, &s->file))))
                continue;
            s->pos = s->line = 0;
            rc = rc ? rc : ds_catalog_blob(&s->text, s->cat, &s->file, err);
            return rc ? rc : 1;
        }
        git_tree_free(s->inner);
        s->inner = NULL;
        if (!s->outer || s->outer_at == git_tree_entrycount(s->outer))
            return 0;
        const git_oid *id = git_tree_entry_id(git_tree_entry_byindex(s->outer, s->outer_at++));
        s->inner_at = 0;
        if (git_tree_lookup(&s->inner, ds_catalog_repo(s->cat), id) < 0)
            return ds_fail_git_read(err, "catalog tree %s", git_oid_tostr_s(id));
    }
}

int ds_manscan_next(ds_manscan *s, ds_manline *l, ds_err *err)
{
    while (s->pos == s->text.len) {
        int rc = next_file(s, err);
        if (rc <= 0)
            return rc;
    }
    return get_line(s, l, err);
}

void ds_manscan_close(ds_manscan *s)
{
    git_tree_free(s->inner);
    git_tree_free(s->outer);
    ds_buf_fini(&s->text);
    ds_buf_fini(&s->origins);
    *s = (ds_manscan){0};
}
