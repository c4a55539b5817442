#include "encode/stats_json.h"

#include <array>
#include <cmath>

#include "base/text_buffer.h"

namespace gputach {
namespace {

enum class Form : unsigned char {
  decimal,     // float: always with a point, one to three decimals
  whole,       // int, nearest
  whole_down,  // int, rounded down
};

struct StatsField {
  std::string_view key;
  MetricId metric;
  double scale;  // from the catalogue's base unit to the page's unit
  Form form;
};

constexpr double percent = 100;
constexpr double mebibyte = 1048576;

// The page's figures in the page's order; index, name and uuid stand before them.
constexpr auto fields = std::to_array<StatsField>({
    {"utilization_percent", id("utilization_ratio"), percent, Form::decimal},
    {"memory_used_mb", id("memory_used_bytes"), 1 / mebibyte, Form::whole_down},
    {"memory_total_mb", id("memory_total_bytes"), 1 / mebibyte, Form::whole_down},
    {"memory_util_percent", id("memory_used_ratio"), percent, Form::decimal},
    {"temperature_c", id("temperature_celsius"), 1, Form::whole},
    {"power_draw_w", id("power_watts"), 1, Form::decimal},
    {"power_limit_w", id("power_limit_watts"), 1, Form::decimal},
    {"fan_speed_percent", id("fan_speed_ratio"), percent, Form::whole},
    {"encoder_util_percent", id("encoder_utilization_ratio"), percent, Form::whole},
    {"decoder_util_percent", id("decoder_utilization_ratio"), percent, Form::whole},
});
constexpr int decimals_max = 3;

// The first figure that should be there and is not; null when the GPU can be shown.
const StatsField* first_failure(const Entity& gpu) {
  for (const StatsField& field : fields) {
    const Status status = gpu[field.metric].status;
    if (status != Status::ok && !is_permanent_absence(status)) return &field;
  }
  return nullptr;
}

void append_figure(TextBuffer& out, const StatsField& field, double value) {
  const double scaled = value * field.scale;
  switch (field.form) {
    case Form::decimal: out.fixed(scaled, decimals_max); return;
    case Form::whole: out << static_cast<std::int64_t>(std::llround(scaled)); return;
    case Form::whole_down: out << static_cast<std::int64_t>(scaled); return;
  }
}

void append_gpu(TextBuffer& out, const Entity& gpu, MissingFields form) {
  out << "{\"index\":" << gpu.index << ",\"name\":";
  out.json_string(gpu.name);
  out << ",\"uuid\":";
  out.json_string(gpu.uuid);
  for (const StatsField& field : fields) {
    const Reading& reading = gpu[field.metric];
    out << ",\"" << field.key << "\":";
    append_figure(out, field, reading.ok() ? reading.value : 0);
  }
  if (form == MissingFields::listed_in_body) {
    out << ",\"unsupported\":[";
    bool first = true;
    for (const StatsField& field : fields) {
      if (gpu[field.metric].ok()) continue;
      out << (first ? "\"" : ",\"") << field.key << '"';
      first = false;
    }
    out << ']';
  }
  out << '}';
}

void append_error(TextBuffer& out, const Entity& gpu) {
  out << "{\"index\":" << gpu.index << ",\"uuid\":";
  out.json_string(gpu.uuid);
  out << ",\"error\":";
  if (!gpu.fault.empty()) {
    out.json_string(gpu.fault);
  } else if (const StatsField* field = first_failure(gpu); gpu.condition == Status::ok && field != nullptr) {
    TextBuffer text;
    text << field->key << ": " << to_string(gpu[field->metric].status);
    out.json_string(text.view());
  } else {
    out.json_string(to_string(gpu.condition));
  }
  out << '}';
}

std::string unsupported_header(const Sample& sample) {
  TextBuffer out;
  bool first_field = true;
  for (const StatsField& field : fields) {
    bool first_index = true;
    for (const Entity& gpu : sample.entities) {
      if (!can_be_shown(gpu) || gpu[field.metric].ok()) continue;
      if (first_index) {
        out << (first_field ? "" : ", ") << field.key << "=(";
        first_field = false;
      } else {
        out << ' ';
      }
      out << gpu.index;
      first_index = false;
    }
    if (!first_index) out << ')';
  }
  return out.take();
}

StatsPage failed_page(std::string_view reason) {
  TextBuffer text;
  text << "Failed to query GPU: " << reason;
  return {true, encode_error(text.view()), {}};
}

}  // namespace

bool can_be_shown(const Entity& gpu) {
  return gpu.condition == Status::ok && first_failure(gpu) == nullptr;
}

std::string encode_error(std::string_view text) {
  TextBuffer out;
  out << "{\"error\":";
  out.json_string(text);
  out << '}';
  return out.take();
}

StatsPage encode_stats(const Sample& sample, MissingFields form) {
  if (sample.failure) return failed_page(sample.failure->context);
  if (sample.entities.empty()) return failed_page("no GPUs found");

  TextBuffer out(64 + 512 * sample.entities.size());
  out << "{\"timestamp\":\"";
  out.iso8601(sample.collected_at);
  out << "\",\"gpus\":[";
  std::size_t shown = 0;
  for (const Entity& gpu : sample.entities) {
    if (!can_be_shown(gpu)) continue;
    if (shown++ > 0) out << ',';
    append_gpu(out, gpu, form);
  }
  if (shown == 0) return failed_page("all GPUs failed");
  out << ']';
  if (shown < sample.entities.size()) {
    out << ",\"errors\":[";
    bool first = true;
    for (const Entity& gpu : sample.entities) {
      if (can_be_shown(gpu)) continue;
      if (!first) out << ',';
      append_error(out, gpu);
      first = false;
    }
    out << ']';
  }
  out << '}';
  return {false, out.take(), unsupported_header(sample)};
}

}  // namespace gputach
