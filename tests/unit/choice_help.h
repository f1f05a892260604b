/* choice_help.h - what tests of a mixture of experts share: choices of many shapes, and whether
 * they are sorted. */
#ifndef DS_CHOICE_HELP_H
#define DS_CHOICE_HELP_H

#include "kern_help.h"
#include "philox.h"

static inline ds_kchoices choice_room(int64_t t, int32_t e, int32_t kk)
{
    void *room = malloc(ds_kchoices_bytes(t, e, kk));

    assert_non_null(room);
    return ds_kchoices_at(room, t, e, kk);
}

/* Of one token to more than a block of the sort; of one expert to more than one. Every third one
 * leaves experts without a token, and of every fifth one expert has all that it can have. */
#define CHOICE_SHAPES 20
static inline ds_kchoices choices_drawn(uint64_t i)
{
    static const int32_t experts[] = {1, 2, 5, 64, 300};
    const int32_t e = experts[i % 5], most = e < 6 ? e : 6;
    const int32_t kk = 1 + (int32_t)(ds_philox(8, i, 0) % (uint32_t)most);
    const int64_t t = i < 5 ? 1 : 1 + (int64_t)(ds_philox(8, i, 1) % 400);
    const int32_t used = i % 3 == 0 && e > 2 * kk ? e / 2 : e;
    ds_kchoices c = choice_room(t, e, kk);

    for (int64_t j = 0; j < t * kk; j++) { /* those of a token are neighbours, in some order */
        const uint32_t at = ds_philox(9, i, (uint64_t)(j / kk)), turn = at >> 16;
        const int32_t s = (int32_t)((uint32_t)(j % kk + turn) % (uint32_t)kk);
        c.expert[j] = ((i % 5 == 4 ? used - 1 : (int32_t)(at % (uint32_t)used)) + s) % used;
    }
    return c;
}

/* What a stable sort of them is: each choice stands once, behind those of lower experts and those
 * of its own that come before it. */
static inline void choices_sorted(const ds_kchoices *c)
{
    const int64_t n = c->t * c->kk;

    assert_int_equal(c->first[0], 0);
    assert_int_equal(c->first[c->e], n);
    for (int64_t r = 0; r < n; r++) {
        const int32_t slot = c->slots[r];
        assert_in_range(slot, 0, n - 1);
        assert_int_equal(c->sorted[slot], r);
        assert_in_range(r, c->first[c->expert[slot]], c->first[c->expert[slot] + 1] - 1);
        if (r > 0 && c->expert[c->slots[r - 1]] == c->expert[slot])
            assert_true(c->slots[r - 1] < slot);
    }
}

#endif
