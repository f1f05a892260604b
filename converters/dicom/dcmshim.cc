// dcmshim.cc - see dcmraw.h: DCMTK parses, and what it found is copied into the tree.
#include <dcmtk/config/osconfig.h>

#include <cerrno>
#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <sys/stat.h>
#include <vector>

#include <dcmtk/dcmdata/dcfcache.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/dcmjpls/djdecode.h>
#include <dcmtk/oflog/oflog.h>

extern "C" {
#include "dcmraw.h"
}
#include "dcmsource.hh"
#include "dcmtwice.hh"

namespace {

// Longer values of other elements than pixel data stay out of the tree.
constexpr Uint32 VALUE_MAX = 16u << 20;
// Values that DCMTK leaves in the file until they are asked for.
constexpr Uint32 DEFER = 4096;

// The value of any element as bytes, in a byte order that is asked for.
struct Bare : DcmElement {
    static void *bytes(DcmElement *e, E_ByteOrder order) { return (e->*&Bare::getValue)(order); }
};

struct Failure {
    const char *reason;
    std::string words;
};

} // namespace

struct dcm_raw {
    dcm_source src;
    std::string name, syntax;
    DcmFileFormat ff;
    DcmElement *pixels = nullptr;
    const char *plain = nullptr; // its bytes in memory
    dcm_raw_kind kind = DCM_RAW_NONE;
    std::vector<DcmPixelItem *> fragments;
    DcmPixelItem *table = nullptr;
    E_ByteOrder order = EBO_LittleEndian;
    bool recovered = false;
    DcmFileCache cache;
};

// ---- the tree ----

namespace {

struct Walk {
    dcm_tree *tree;
    dcm_raw *raw;
    const dcm_limits *lim;
    bool is_signed, little;
    ds_err *err;
};

uint16_t vr_of(const Walk &w, DcmElement *e)
{
    DcmEVR v = e->getTag().getEVR();
    if (v == EVR_PixelData || v == EVR_OverlayData || v == EVR_ox || v == EVR_px || v == EVR_lt)
        v = EVR_OW;
    else if (v == EVR_xs)
        v = w.is_signed ? EVR_SS : EVR_US;
    else if (v == EVR_up)
        v = EVR_UL;
    const char *s = DcmVR(v).getValidVRName();
    uint16_t vr = s && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z' && !s[2]
                      ? DCM_VR(s[0], s[1])
                      : DCM_VR('U', 'N');
    if (vr != DCM_VR('U', 'N') || e->getGTag() % 2 != 0 || !w.little)
        return vr;
    // Bytes of an unknown kind are little endian: the dictionary may well know them.
    uint16_t known = dcm_dict_vr(DCM_TAG(e->getGTag(), e->getETag()));
    return known && known != DCM_VR('S', 'Q') ? known : vr;
}

bool is_pixels(uint32_t tag)
{
    return tag == DCM_TAG(0x7fe0, 0x0008) || tag == DCM_TAG(0x7fe0, 0x0009) ||
           tag == DCM_TAG(0x7fe0, 0x0010);
}

// The text of a private creator; bytes above 0x7f belong to no name that a table holds.
const char *creator_text(const Walk &w, const dcm_elem *e)
{
    const uint8_t *p = e->val;
    size_t n = e->len;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == 0))
        n--;
    while (n > 0 && *p == ' ') {
        p++;
        n--;
    }
    char *s = static_cast<char *>(dcm_tree_alloc(w.tree, n + 1, w.err));
    if (!s)
        return nullptr;
    for (size_t i = 0; i < n; i++)
        s[i] = p[i] >= 0x20 && p[i] < 0x7f ? (char)p[i] : '?';
    s[n] = 0;
    return s;
}

int copy_items(const Walk &w, DcmSequenceOfItems *sq, uint32_t tag, dcm_set *to, dcm_elem **out);

