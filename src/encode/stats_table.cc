#include "encode/stats_table.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/text_buffer.h"
#include "encode/stats_json.h"

namespace gputach {
namespace {

struct Column {
  std::string_view head;
  MetricId metric;
  double scale;  // from the catalogue's base unit
  int decimals;
};

// clang-format off
constexpr auto columns = std::to_array<Column>({
    {"util %",    id("utilization_ratio"),         100,           0},
    {"used MiB",  id("memory_used_bytes"),         1 / 1048576.0, 0},
    {"total MiB", id("memory_total_bytes"),        1 / 1048576.0, 0},
    {"temp C",    id("temperature_celsius"),       1,             0},
    {"power W",   id("power_watts"),               1,             1},
    {"limit W",   id("power_limit_watts"),         1,             1},
    {"fan %",     id("fan_speed_ratio"),           100,           0},
    {"enc %",     id("encoder_utilization_ratio"), 100,           0},
    {"dec %",     id("decoder_utilization_ratio"), 100,           0},
});
// clang-format on

using Row = std::vector<std::string>;

std::string cell(const Reading& reading, const Column& column) {
  if (!reading.ok()) return "-";
  TextBuffer text;
  if (column.decimals == 0) {
    text << static_cast<std::int64_t>(reading.value * column.scale + 1e-6);
  } else {
    text.fixed(reading.value * column.scale, column.decimals);
  }
  return text.take();
}

Row row_of(const Entity& gpu) {
  Row row = {std::to_string(gpu.index), gpu.name};
  for (const Column& column : columns) row.push_back(cell(gpu[column.metric], column));
  return row;
}

// Text to the left, figures to the right.
void append_row(TextBuffer& out, const Row& row, const std::vector<std::size_t>& widths) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const std::string padding(widths[i] - std::min(widths[i], row[i].size()), ' ');
    const bool text = i == 1;
    out << (i == 0 ? "" : "  ") << (text ? row[i] : padding) << (text ? padding : row[i]);
  }
  out << '\n';
}

}  // namespace

std::string encode_stats_table(const Sample& sample) {
  TextBuffer out;
  if (sample.failure) {
    out << "Failed to query GPU: " << sample.failure->context << '\n';
    return out.take();
  }
  std::vector<Row> rows = {{"GPU", "name"}};
  for (const Column& column : columns) rows[0].emplace_back(column.head);
  for (const Entity& gpu : sample.entities)
    if (can_be_shown(gpu)) rows.push_back(row_of(gpu));
  std::vector<std::size_t> widths(rows[0].size());
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const Row& row : rows) append_row(out, row, widths);
  for (const Entity& gpu : sample.entities)
    if (!can_be_shown(gpu)) out << "GPU " << gpu.index << ' ' << gpu.uuid << ": " << gpu.fault << '\n';
  return out.take();
}

}  // namespace gputach
