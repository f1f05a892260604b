/* tok_join.c - see tok_join.h. */
#include "tok_join.h"

/* Length of a character by its first byte, 0 when it is none. */
static unsigned char_length(uint8_t c)
{
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

static bool whole_char(const uint8_t *p, size_t len)
{
    if (len == 0 || len != char_length(*p))
        return false;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

void ds_tok_join_add(tok_join *j, const uint8_t *x, size_t x_len, const uint8_t *y, size_t y_len)
{
    if (x_len == 0 || y_len == 0 || (y[0] & 0xc0) == 0x80)
        return;
    if (x[x_len - 1] < 0x80 && y[0] < 0x80) { /* most */
        size_t k = tok_join_slot(x[x_len - 1], y[0]);
        j->pairs[k / 64] |= (uint64_t)1 << k % 64;
        return;
    }
    size_t tail = 1;
    while (tail < x_len && tail < 4 && (x[x_len - tail] & 0xc0) == 0x80)
        tail++;
    const uint8_t *a = x + x_len - tail;
    size_t head = char_length(*y);
    unsigned n;
    if (whole_char(a, tail) && head != 0 && head <= y_len && whole_char(y, head)) {
        size_t i = tok_join_slot(ds_uni_get(a, &n), ds_uni_get(y, &n));
        j->pairs[i / 64] |= (uint64_t)1 << i % 64;
    } else {
        j->parts[x[x_len - 1]][y[0] / 64] |= (uint64_t)1 << y[0] % 64;
    }
}

void ds_tok_join_merge(tok_join *j, const tok_join *other)
{
    for (size_t i = 0; i < sizeof j->pairs / sizeof *j->pairs; i++)
        j->pairs[i] |= other->pairs[i];
    for (size_t i = 0; i < 256; i++)
        for (size_t k = 0; k < 4; k++)
            j->parts[i][k] |= other->parts[i][k];
}