int copy_value(const Walk &w, DcmElement *e, uint32_t tag, dcm_set *to, dcm_elem **out)
{
    Uint32 len = e->getLengthField();
    bool bulk = is_pixels(tag) || len > VALUE_MAX;
    const void *p = nullptr;
    if (!bulk && len > 0) {
        p = Bare::bytes(e, EBO_LittleEndian);
        if (!p)
            return ds_fail(w.err, DS_FAIL, "%s: (%04x,%04x): its value cannot be read",
                           w.raw->name.c_str(), tag >> 16, tag & 0xffff);
    }
    int rc = dcm_set_put(w.tree, to, tag, vr_of(w, e), p, p ? len : 0, out, w.err);
    if (rc == 0)
        (*out)->bulk = bulk;
    if (len > DEFER)
        e->compact();
    return rc;
}

int copy_item(const Walk &w, DcmItem *from, dcm_set *to)
{
    int rc = 0;
    for (DcmObject *o = from->nextInContainer(nullptr); o && rc == 0;
         o = from->nextInContainer(o)) {
        uint32_t tag = DCM_TAG(o->getGTag(), o->getETag());
        dcm_elem *e = nullptr;
        if ((tag & 0xffff) == 0 || dcm_set_find(to, tag)) // group lengths; see dcmtwice.hh
            continue;
        if (o->ident() == EVR_SQ)
            rc = copy_items(w, static_cast<DcmSequenceOfItems *>(o), tag, to, &e);
        else if (DcmElement *leaf = dynamic_cast<DcmElement *>(o))
            rc = copy_value(w, leaf, tag, to, &e);
        if (rc != 0 || !e || !(tag >> 16 & 1) || (tag & 0xffff) < 0x1000)
            continue;
        const dcm_elem *c = dcm_set_find(to, (tag & 0xffff0000u) | (tag >> 8 & 0xff));
        if (c && c->val && !(e->creator = creator_text(w, c)))
            rc = DS_NOMEM;
    }
    return rc;
}

int copy_items(const Walk &w, DcmSequenceOfItems *sq, uint32_t tag, dcm_set *to, dcm_elem **out)
{
    int rc = dcm_set_put(w.tree, to, tag, DCM_VR('S', 'Q'), nullptr, 0, out, w.err);
    for (DcmObject *o = sq->nextInContainer(nullptr); o && rc == 0; o = sq->nextInContainer(o)) {
        dcm_set *item;
        DcmItem *from = dynamic_cast<DcmItem *>(o);
        if (from && (rc = dcm_set_item(w.tree, to, tag, &item, w.err)) == 0)
            rc = copy_item(w, from, item);
    }
    *out = dcm_set_find(to, tag);
    return rc;
}

// ---- the file ----

// Something that begins like a data set: preamble and magic, or a first tag of a low group.
bool plausible(const dcm_source &src)
{
    unsigned char b[132];
    const size_t n = dcm_source_peek(src, 0, b, sizeof b);
    if (n == sizeof b && memcmp(b + 128, "DICM", 4) == 0)
        return true;
    if (n >= 4 && memcmp(b, "DICM", 4) == 0)
        return true; // without the preamble alone
    if (n < 8)
        return false;
    unsigned le = b[0] | b[1] << 8, be = b[0] << 8 | b[1];
    return ((le == 2 || le == 8) && b[3] <= 1) || ((be == 2 || be == 8) && b[2] <= 1);
}

struct OtherForm {
    offile_off_t at; // where the data set begins; 0: it is as the file meta says
    E_TransferSyntax form;
};

