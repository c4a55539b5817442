#include "relay/json_peek.h"

#include <algorithm>
#include <cstring>

namespace gputach::relay {
namespace {

enum : unsigned char { ends_scalar = 1, structural = 2 };

constexpr std::array<unsigned char, 256> make_classes() {
  std::array<unsigned char, 256> classes{};
  for (const char c : std::string_view(",]} \t\r\n\"{[:")) classes[static_cast<unsigned char>(c)] |= ends_scalar;
  for (const char c : std::string_view("\"{}[]")) classes[static_cast<unsigned char>(c)] |= structural;
  return classes;
}

constexpr auto classes = make_classes();

std::size_t find_class(std::string_view bytes, std::size_t at, unsigned char bits) {
  while (at < bytes.size() && (classes[static_cast<unsigned char>(bytes[at])] & bits) == 0) ++at;
  return at;
}

// How many backslashes stand directly before `end`, no further back than `begin`.
std::size_t backslashes_before(std::string_view bytes, std::size_t begin, std::size_t end) {
  std::size_t count = 0;
  while (end - count > begin && bytes[end - count - 1] == '\\') ++count;
  return count;
}

}  // namespace

void JsonScanner::restart() {
  state_ = State::value;
  depth_ = 0;
  node_ = 0;
  skipped_depth_ = 0;
  text_size_ = 0;
  escaped_ = false;
}

void JsonScanner::feed(std::string_view bytes, JsonSink& sink) {
  for (std::size_t at = 0; at < bytes.size();) {
    switch (state_) {
      case State::value:
      case State::key:
      case State::colon:
      case State::after: at = structure(bytes, at, sink); break;
      case State::in_key:
      case State::in_string:
      case State::skip_string: at = string(bytes, at, sink); break;
      case State::in_scalar: at = scalar(bytes, at, sink); break;
      case State::skip: at = skip(bytes, at); break;
      case State::ended: return;
    }
  }
}

// One byte between values. Bytes that the grammar does not allow here are passed over.
std::size_t JsonScanner::structure(std::string_view bytes, std::size_t at, JsonSink& sink) {
  const char c = bytes[at];
  if (c == ' ' || c == '\n' || c == '\t' || c == '\r') return at + 1;
  if (c == '}' || c == ']') {
    close();
  } else if (state_ == State::key) {
    if (c == '"') state_ = State::in_key;
  } else if (state_ == State::colon) {
    if (c == ':') state_ = State::value;
  } else if (state_ == State::after) {
    if (c == ',') {
      const Frame& frame = frames_[depth_ - 1];
      node_ = frame.node;
      state_ = frame.is_array ? State::value : State::key;
    }
  } else {
    begin_value(c, sink);
    return state_ == State::in_scalar ? at : at + 1;
  }
  return at + 1;
}

void JsonScanner::begin_value(char c, JsonSink& sink) {
  if (c == '"') {
    state_ = State::in_string;
  } else if (c == '{' || c == '[') {
    open(c, sink);
  } else if (c != ',' && c != ':') {
    state_ = State::in_scalar;
  }
}

void JsonScanner::open(char c, JsonSink& sink) {
  const bool is_array = c == '[';
  const unsigned char what = tree_->what(node_);
  if (what != JsonTree::none) sink.on_value(what, is_array ? JsonKind::array : JsonKind::object, {});
  const bool wanted = tree_->has_children(node_) || (is_array && what != JsonTree::none);
  if (!wanted || depth_ == depth_max) {
    skipped_depth_ = 1;
    state_ = State::skip;
    return;
  }
  frames_[depth_++] = {node_, is_array};
  state_ = is_array ? State::value : State::key;
}

void JsonScanner::close() {
  if (depth_ > 0) --depth_;
  value_ended();
}

// Inside a string: to its end, or to the end of what is there.
std::size_t JsonScanner::string(std::string_view bytes, std::size_t at, JsonSink& sink) {
  const bool kept = state_ == State::in_key || (state_ == State::in_string && tree_->what(node_) != JsonTree::none);
  std::size_t begin = at;  // of what can hold a backslash that matters
  if (escaped_) {
    escaped_ = false;
    ++begin;
  }
  for (std::size_t from = begin;;) {
    const void* const found =
        from < bytes.size() ? std::memchr(bytes.data() + from, '"', bytes.size() - from) : nullptr;
    if (found == nullptr) {
      escaped_ = backslashes_before(bytes, from, bytes.size()) % 2 == 1;
      if (kept) keep(bytes.substr(at));
      return bytes.size();
    }
    const auto quote = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
    if (backslashes_before(bytes, from, quote) % 2 == 0) {
      if (state_ == State::skip_string) {
        state_ = State::skip;
      } else {
        end_string(kept ? bytes.substr(at, quote - at) : std::string_view{}, sink);
      }
      return quote + 1;
    }
    from = quote + 1;
  }
}

// `last` are the bytes of the string that were not kept yet: all of it, when it came in one piece.
void JsonScanner::end_string(std::string_view last, JsonSink& sink) {
  std::string_view text = last.substr(0, text_bytes_max);
  if (text_size_ > 0) {
    keep(last);
    text = {text_.data(), text_size_};
  }
  text_size_ = 0;
  if (text.contains('\\')) text = unescape(text);
  if (state_ == State::in_key) {
    node_ = tree_->child(frames_[depth_ - 1].node, text);
    state_ = State::colon;
    return;
  }
  const unsigned char what = tree_->what(node_);
  value_ended();
  if (what != JsonTree::none) sink.on_value(what, JsonKind::string, text);
}

// The escapes of single characters, of which names have at most "\/"; one by number becomes a character of no name.
std::string_view JsonScanner::unescape(std::string_view text) {
  std::size_t size = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '\\') {
      if (++at == text.size()) break;
      c = text[at] == '"' || text[at] == '\\' || text[at] == '/' ? text[at] : '\x01';
    }
    text_[size++] = c;  // never ahead of what is read, should `text` be in here already
  }
  return {text_.data(), size};
}

void JsonScanner::keep(std::string_view text) {
  const std::size_t size = std::min(text.size(), text_bytes_max - text_size_);
  std::copy_n(text.data(), size, text_.data() + text_size_);
  text_size_ += size;
}

std::size_t JsonScanner::scalar(std::string_view bytes, std::size_t at, JsonSink& sink) {
  const std::size_t end = find_class(bytes, at, ends_scalar);
  const unsigned char what = tree_->what(node_);
  if (what != JsonTree::none) keep(bytes.substr(at, end - at));
  if (end == bytes.size()) return end;
  const std::string_view text(text_.data(), text_size_);
  text_size_ = 0;
  value_ended();
  if (what != JsonTree::none && !text.empty()) {
    const bool number = text.front() == '-' || (text.front() >= '0' && text.front() <= '9');
    sink.on_value(what, number ? JsonKind::number : JsonKind::literal, text);
  }
  return end;
}

std::size_t JsonScanner::skip(std::string_view bytes, std::size_t at) {
  for (;; ++at) {
    at = find_class(bytes, at, structural);
    if (at == bytes.size()) return at;
    switch (bytes[at]) {
      case '"': state_ = State::skip_string; return at + 1;
      case '{':
      case '[': ++skipped_depth_; break;
      default:
        if (--skipped_depth_ == 0) {
          value_ended();
          return at + 1;
        }
    }
  }
}

}  // namespace gputach::relay
