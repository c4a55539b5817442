#include "publish/gzip.h"

#include <zlib.h>

#include <limits>

namespace gputach {
namespace {

// The last level that takes the first good match: of 64 GPUs' page, level 4 takes twice the time to save one byte
// in 25.
constexpr int level = 3;
constexpr int window_bits = 14;
constexpr int gzip_wrapper = 16;  // added to the window bits: RFC 1952 instead of RFC 1950
constexpr int memory_level = 7;

// zlib's input is declared without const for the sake of old callers; it is not written to.
Bytef* input_of(std::string_view page) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(page.data()));
}

}  // namespace

struct Gzip::Stream {
  z_stream state{};
  bool usable =
      deflateInit2(&state, level, Z_DEFLATED, window_bits + gzip_wrapper, memory_level, Z_DEFAULT_STRATEGY) == Z_OK;

  Stream() = default;
  Stream(const Stream&) = delete;  // the state points to itself
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (usable) deflateEnd(&state);
  }
};

Gzip::Gzip() = default;
Gzip::~Gzip() = default;

std::optional<std::string> Gzip::compress(std::string_view page) {
  if (page.size() < page_bytes_min || page.size() > std::numeric_limits<uInt>::max()) return std::nullopt;
  if (stream_ == nullptr) stream_ = std::make_unique<Stream>();
  if (!stream_->usable) {  // memory was short; the next page tries anew
    stream_.reset();
    return std::nullopt;
  }
  z_stream& state = stream_->state;
  if (deflateReset(&state) != Z_OK) return std::nullopt;
  std::string out(page.size() - 1, '\0');  // more is not wanted
  state.next_in = input_of(page);
  state.avail_in = static_cast<uInt>(page.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  if (deflate(&state, Z_FINISH) != Z_STREAM_END) return std::nullopt;
  out.resize(out.size() - state.avail_out);
  out.shrink_to_fit();  // it is kept as long as its snapshot
  return out;
}

}  // namespace gputach