// Elements without a VR where the file meta says that they have one, or with one where it says that
// they have none: they would be read as others than they are.
OtherForm other_form(const dcm_source &src, DcmFileFormat &ff)
{
    unsigned char b[8] = {0};
    Uint32 len = 0;
    OFString syntax;
    DcmMetaInfo *m = ff.getMetaInfo();
    if (!m || m->findAndGetUint32(DCM_FileMetaInformationGroupLength, len).bad() ||
        m->findAndGetOFString(DCM_TransferSyntaxUID, syntax).bad() ||
        syntax == UID_DeflatedExplicitVRLittleEndianTransferSyntax)
        return {0, EXS_Unknown};
    Uint64 at = 128 + 4 + 12 + (Uint64)len;
    if (dcm_source_peek(src, at, b, sizeof b) != sizeof b)
        return {0, EXS_Unknown};
    bool vr = b[4] >= 'A' && b[4] <= 'Z' && b[5] >= 'A' && b[5] <= 'Z';
    if (syntax != UID_LittleEndianImplicitTransferSyntax)
        return {vr ? 0 : (offile_off_t)at, EXS_LittleEndianImplicit};
    const char name[3] = {(char)b[4], (char)b[5], 0};
    vr = vr && DcmVR(name).isStandard();
    return {vr ? (offile_off_t)at : 0, EXS_LittleEndianExplicit};
}

// A file meta whose length is another than it says: where it ends is told by its tags.
OtherForm meta_form(const dcm_source &src)
{
    unsigned char b[12 + 64];
    char syntax[65] = "";
    Uint64 at = 132, says = 0;
    if (dcm_source_peek(src, 128, b, 4) != 4 || memcmp(b, "DICM", 4) != 0)
        return {0, EXS_Unknown};
    for (int i = 0; i < 64; i++) {
        size_t n = dcm_source_peek(src, at, b, sizeof b);
        if (n < 12 || (b[0] | b[1] << 8) != 2)
            break;
        const unsigned elem = b[2] | b[3] << 8;
        const bool wide = b[4] == 'O' || b[4] == 'U' ? b[5] != 'I' && b[5] != 'L' : false;
        const unsigned char *p = b + (wide ? 12 : 8);
        Uint64 len = wide ? b[8] | b[9] << 8 | b[10] << 16 | (Uint64)b[11] << 24 : b[6] | b[7] << 8;
        if (elem == 0 && len == 4)
            says = 144 + (p[0] | p[1] << 8 | p[2] << 16 | (Uint64)p[3] << 24);
        if (elem == 0x10 && len < sizeof syntax && (size_t)(p - b) + len <= n) {
            memcpy(syntax, p, (size_t)len);
            for (size_t k = (size_t)len; k > 0 && syntax[k - 1] == ' '; k--)
                syntax[k - 1] = 0;
        }
        at += (Uint64)(p - b) + len;
        if (elem == 0 && len != 4)
            return {0, EXS_Unknown};
    }
    const E_TransferSyntax form = DcmXfer(syntax).getXfer();
    if (says == 0 || says == at || form == EXS_Unknown || form == EXS_DeflatedLittleEndianExplicit)
        return {0, EXS_Unknown};
    return {(offile_off_t)at, form};
}

// The data set alone, in another form.
OFCondition parse_as(dcm_raw *r, const OtherForm &other)
{
    char here;
    DcmDataset *d = r->ff.getDataset();
    d->clear();
    const std::unique_ptr<DcmInputStream> in = dcm_source_parse(&r->src, other.at, &here);
    d->transferInit();
    OFCondition c = d->read(*in, other.form, EGL_noChange, DEFER);
    d->transferEnd();
    return c;
}

OFCondition parse(dcm_raw *r, bool lenient)
{
    char here;
    dcmIgnoreParsingErrors.set(lenient ? OFTrue : OFFalse);
    r->ff.clear();
    const std::unique_ptr<DcmInputStream> in = dcm_source_parse(&r->src, 0, &here);
    r->ff.transferInit();
    OFCondition c = r->ff.read(*in, EXS_Unknown, EGL_noChange, DEFER);
    r->ff.transferEnd();
    dcmIgnoreParsingErrors.set(OFFalse);
    return c;
}

