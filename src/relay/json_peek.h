// Purpose: finds a few values in JSON that passes by in pieces, without keeping it: which values is said by a table of
//          paths. What stands inside strings is never taken for structure, however the bytes are cut.
// Units: sizes in bytes.
// Owns: a scanner holds its place and the beginning of one string, some 250 bytes; the table of paths must outlive it.
// Threads: one; no allocation.
// Fails: never. What is not JSON yields nothing, or values that a lenient reader would find too; time stays linear.
// Source: RFC 8259.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gputach::relay {

enum class JsonKind : unsigned char { string, number, literal, object, array };

// `what` names the value for whoever made the table.
struct JsonPath {
  std::string_view path;  // keys joined by dots; arrays on the way are passed through: "choices.text"
  unsigned char what = 0;
};

// The paths of a table as a tree, made by the compiler.
class JsonTree {
 public:
  static constexpr std::size_t nodes_max = 64;
  static constexpr unsigned char none = 0xff;

  template <std::size_t N>
  explicit constexpr JsonTree(const JsonPath (&paths)[N]) {
    for (const JsonPath& row : paths) add(row);
  }

  // The child of `node` under `key`; none when nothing below it is looked for.
  [[nodiscard]] constexpr unsigned char child(unsigned char node, std::string_view key) const {
    if (node == none) return none;
    for (unsigned char at = nodes_[node].first_child; at != none; at = nodes_[at].next_sibling) {
      if (nodes_[at].key == key) return at;
    }
    return none;
  }
  [[nodiscard]] constexpr unsigned char what(unsigned char node) const {
    return node == none ? none : nodes_[node].what;
  }
  [[nodiscard]] constexpr bool has_children(unsigned char node) const {
    return node != none && nodes_[node].first_child != none;
  }

 private:
  struct Node {
    std::string_view key;
    unsigned char what = none;
    unsigned char first_child = none;
    unsigned char next_sibling = none;
  };

  constexpr void add(const JsonPath& row) {
    unsigned char node = 0;
    for (std::string_view rest = row.path; !rest.empty();) {
      const std::size_t dot = rest.find('.');
      const std::string_view key = rest.substr(0, dot);
      rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
      unsigned char next = child(node, key);
      if (next == none) {
        next = size_++;
        nodes_.at(next) = {key, none, none, nodes_[node].first_child};
        nodes_[node].first_child = next;
      }
      node = next;
    }
    nodes_[node].what = row.what;
  }

  std::array<Node, nodes_max> nodes_{};
  unsigned char size_ = 1;  // node 0 is the whole document
};

class JsonSink {
 public:
  // `text` of a string is unescaped as far as names need it, and cut at JsonScanner::text_bytes_max; of a number or a
  // literal it is as written; of an object or array, which is told when it begins, it is empty. Valid during the call.
  virtual void on_value(unsigned char what, JsonKind kind, std::string_view text) = 0;

 protected:
  ~JsonSink() = default;
};

class JsonScanner {
 public:
  static constexpr std::size_t text_bytes_max = 160;
  static constexpr std::size_t depth_max = 16;  // of containers on the paths; what is nested deeper is passed over

  explicit JsonScanner(const JsonTree& tree) : tree_(&tree) {}

  // The next bytes of the document. After its end everything is ignored until restart().
  void feed(std::string_view bytes, JsonSink& sink);
  void restart();
  // The document has ended: the outermost value is complete.
  [[nodiscard]] bool ended() const { return state_ == State::ended; }

 private:
  enum class State : unsigned char { value, key, colon, after, in_key, in_string, in_scalar, skip, skip_string, ended };
  struct Frame {
    unsigned char node = JsonTree::none;
    bool is_array = false;
  };

  std::size_t structure(std::string_view bytes, std::size_t at, JsonSink& sink);
  void begin_value(char c, JsonSink& sink);
  void open(char c, JsonSink& sink);
  void close();
  std::size_t string(std::string_view bytes, std::size_t at, JsonSink& sink);
  std::size_t scalar(std::string_view bytes, std::size_t at, JsonSink& sink);
  std::size_t skip(std::string_view bytes, std::size_t at);
  void end_string(std::string_view last, JsonSink& sink);
  void keep(std::string_view text);
  std::string_view unescape(std::string_view text);
  void value_ended() { state_ = depth_ == 0 ? State::ended : State::after; }

  const JsonTree* tree_;
  std::array<Frame, depth_max> frames_{};
  std::uint64_t skipped_depth_ = 0;  // containers open inside one that is passed over, that one included
  std::size_t text_size_ = 0;
  std::size_t depth_ = 0;
  State state_ = State::value;
  unsigned char node_ = 0;  // of the value that is read or comes next
  bool escaped_ = false;    // the last byte was a backslash that escapes the next
  std::array<char, text_bytes_max> text_;
};

}  // namespace gputach::relay
