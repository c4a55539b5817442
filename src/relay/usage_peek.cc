#include "relay/usage_peek.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "http/message.h"

namespace gputach::relay {
namespace {

enum What : unsigned char { content, prompt_tokens, completion_tokens, model, error, type, stop, stream };

// Where the interfaces keep what is looked for.
constexpr JsonTree response_tree({
    // Chat and completions, as OpenAI defines them; token_ids is vLLM's tokens-in-tokens-out interface.
    {"model", model},
    {"choices.delta.content", content},
    {"choices.delta.reasoning_content", content},
    {"choices.delta.reasoning", content},
    {"choices.delta.refusal", content},
    {"choices.delta.tool_calls.function.name", content},
    {"choices.delta.tool_calls.function.arguments", content},
    {"choices.delta.function_call.arguments", content},
    {"choices.text", content},
    {"choices.token_ids", content},
    {"usage.prompt_tokens", prompt_tokens},
    {"usage.completion_tokens", completion_tokens},
    {"error", error},
    // Responses: events response.*.delta carry a string.
    {"type", type},
    {"delta", content},
    {"response.model", model},
    {"response.usage.input_tokens", prompt_tokens},
    {"response.usage.output_tokens", completion_tokens},
    {"response.error", error},
    // Anthropic's messages.
    {"message.model", model},
    {"message.usage.input_tokens", prompt_tokens},
    {"message.usage.output_tokens", completion_tokens},
    {"delta.text", content},
    {"delta.thinking", content},
    {"delta.partial_json", content},
    {"usage.input_tokens", prompt_tokens},  // also of responses that are not streamed
    {"usage.output_tokens", completion_tokens},
    // Cohere's chat.
    {"delta.message.content.text", content},
    {"delta.usage.tokens.input_tokens", prompt_tokens},
    {"delta.usage.tokens.output_tokens", completion_tokens},
    {"usage.tokens.input_tokens", prompt_tokens},
    {"usage.tokens.output_tokens", completion_tokens},
    // llama.cpp's own /completion, and TGI's /generate_stream.
    {"content", content},
    {"stop", stop},
    {"tokens_evaluated", prompt_tokens},
    {"tokens_predicted", completion_tokens},
    {"token.text", content},
});

constexpr JsonTree request_tree({{"model", model}, {"stream", stream}});

constexpr auto last_events =
    std::to_array<std::string_view>({"response.completed", "response.incomplete", "response.failed", "message_stop"});

constexpr std::string_view data_field = "data:";
constexpr std::string_view done = "[DONE]";

// Whole numbers only, and none that would spoil a sum: 10^12 tokens is more than any model reads in its life.
std::optional<std::uint64_t> token_count(JsonKind kind, std::string_view text) {
  constexpr std::size_t digits_max = 12;
  if (kind != JsonKind::number || text.size() > digits_max) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

void update(std::optional<std::uint64_t>& count, JsonKind kind, std::string_view text) {
  if (const auto value = token_count(kind, text)) count = value;
}

// The position of `c` at or after `at`, or the size.
std::size_t find_byte(std::string_view bytes, std::size_t at, char c) {
  return std::min(bytes.find(c, at), bytes.size());
}

}  // namespace

BodyForm body_form(std::string_view content_type, std::string_view content_encoding) {
  if (!content_encoding.empty() && !http::equal_without_case(content_encoding, "identity")) return BodyForm::opaque;
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  if (http::equal_without_case(type, "text/event-stream")) return BodyForm::event_stream;
  if (http::equal_without_case(type, "application/json")) return BodyForm::json;
  return BodyForm::opaque;
}

void ModelName::assign(std::string_view name) {
  if (name.size() > text_.size()) return;
  std::ranges::copy(name, text_.begin());
  size_ = name.size();
}

ResponsePeek::ResponsePeek(BodyForm form) : scanner_(response_tree), form_(form) {}

std::size_t ResponsePeek::feed(std::string_view bytes) {
  const std::uint64_t before = content_events_;
  if (form_ == BodyForm::event_stream) feed_events(bytes);
  if (form_ == BodyForm::json) scanner_.feed(bytes, *this);
  return static_cast<std::size_t>(content_events_ - before);
}

void ResponsePeek::on_value(unsigned char what, JsonKind kind, std::string_view text) {
  const bool has_text = kind == JsonKind::string && !text.empty();
  switch (what) {
    case content:
      if (form_ == BodyForm::json || event_has_content_ || !(has_text || kind == JsonKind::number)) return;
      event_has_content_ = true;
      ++content_events_;
      return;
    case prompt_tokens: update(usage_.prompt_tokens, kind, text); return;
    case completion_tokens: update(usage_.completion_tokens, kind, text); return;
    case What::model:
      if (has_text && model_.view().empty()) model_.assign(text);
      return;
    case error:
      if (has_text || kind == JsonKind::object) has_error_ = true;
      return;
    case type:
      if (has_text && std::ranges::find(last_events, text) != last_events.end()) is_complete_ = true;
      return;
    case stop:
      if (kind == JsonKind::literal && text == "true") is_complete_ = true;
      return;
    default: return;
  }
}

// Lines end in CR, LF or both. Each byte is searched for them once, so that lines without an LF do not cost more.
void ResponsePeek::feed_events(std::string_view bytes) {
  std::size_t lf = find_byte(bytes, 0, '\n');
  for (std::size_t at = 0; at < bytes.size();) {
    if (std::exchange(after_cr_, false) && bytes[at] == '\n') {
      lf = find_byte(bytes, ++at, '\n');
      continue;
    }
    const std::string_view up_to_lf = bytes.substr(at, lf - at);
    const std::string_view line = up_to_lf.substr(0, up_to_lf.find('\r'));
    feed_line(line);
    at += line.size();
    if (at == bytes.size()) return;
    end_line();
    after_cr_ = bytes[at] == '\r';
    if (at++ == lf) lf = find_byte(bytes, at, '\n');
  }
}

void ResponsePeek::feed_line(std::string_view part) {
  if (part.empty()) return;
  line_is_empty_ = false;
  if (line_ == Line::name) {
    while (!part.empty() && name_bytes_ < data_field.size() && part.front() == data_field[name_bytes_]) {
      part.remove_prefix(1);
      ++name_bytes_;
    }
    if (name_bytes_ == data_field.size()) {
      line_ = Line::space;
    } else if (!part.empty()) {
      line_ = Line::other;
    }
  }
  if (line_ == Line::space && !part.empty()) {
    if (part.front() == ' ') part.remove_prefix(1);
    line_ = Line::data;
  }
  if (line_ == Line::data && !part.empty()) feed_data(part);
}

void ResponsePeek::feed_data(std::string_view part) {
  if (data_bytes_ < data_head_.size()) {
    const auto begin = static_cast<std::size_t>(data_bytes_);
    const std::string_view head = part.substr(0, data_head_.size() - begin);
    std::ranges::copy(head, data_head_.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  data_bytes_ += part.size();
  scanner_.feed(part, *this);
}

void ResponsePeek::end_line() {
  if (line_is_empty_) {
    end_event();
  } else if (line_ == Line::data) {
    if (data_bytes_ == done.size() && std::string_view(data_head_.data(), data_head_.size()) == done)
      is_complete_ = true;
    scanner_.feed("\n", *this);  // which joins the data of several lines
  }
  line_ = Line::name;
  name_bytes_ = 0;
  line_is_empty_ = true;
}

void ResponsePeek::end_event() {
  if (data_bytes_ > 0) {
    ++events_;
    scanner_.restart();
  }
  data_bytes_ = 0;
  event_has_content_ = false;
}

RequestPeek::RequestPeek(BodyForm form) : scanner_(request_tree), bytes_left_(form == BodyForm::json ? bytes_max : 0) {}

void RequestPeek::feed(std::string_view bytes) {
  if (is_finished()) return;
  const std::string_view seen =
      bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), bytes_left_)));
  bytes_left_ -= seen.size();
  scanner_.feed(seen, *this);
}

bool RequestPeek::is_finished() const {
  return bytes_left_ == 0 || scanner_.ended() || (!model().empty() && stream_);
}

void RequestPeek::on_value(unsigned char what, JsonKind kind, std::string_view text) {
  if (what == What::model && kind == JsonKind::string && model().empty()) model_.assign(text);
  if (what == What::stream && kind == JsonKind::literal && !stream_ && text != "null") stream_ = text == "true";
}

}  // namespace gputach::relay