void find_pixels(dcm_raw *r)
{
    static const DcmTagKey keys[] = {DCM_PixelData, DCM_FloatPixelData, DCM_DoubleFloatPixelData};
    DcmDataset *d = r->ff.getDataset();
    for (const DcmTagKey &k : keys)
        if (!r->pixels)
            d->findAndGetElement(k, r->pixels);
    if (!r->pixels)
        return;
    r->kind = DCM_RAW_NATIVE;
    DcmPixelData *p = dynamic_cast<DcmPixelData *>(r->pixels);
    if (!p)
        return;
    E_TransferSyntax rep = EXS_Unknown;
    const DcmRepresentationParameter *param = nullptr;
    DcmPixelSequence *seq = nullptr;
    p->getOriginalRepresentationKey(rep, param);
    if (p->getEncapsulatedRepresentation(rep, param, seq).bad() || !seq)
        return;
    r->kind = DCM_RAW_FRAGMENTS;
    for (DcmObject *o = seq->nextInContainer(nullptr); o; o = seq->nextInContainer(o)) {
        DcmPixelItem *i = dynamic_cast<DcmPixelItem *>(o);
        if (i && !r->table)
            r->table = i;
        else if (i)
            r->fragments.push_back(i);
    }
}

// Is what stands before `at` the head of this element? With a VR its length has a place of 4 bytes.
bool is_value_of(const dcm_source &src, Uint64 at, uint32_t tag, Uint32 len)
{
    const unsigned char *p = reinterpret_cast<const unsigned char *>(src.mem) + at;
    if (at < 12 || at > src.size || len > src.size - at)
        return false;
    Uint32 n = p[-4] | p[-3] << 8 | p[-2] << 16 | (Uint32)p[-1] << 24;
    const unsigned char *t = p - 8;
    if (p[-8] == 'O' && p[-6] == 0 && p[-5] == 0)
        t = p - 12;
    return n == len && DCM_TAG(t[0] | t[1] << 8, t[2] | t[3] << 8) == tag;
}

// There may be two that look alike, one of an icon within a sequence: neither is taken then.
void find_plain(dcm_raw *r)
{
    if (!r->src.mem || r->kind != DCM_RAW_NATIVE || r->recovered || r->order != EBO_LittleEndian)
        return;
    unsigned found = 0;
    for (Uint64 at : r->src.left)
        if (is_value_of(r->src, at, DCM_TAG(r->pixels->getGTag(), r->pixels->getETag()),
                        r->pixels->getLengthField())) {
            r->plain = r->src.mem + at;
            found++;
        }
    if (found != 1)
        r->plain = nullptr;
}

void find_syntax(dcm_raw *r)
{
    OFString s;
    DcmDataset *d = r->ff.getDataset();
    E_TransferSyntax x = d->getOriginalXfer();
    r->order = DcmXfer(x).getByteOrder();
    DcmMetaInfo *m = r->ff.getMetaInfo();
    if (!m || m->findAndGetOFString(DCM_TransferSyntaxUID, s).bad() || s.empty() || s.size() > 64) {
        const char *id = DcmXfer(x).getXferID();
        s = id ? id : "";
    }
    r->syntax.assign(s.c_str());
}

void open_file(dcm_raw *r, const dcm_limits *lim)
{
    struct stat st;
    if (!r->src.mem && fstat(r->src.fd, &st) != 0)
        throw Failure{"unreadable", strerror(errno)};
    if (!r->src.mem && r->src.size == 0)
        r->src.size = (Uint64)st.st_size;
    if (lim->max_file && r->src.size > lim->max_file)
        throw Failure{"file-too-large", "larger than a file may be"};
    if (!plausible(r->src))
        throw Failure{"not-dicom", "not a DICOM file"};
    OFCondition c = parse(r, false);
    OtherForm other = meta_form(r->src);
    if (!other.at)
        other = other_form(r->src, r->ff);
    bool lenient = false;
    std::string first;
    if (!r->src.deep && (c.bad() || other.at)) {
        // Part of the files with damaged delimiters or lengths can be read all the same.
        first = c.text();
        lenient = !other.at;
        c = other.at ? parse_as(r, other) : parse(r, true);
        r->recovered = true;
        if (c.bad() || r->ff.getDataset()->card() == 0)
            throw Failure{"damaged", first};
    }
    if (r->src.deep)
        throw Failure{"too-deep", "sequences nest too deeply"};
    if (r->ff.getDataset()->card() == 0)
        throw Failure{"damaged", "holds no attributes"};
    find_syntax(r);
    find_pixels(r);
    // Frames are there or not; what a text has lost cannot be seen.
    if (lenient && r->kind == DCM_RAW_NONE)
        throw Failure{"damaged", first};
    find_plain(r);
}

