// Purpose: makes the gzip form of a page; one deflate stream, made at the first use and used again for every page.
// Units: bytes. A page has 0.35 KB for each GPU, so a window of 16 KiB sees most of any of them.
// Owns: the stream: 128 KiB for window and tables and some 6 KiB beside them, once; nothing before the first page.
// Threads: one.
// Fails: nothing when memory is short or the page does not shrink; whoever asks sends it as it is.
// Source: RFC 1952, zlib 1.2.13 (zconf.h for the memory that window and level cost).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace gputach {

class Gzip {
 public:
  static constexpr std::size_t page_bytes_min = 256;  // a smaller page fits into one packet anyhow

  Gzip();
  ~Gzip();
  Gzip(const Gzip&) = delete;
  Gzip& operator=(const Gzip&) = delete;

  // Nothing unless the result is smaller than the page. The same page always gives the same bytes.
  [[nodiscard]] std::optional<std::string> compress(std::string_view page);

 private:
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace gputach
