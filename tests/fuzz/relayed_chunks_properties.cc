// What must hold for every chunked body that is carried on: a naive reader of what comes out finds the data of what
// went in, an end where there was one and none elsewhere, wherever it was cut.
#include <array>
#include <cstdint>

#include "fuzz/target.h"
#include "relay/chunked_reader.h"

namespace gputach::fuzz {
namespace {

using namespace relay;
using http::ChunkedState;

struct Outcome {
  ChunkedState state = ChunkedState::need_more;
  std::size_t consumed = 0;  // with done
  std::string data;          // whatever was handed on before it went bad depends on the pieces
};

// What our own chunks hold: written by us, so read to the letter.
bool read_ours(std::string_view text, std::string& data, bool& ended) {
  while (!text.empty()) {
    if (ended) return false;
    const std::size_t end = text.find("\r\n");
    if (end == std::string_view::npos || end == 0) return false;
    std::size_t size = 0;
    for (const char c : text.substr(0, end)) {
      const std::size_t digit = std::string_view("0123456789abcdef").find(c | 0x20);
      if (digit == std::string_view::npos) return false;
      size = size * 16 + digit;
    }
    text.remove_prefix(end + 2);
    if (text.size() < size + 2 || text.substr(size, 2) != "\r\n") return false;
    data += text.substr(0, size);
    text.remove_prefix(size + 2);
    ended = size == 0;
  }
  return true;
}

// Empty, or what is wrong.
std::string carry(std::string_view bytes, std::size_t piece, bool in_chunks, Outcome& outcome) {
  ChunkedReader reader;
  std::string out;
  std::uint64_t counted = 0;
  std::size_t at = 0;
  while (outcome.state == ChunkedState::need_more && at < bytes.size()) {
    const ExactCopy next(bytes.substr(at, piece));
    const std::size_t before = out.size();
    const ChunkedBatch batch = take_chunks(reader, next.view(), in_chunks, out);
    outcome.state = batch.state;
    at += batch.consumed;
    counted += batch.data_bytes;
    if (batch.state == ChunkedState::need_more && batch.consumed != next.view().size()) return "bytes are left over";
    if (batch.state == ChunkedState::bad && out.size() != before) return "something was handed on of what is bad";
    if (batch.state != ChunkedState::bad && data_of(batch, in_chunks, out).size() != batch.data_bytes) return "data_of";
  }
  outcome.consumed = outcome.state == ChunkedState::done ? at : 0;
  bool ended = false;
  if (!in_chunks) {
    outcome.data = out;
  } else if (!read_ours(out, outcome.data, ended)) {
    return "what comes out is not chunks";
  }
  if (in_chunks && ended != (outcome.state == ChunkedState::done)) return "its end is not where the end was";
  return counted == outcome.data.size() ? "" : "the data is miscounted";
}

}  // namespace

std::string check_relayed_chunks(std::string_view bytes) {
  Outcome whole;
  if (std::string broken = carry(bytes, bytes.size(), false, whole); !broken.empty()) return broken;
  for (const std::size_t piece : std::to_array<std::size_t>({1, 2, 3, 7, 1000})) {
    for (const bool in_chunks : {false, true}) {
      Outcome outcome;
      if (std::string broken = carry(bytes, piece, in_chunks, outcome); !broken.empty()) return broken;
      if (outcome.state != whole.state || outcome.consumed != whole.consumed) return "in pieces it ends otherwise";
      if (whole.state != ChunkedState::bad && outcome.data != whole.data) return "in pieces it has other data";
    }
  }
  return {};
}

}  // namespace gputach::fuzz
