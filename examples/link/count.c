/* count.c - counts the tokens of standard input. Shows how to load a tokenizer and to encode a text
 * that comes in pieces, in memory that does not depend on its length.
 *
 *   cc count.c $(pkg-config --cflags --libs --static dstok) -o count
 *   ./count tokenizer.json <text
 */
#include <stdio.h>

#include <tok.h>

static int add(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    (void)ids;
    (void)consumed;
    (void)err;
    *(uint64_t *)ctx += n;
    return 0;
}

static int count(const char *path, uint64_t *tokens, ds_err *err)
{
    static char piece[65536];
    ds_tok *tok = NULL;
    ds_tok_state *state = NULL;
    ds_tok_stream *stream = NULL;
    size_t n;
    int rc = ds_tok_load(&tok, path, err);
    if (rc == 0)
        rc = ds_tok_state_new(&state, tok, err);
    if (rc == 0)
        rc = ds_tok_stream_new(&stream, state, 0, add, tokens, err);
    while (rc == 0 && (n = fread(piece, 1, sizeof piece, stdin)) > 0)
        rc = ds_tok_stream_put(stream, piece, n, err);
    if (rc == 0)
        rc = ds_tok_stream_end(stream, err);
    ds_tok_stream_free(stream);
    ds_tok_state_free(state);
    ds_tok_free(tok);
    return rc;
}

int main(int argc, char **argv)
{
    ds_err err = {0};
    uint64_t tokens = 0;
    if (argc != 2) {
        fputs("usage: count TOKENIZER.json <text\n", stderr);
        return 2;
    }
    if (count(argv[1], &tokens, &err) != 0) {
        fprintf(stderr, "count: %s\n", err.msg);
        return 1;
    }
    return printf("%llu\n", (unsigned long long)tokens) < 0;
}