int copy_tree(dcm_raw *r, dcm_tree *t, const dcm_limits *lim, ds_err *err)
{
    Uint16 pr = 0;
    r->ff.getDataset()->findAndGetUint16(DCM_PixelRepresentation, pr);
    Walk w = {t, r, lim, pr == 1, r->order == EBO_LittleEndian, err};
    int rc = r->ff.getMetaInfo() ? copy_item(w, r->ff.getMetaInfo(), dcm_tree_meta(t)) : 0;
    if (rc == 0)
        rc = copy_item(w, r->ff.getDataset(), dcm_tree_main(t));
    return rc ? rc : dcm_twice_find(t, r->src, r->ff.getDataset()->getOriginalXfer(), err);
}

// What stands before the damage; nothing where that cannot be told.
void copy_rest(dcm_raw *r, dcm_tree **t, const dcm_limits *lim)
{
    ds_err ignored = {};
    try {
        if (dcm_tree_new(t, &ignored) == 0 && copy_tree(r, *t, lim, &ignored) == 0)
            return;
    } catch (...) {
    }
    dcm_tree_free(*t);
    *t = nullptr;
}

int failed(const char **reason, const char *slug, ds_err *err, const char *name, const char *words)
{
    *reason = slug;
    return ds_fail(err, DS_FAIL, "%s: %s", name, words);
}

} // namespace

#define GUARD(what)                                                                                \
    catch (const std::bad_alloc &)                                                                 \
    {                                                                                              \
        return ds_fail_nomem(err);                                                                 \
    }                                                                                              \
    catch (...)                                                                                    \
    {                                                                                              \
        return ds_fail(err, DS_FAIL, "%s: %s", r ? r->name.c_str() : "?", what);                   \
    }

extern "C" int dcm_shim_init(ds_err *err)
{
    try {
        OFLog::configure(OFLogger::OFF_LOG_LEVEL);
        if (!dcmDataDict.isDictionaryLoaded())
            return ds_fail(err, DS_FAIL,
                           "DCMTK's data dictionary cannot be read (DCMDICTPATH): without it "
                           "names would not be known as such");
        dcmEnableAutomaticInputDataCorrection.set(OFFalse);
        dcmReplaceWrongDelimitationItem.set(OFTrue);
        DJDecoderRegistration::registerCodecs();
        DJLSDecoderRegistration::registerCodecs();
        return 0;
    } catch (...) {
        return ds_fail(err, DS_FAIL, "DCMTK cannot be set up");
    }
}

extern "C" int dcm_raw_open(dcm_raw **out, dcm_tree **tree, const dcm_bytes *from, const char *name,
                            const dcm_limits *lim, const char **reason, ds_err *err)
{
    dcm_raw *r = nullptr;
    *out = nullptr;
    *tree = nullptr;
    *reason = "damaged";
    bool damaged = false;
    try {
        r = new dcm_raw();
        r->src.fd = from->fd;
        r->src.mem = static_cast<const char *>(from->mem);
        r->src.size = from->size;
        r->src.at = (off_t)from->at;
        r->name = name;
        open_file(r, lim);
        int rc = dcm_tree_new(tree, err);
        if (rc == 0)
            rc = copy_tree(r, *tree, lim, err);
        if (rc == 0) {
            *out = r;
            return 0;
        }
    } catch (const Failure &f) {
        failed(reason, f.reason, err, name, f.words.c_str());
        damaged = strcmp(f.reason, "damaged") == 0;
    } catch (const std::bad_alloc &) {
        failed(reason, "out-of-memory", err, name, "more memory is wanted than there may be");
    } catch (const std::exception &e) {
        failed(reason, "damaged", err, name, e.what());
    } catch (...) {
        failed(reason, "damaged", err, name, "cannot be parsed");
    }
    if (!err->code)
        ds_fail_nomem(err);
    if (strstr(err->msg, "nest deeper"))
        *reason = "too-deep";
    dcm_tree_free(*tree);
    *tree = nullptr;
    if (damaged)
        copy_rest(r, tree, lim);
    dcm_raw_close(r);
    return err->code;
}

