// dcmtwice.cc - see dcmtwice.hh. Headers of elements are those of PS3.5 7.1, items those of 7.5.
#include "dcmtwice.hh"

#include <cstring>

#include <dcmtk/dcmdata/dcxfer.h>

namespace {

constexpr Uint32 OPEN = 0xffffffff;   // a length that a delimiter ends
constexpr Uint32 VALUE_MAX = 1 << 20; // longer ones name nobody
constexpr uint32_t ITEM = 0xfffee000, ITEM_END = 0xfffee00d, SEQUENCE_END = 0xfffee0dd;
constexpr uint16_t SQ = DCM_VR('S', 'Q'), UN = DCM_VR('U', 'N');

struct Walk {
    dcm_tree *tree;
    const dcm_source &src;
    ds_err *err;
    bool vrs, big;
    int rc = 0;
    Uint64 at = 0, base = 0;
    size_t have = 0;
    unsigned char buf[16 << 10]; // what stands at `base`
    std::vector<unsigned char> value;
    Walk(dcm_tree *t, const dcm_source &s, const DcmXfer &x, ds_err *e)
        : tree(t), src(s), err(e), vrs(x.isExplicitVR()), big(x.getByteOrder() == EBO_BigEndian)
    {
    }
};

struct Head {
    uint32_t tag;
    uint16_t vr;
    Uint32 len;
};

// The next n bytes, which are few; null behind the end.
const unsigned char *peek(Walk &w, size_t n)
{
    if (w.at < w.base || w.at + n > w.base + w.have) {
        w.base = w.at;
        w.have = dcm_source_peek(w.src, w.at, w.buf, sizeof w.buf);
    }
    return n <= w.have ? w.buf + (w.at - w.base) : nullptr;
}

unsigned two(const Walk &w, const unsigned char *p)
{
    return w.big ? p[0] << 8 | p[1] : p[0] | p[1] << 8;
}

Uint32 four(const Walk &w, const unsigned char *p)
{
    const Uint32 a = two(w, p), b = two(w, p + 2);
    return w.big ? a << 16 | b : a | b << 16;
}

// VRs whose length is the two bytes behind them.
bool is_short(uint16_t vr)
{
    static const char names[] = "AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS";
    for (const char *p = names; *p; p += 2)
        if (DCM_VR(p[0], p[1]) == vr)
            return true;
    return false;
}

bool next(Walk &w, Head *h)
{
    const unsigned char *p = peek(w, 8);
    if (!p)
        return false;
    h->tag = DCM_TAG(two(w, p), two(w, p + 2));
    if (!w.vrs || h->tag >> 16 == 0xfffe) {
        h->vr = dcm_dict_vr(h->tag);
        h->len = four(w, p + 4);
        w.at += 8;
        return true;
    }
    h->vr = DCM_VR(p[4], p[5]);
    if (is_short(h->vr)) {
        h->len = two(w, p + 6);
        w.at += 8;
        return true;
    }
    p = peek(w, 12);
    h->len = p ? four(w, p + 8) : 0;
    w.at += 12;
    return p && p[4] >= 'A' && p[4] <= 'Z' && p[5] >= 'A' && p[5] <= 'Z';
}

void aside(Walk &w, const Head &h)
{
    if (h.len == 0 || h.len > VALUE_MAX || (h.tag & 0xffff) == 0)
        return;
    w.value.resize(h.len);
    if (dcm_source_peek(w.src, w.at, w.value.data(), h.len) == h.len)
        w.rc = dcm_tree_aside(w.tree, h.tag, h.vr, w.value.data(), h.len, w.err);
}

bool walk_set(Walk &w, Uint64 end, bool open, bool again, unsigned depth);

// Items, or the fragments of pixel data.
bool walk_items(Walk &w, Uint64 end, bool open, bool sets, bool again, unsigned depth)
{
    Head h;
    while (w.rc == 0 && w.at < end && next(w, &h)) {
        if (h.tag == SEQUENCE_END)
            return open;
        if (h.tag != ITEM || (h.len != OPEN && h.len > end - w.at))
            return false;
        if (!sets) {
            if (h.len == OPEN)
                return false;
            w.at += h.len;
        } else if (!walk_set(w, h.len == OPEN ? end : w.at + h.len, h.len == OPEN, again, depth)) {
            return false;
        }
    }
    return w.rc == 0 && w.at == end && !open;
}

// again: all of it is part of what stood there before.
bool walk_set(Walk &w, Uint64 end, bool open, bool again, unsigned depth)
{
    uint32_t last = 0;
    Head h;
    if (depth > DCM_TREE_DEPTH)
        return false;
    while (w.rc == 0 && w.at < end && next(w, &h)) {
        if (h.tag == ITEM_END)
            return open;
        const bool one_more = again || h.tag <= last, vrs = w.vrs;
        last = h.tag > last ? h.tag : last;
        if (h.len != OPEN && h.len > end - w.at)
            return false;
        if (h.vr == SQ || h.len == OPEN) {
            w.vrs = vrs && h.vr != UN; /* its items have none */
            if (!walk_items(w, h.len == OPEN ? end : w.at + h.len, h.len == OPEN,
                            h.tag != 0x7fe00010, one_more, depth + 1))
                return false;
            w.vrs = vrs;
            continue;
        }
        if (one_more)
            aside(w, h);
        w.at += h.len;
    }
    return w.rc == 0 && w.at == end && !open;
}

// Behind the file meta, which has VRs and is little endian always.
void skip_meta(Walk &w)
{
    const bool vrs = w.vrs, big = w.big;
    const unsigned char *p;
    Head h;
    w.vrs = true;
    w.big = false;
    w.at = 128;
    if (!(p = peek(w, 4)) || memcmp(p, "DICM", 4) != 0) {
        w.at = 0;
        if (!(p = peek(w, 4)) || memcmp(p, "DICM", 4) != 0)
            w.at -= 4;
    }
    w.at += 4;
    while ((p = peek(w, 8)) && p[0] == 2 && p[1] == 0 && next(w, &h) && h.len <= w.src.size - w.at)
        w.at += h.len;
    w.vrs = vrs;
    w.big = big;
}

} // namespace

int dcm_twice_find(dcm_tree *t, const dcm_source &src, E_TransferSyntax form, ds_err *err)
{
    if (form == EXS_DeflatedLittleEndianExplicit)
        return 0;
    Walk w(t, src, DcmXfer(form), err);
    skip_meta(w);
    walk_set(w, src.size, false, false, 0);
    return w.rc;
}
