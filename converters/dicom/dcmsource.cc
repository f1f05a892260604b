// dcmsource.cc - see dcmsource.hh.
#include "dcmsource.hh"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unistd.h>

#include <dcmtk/dcmdata/dcerror.h>

namespace {

// Parsing recurses for every sequence in a sequence, and the file says how many there are. Each
// level reads from the producer, which looks at how much of the stack is gone.
constexpr size_t STACK_MAX = 3u << 20;
constexpr size_t READ_AHEAD = 64u << 10;

// Bytes of a descriptor from an offset on. `guard`: whether this is the one that parsing reads.
class FdProducer : public DcmProducer {
  public:
    FdProducer(dcm_source *s, offile_off_t at, bool guard) : src(s), pos(at), guarded(guard) {}
    ~FdProducer() override { free(buf); }
    OFBool good() const override { return cond.good(); }
    OFCondition status() const override { return cond; }
    OFBool eos() override { return (Uint64)pos >= src->size; }
    offile_off_t avail() override { return (offile_off_t)src->size - pos; }
    offile_off_t read(void *to, offile_off_t n) override
    {
        char here;
        if (guarded && src->stack - &here > (ptrdiff_t)STACK_MAX) {
            src->deep = true;
            cond = EC_InvalidStream;
        }
        offile_off_t done = 0;
        while (cond.good() && done < n && !eos()) {
            if (src->mem) {
                offile_off_t k = avail() < n - done ? avail() : n - done;
                memcpy(static_cast<char *>(to) + done, src->mem + pos, (size_t)k);
                pos += k;
                done += k;
            } else if (pos >= base && pos < base + (offile_off_t)have) {
                offile_off_t k = base + (offile_off_t)have - pos;
                k = k < n - done ? k : n - done;
                memcpy(static_cast<char *>(to) + done, buf + (pos - base), (size_t)k);
                pos += k;
                done += k;
            } else if (n - done >= (offile_off_t)READ_AHEAD) {
                ssize_t k = take(static_cast<char *>(to) + done, (size_t)(n - done));
                pos += k;
                done += k;
            } else if (!buf && !(buf = static_cast<char *>(malloc(READ_AHEAD)))) {
                cond = EC_MemoryExhausted;
            } else {
                base = pos;
                have = (size_t)take(buf, READ_AHEAD);
            }
        }
        return done;
    }
    offile_off_t skip(offile_off_t n) override
    {
        offile_off_t k = avail() < n ? avail() : n;
        pos += k;
        return k;
    }
    void putback(offile_off_t n) override { pos -= n < pos ? n : pos; }

  private:
    ssize_t take(char *to, size_t n)
    {
        ssize_t k;
        do
            k = pread(src->fd, to, n, src->at + pos);
        while (k < 0 && errno == EINTR);
        if (k <= 0) { // shorter than it was
            cond = EC_InvalidStream;
            k = 0;
        }
        return k;
    }
    dcm_source *src;
    offile_off_t pos, base = 0;
    char *buf = nullptr;
    size_t have = 0;
    bool guarded;
    OFCondition cond = EC_Normal;
};

class FdStream;
class FdFactory : public DcmInputStreamFactory {
  public:
    FdFactory(dcm_source *s, offile_off_t at) : src(s), pos(at) {}
    DcmInputStream *create() const override;
    DcmInputStreamFactory *clone() const override { return new FdFactory(src, pos); }
    DcmInputStreamFactoryType ident() const override { return DFT_DcmInputFileStreamFactory; }

  private:
    dcm_source *src;
    offile_off_t pos;
};

class FdStream : public DcmInputStream {
  public:
    FdStream(dcm_source *s, offile_off_t at, bool guard)
        : DcmInputStream(&producer), src(s), start(at), first(guard), producer(s, at, guard)
    {
    }
    DcmInputStreamFactory *newFactory() const override
    {
        // Inflated bytes have no place in the file.
        if (currentProducer() != &producer)
            return nullptr;
        if (first)
            src->left.push_back((Uint64)(start + tell()));
        return new FdFactory(src, start + tell());
    }

  private:
    dcm_source *src;
    offile_off_t start;
    bool first; // what parsing reads
    FdProducer producer;
};

DcmInputStream *FdFactory::create() const
{
    return new FdStream(src, pos, false);
}

} // namespace

size_t dcm_source_peek(const dcm_source &s, Uint64 at, unsigned char *b, size_t n)
{
    n = at >= s.size ? 0 : n < s.size - at ? n : (size_t)(s.size - at);
    if (s.mem) {
        memcpy(b, s.mem + at, n);
        return n;
    }
    ssize_t got = n ? pread(s.fd, b, n, s.at + (off_t)at) : 0;
    return got > 0 ? (size_t)got : 0;
}

std::unique_ptr<DcmInputStream> dcm_source_parse(dcm_source *s, offile_off_t at, const char *stack)
{
    s->stack = stack;
    s->deep = false;
    s->left.clear();
    return std::unique_ptr<DcmInputStream>(new FdStream(s, at, true));
}
