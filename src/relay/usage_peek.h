// Purpose: reads in passing what bodies say about tokens: the model, the first token, usage, an error, a proper end. It
//          looks at bytes that are on their way and neither changes nor holds them.
// Units: sizes in bytes; tokens; events of an event stream.
// Owns: its place in the body: less than 1 KiB for an exchange, whatever its length. No allocation.
// Threads: one.
// Fails: never; what cannot be understood counts as not said. Time is linear in the bytes.
// Source: the HTML Living Standard, section 9.2.6 (event streams); RFC 8259 (JSON); the answers of vLLM 0.27,
//         llama.cpp's server, and OpenAI's, Anthropic's and Cohere's published interfaces.
//
// The whole body is scanned, not only its ends: whether bytes stand inside a string is known to those who have seen the
// bytes before. Long strings and long arrays of numbers are passed over quickly.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "relay/json_peek.h"

namespace gputach::relay {

inline constexpr std::size_t model_name_bytes_max = 128;  // longer names are as good as none

enum class BodyForm : unsigned char { opaque, event_stream, json };

// By the values of Content-Type and Content-Encoding; what is compressed is opaque.
[[nodiscard]] BodyForm body_form(std::string_view content_type, std::string_view content_encoding);

struct Usage {
  std::optional<std::uint64_t> prompt_tokens;
  std::optional<std::uint64_t> completion_tokens;

  bool operator==(const Usage&) const = default;
};

// A model's name as a body spells it, kept beyond the body.
class ModelName {
 public:
  [[nodiscard]] std::string_view view() const { return {text_.data(), size_}; }
  void assign(std::string_view name);

 private:
  std::size_t size_ = 0;
  std::array<char, model_name_bytes_max> text_;
};

class ResponsePeek final : private JsonSink {
 public:
  explicit ResponsePeek(BodyForm form);

  // The next bytes of the body, without the chunks' framing. Returns how many events with content were among them: an
  // event counts as soon as its first piece of text, reasoning or tool call is complete, so the first one is the first
  // token. Always 0 for other forms than event streams.
  std::size_t feed(std::string_view bytes);

  [[nodiscard]] std::uint64_t events() const { return events_; }  // that had data, with content or not
  [[nodiscard]] std::uint64_t content_events() const { return content_events_; }
  // The last word on each; engines that tell them with every event tell running totals.
  [[nodiscard]] const Usage& usage() const { return usage_; }
  // As the answer names it; empty when it does not.
  [[nodiscard]] std::string_view model() const { return model_.view(); }
  // There was an error object, as engines send it inside a stream that began with 200.
  [[nodiscard]] bool has_error() const { return has_error_; }
  // The stream said that it is complete ([DONE] or a last event of its kind), or the JSON text has ended.
  [[nodiscard]] bool is_complete() const { return is_complete_ || (form_ == BodyForm::json && scanner_.ended()); }

 private:
  enum class Line : unsigned char { name, space, data, other };  // where in a line of the event stream

  void on_value(unsigned char what, JsonKind kind, std::string_view text) override;
  void feed_events(std::string_view bytes);
  void feed_line(std::string_view part);
  void feed_data(std::string_view part);
  void end_line();
  void end_event();

  JsonScanner scanner_;
  Usage usage_;
  ModelName model_;
  std::uint64_t events_ = 0;
  std::uint64_t content_events_ = 0;
  std::uint64_t data_bytes_ = 0;     // of the event so far
  std::array<char, 6> data_head_{};  // the first of them
  unsigned char name_bytes_ = 0;     // of "data:" that the line has matched
  Line line_ = Line::name;
  BodyForm form_;
  bool line_is_empty_ = true;
  bool after_cr_ = false;  // a line feed that comes now belongs to the same line end
  bool event_has_content_ = false;
  bool has_error_ = false;
  bool is_complete_ = false;
};

static_assert(sizeof(ResponsePeek) <= 1024);

class RequestPeek final : private JsonSink {
 public:
  static constexpr std::uint64_t bytes_max = 16 * 1024;  // of the body that are looked at

  // Only a JSON body is looked at.
  explicit RequestPeek(BodyForm form);

  void feed(std::string_view bytes);

  // Nothing more can be learnt: feeding may stop.
  [[nodiscard]] bool is_finished() const;
  // Of the outermost object, where they stand within the bytes looked at; the first, should there be two.
  [[nodiscard]] std::string_view model() const { return model_.view(); }
  [[nodiscard]] std::optional<bool> stream() const { return stream_; }

 private:
  void on_value(unsigned char what, JsonKind kind, std::string_view text) override;

  JsonScanner scanner_;
  ModelName model_;
  std::uint64_t bytes_left_;
  std::optional<bool> stream_;
};

}  // namespace gputach::relay