extern "C" void dcm_raw_close(dcm_raw *r)
{
    try {
        delete r;
    } catch (...) {
    }
}

extern "C" enum dcm_raw_kind dcm_raw_kind_of(const dcm_raw *r)
{
    return r->kind;
}

extern "C" uint32_t dcm_raw_tag(const dcm_raw *r)
{
    return r->pixels ? DCM_TAG(r->pixels->getGTag(), r->pixels->getETag()) : 0;
}

extern "C" const char *dcm_raw_syntax(const dcm_raw *r)
{
    return r->syntax.c_str();
}

extern "C" bool dcm_raw_big_endian(const dcm_raw *r)
{
    return r->order == EBO_BigEndian;
}

extern "C" bool dcm_raw_recovered(const dcm_raw *r)
{
    return r->recovered;
}

extern "C" uint64_t dcm_raw_len(const dcm_raw *r)
{
    return r->kind == DCM_RAW_NATIVE ? r->pixels->getLengthField() : 0;
}

extern "C" const uint8_t *dcm_raw_bytes(const dcm_raw *r)
{
    return reinterpret_cast<const uint8_t *>(r->plain);
}

extern "C" int dcm_raw_read(dcm_raw *r, uint64_t offset, void *to, size_t n, ds_err *err)
{
    try {
        if (offset > UINT32_MAX || n > UINT32_MAX || n == 0)
            return ds_fail(err, DS_FAIL, "%s: pixel data past 4 GiB", r->name.c_str());
        OFCondition c =
            r->pixels->getPartialValue(to, (Uint32)offset, (Uint32)n, &r->cache, r->order);
        return c.good() ? 0
                        : ds_fail(err, DS_FAIL, "%s: pixel data at %" PRIu64 ": %s",
                                  r->name.c_str(), offset, c.text());
    }
    GUARD("pixel data cannot be read")
}

extern "C" uint32_t dcm_raw_fragments(const dcm_raw *r)
{
    return (uint32_t)r->fragments.size();
}

extern "C" uint32_t dcm_raw_fragment_len(const dcm_raw *r, uint32_t i)
{
    return i < r->fragments.size() ? r->fragments[i]->getLengthField() : 0;
}

static int item_bytes(dcm_raw *r, DcmPixelItem *item, ds_buf *out, ds_err *err)
{
    Uint32 n = item->getLengthField();
    if (n > r->src.size || ds_buf_reserve(out, n) != 0)
        return ds_fail_nomem(err);
    if (n == 0)
        return 0;
    OFCondition c = item->getPartialValue(out->data + out->len, 0, n, &r->cache, EBO_LittleEndian);
    if (c.bad())
        return ds_fail(err, DS_FAIL, "%s: a fragment of %u bytes: %s", r->name.c_str(), n,
                       c.text());
    out->len += n;
    return 0;
}

extern "C" int dcm_raw_fragment(dcm_raw *r, uint32_t i, ds_buf *out, ds_err *err)
{
    try {
        if (i >= r->fragments.size())
            return ds_fail(err, DS_FAIL, "%s: no fragment %u", r->name.c_str(), i);
        return item_bytes(r, r->fragments[i], out, err);
    }
    GUARD("a fragment cannot be read")
}

extern "C" int dcm_raw_offsets(dcm_raw *r, ds_buf *out, ds_err *err)
{
    try {
        return r->table ? item_bytes(r, r->table, out, err) : 0;
    }
    GUARD("the offset table cannot be read")
}
