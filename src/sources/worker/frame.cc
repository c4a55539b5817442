#include "sources/worker/frame.h"

#include <cstring>
#include <type_traits>

#include "base/limits.h"

namespace gputach {
namespace {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <class T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void put(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out_.append(bytes, sizeof value);
  }
  void put(std::string_view text) {
    // Labels come from a driver: what is too long is cut here, so that decoding can insist on the bound.
    text = text.substr(0, limits::label_bytes_max);
    put(static_cast<std::uint16_t>(text.size()));
    out_.append(text);
  }

 private:
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <class T>
    requires(std::is_arithmetic_v<T>)
  T number() {
    T value{};
    if (!take(sizeof value)) return value;
    std::memcpy(&value, taken_.data(), sizeof value);
    return value;
  }
  template <class E>
    requires(std::is_enum_v<E>)
  E choice(E last) {
    const auto value = number<std::underlying_type_t<E>>();
    if (value > static_cast<std::underlying_type_t<E>>(last)) good_ = false;
    return good_ ? static_cast<E>(value) : E{};
  }
  bool flag() {
    const auto value = number<std::uint8_t>();
    if (value > 1) good_ = false;
    return value == 1;
  }
  std::string text() {
    const auto length = number<std::uint16_t>();
    if (length > limits::label_bytes_max || !take(length)) {
      good_ = false;
      return {};
    }
    return std::string(taken_);
  }
  void check(bool condition) { good_ = good_ && condition; }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] bool at_end() const { return good_ && rest_.empty(); }

 private:
  bool take(std::size_t count) {
    if (!good_ || count > rest_.size()) {
      good_ = false;
      return false;
    }
    taken_ = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return true;
  }

  std::string_view rest_;
  std::string_view taken_;
  bool good_ = true;
};

constexpr auto last_status = static_cast<Status>(status_count - 1);

void put_entity(Writer& out, const Entity& entity) {
  out.put(entity.scope);
  out.put(static_cast<std::uint32_t>(entity.index));
  out.put(entity.condition);
  out.put(std::string_view(entity.name));
  out.put(std::string_view(entity.uuid));
  out.put(std::string_view(entity.fault));
  for (const Reading& reading : entity.readings) {
    out.put(reading.status);
    out.put(reading.value);
  }
}

Entity take_entity(Reader& in) {
  const Scope scope = in.choice(Scope::gpu);
  const auto index = in.number<std::uint32_t>();
  Entity entity(scope, index);
  entity.condition = in.choice(last_status);
  entity.name = in.text();
  entity.uuid = in.text();
  entity.fault = in.text();
  for (Reading& reading : entity.readings) {
    reading.status = in.choice(last_status);
    reading.value = in.number<double>();
  }
  return entity;
}

}  // namespace

std::string encode_frame(const WorkerFrame& frame) {
  std::string out;
  out.reserve(64 + frame.entities.size() * 512);
  Writer writer(out);
  writer.put(std::uint32_t{0});  // the length, known at the end
  writer.put(frame.kind);
  writer.put(frame.ask_id);
  writer.put(static_cast<std::uint8_t>(frame.simulated));
  writer.put(static_cast<std::uint8_t>(frame.restart_wanted));
  writer.put(frame.error.code);
  writer.put(std::string_view(frame.error.context));
  writer.put(std::string_view(frame.why));
  writer.put(static_cast<std::uint16_t>(frame.entities.size()));
  for (const Entity& entity : frame.entities) put_entity(writer, entity);
  const auto length = static_cast<std::uint32_t>(out.size() - sizeof(std::uint32_t));
  std::memcpy(out.data(), &length, sizeof length);
  return out;
}

Result<WorkerFrame> decode_frame(std::string_view payload) {
  Reader in(payload);
  WorkerFrame frame;
  frame.kind = in.choice(WorkerFrame::Kind::sample);
  frame.ask_id = in.number<std::uint64_t>();
  frame.simulated = in.flag();
  frame.restart_wanted = in.flag();
  frame.error.code = in.choice(ErrorCode::all_failed);
  frame.error.context = in.text();
  frame.why = in.text();
  const auto count = in.number<std::uint16_t>();
  in.check(count <= limits::gpus_max);
  for (std::uint16_t i = 0; in.good() && i < count; ++i) frame.entities.push_back(take_entity(in));
  if (!in.at_end()) return fail(ErrorCode::invalid, "worker sent a malformed frame");
  return frame;
}

Result<std::optional<WorkerFrame>> FrameBuffer::next() {
  std::uint32_t length = 0;
  if (bytes_.size() < sizeof length) return std::nullopt;
  std::memcpy(&length, bytes_.data(), sizeof length);
  if (length > limits::frame_bytes_max) return fail(ErrorCode::invalid, "worker sent a frame that is too long");
  if (bytes_.size() - sizeof length < length) return std::nullopt;
  Result<WorkerFrame> frame = decode_frame(std::string_view(bytes_).substr(sizeof length, length));
  bytes_.erase(0, sizeof length + length);
  if (!frame) return std::unexpected(frame.error());
  return std::optional<WorkerFrame>(*std::move(frame));
}

}  // namespace gputach
