#include "sources/nvml/record_scenario.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/build_info.h"
#include "base/text_buffer.h"

namespace gputach::nvml {
namespace {

constexpr double figure_max = 1e12;
constexpr std::size_t text_bytes_max = 79;
constexpr double pattern_period_s = 10;

constexpr std::size_t at(Query query) {
  return static_cast<std::size_t>(query);
}

// Which code follows from the keys that are there, so that it need not be written down.
enum class Implied : unsigned char { success, with_figure, with_serial, with_mig };

struct QueryRule {
  Query query;
  Implied implied = Implied::success;
  Figure figure{};
};

// clang-format off
constexpr auto rules = std::to_array<QueryRule>({
    {Query::handle},
    {Query::name},
    {Query::uuid},
    {Query::serial,               Implied::with_serial},
    {Query::minor_number},
    {Query::pci_info},
    {Query::utilization,          Implied::with_figure, Figure::utilization},
    {Query::memory_v2,            Implied::with_figure, Figure::memory_total},
    {Query::memory_v1,            Implied::with_figure, Figure::memory_total},
    {Query::temperature_v,        Implied::with_figure, Figure::temperature},
    {Query::temperature,          Implied::with_figure, Figure::temperature},
    {Query::power,                Implied::with_figure, Figure::power},
    {Query::power_limit,          Implied::with_figure, Figure::power_limit},
    {Query::enforced_power_limit, Implied::with_figure, Figure::enforced_power_limit},
    {Query::fan,                  Implied::with_figure, Figure::fan},
    {Query::encoder,              Implied::with_figure, Figure::encoder},
    {Query::decoder,              Implied::with_figure, Figure::decoder},
    {Query::mig_mode,             Implied::with_mig},
    {Query::mig_count,            Implied::with_mig},
});
// clang-format on
constexpr auto system_queries = std::to_array({Query::driver_version, Query::nvml_version, Query::device_count});

Return implied_code(const RecordedGpu& gpu, const QueryRule& rule) {
  const auto where = [](bool there) { return there ? Return::success : Return::not_supported; };
  switch (rule.implied) {
    case Implied::with_figure: return where(gpu.figure(rule.figure).has_value());
    case Implied::with_serial: return where(!gpu.serial.empty());
    case Implied::with_mig: return where(gpu.mig != MigMode::unknown);
    case Implied::success: break;
  }
  return Return::success;
}

// Not exported, or answering so wherever it was asked: the same for a client.
std::vector<const char*> absent_symbols(const Recording& recording) {
  std::vector<const char*> names;
  for (std::size_t i = 0; i < query_count; ++i) {
    const char* const name = symbol_of(Query{static_cast<unsigned char>(i)});
    const auto is_name = [name](const char* other) { return std::string_view(other) == name; };
    unsigned asked = 0;
    unsigned unknown = 0;
    const auto count = [&](const std::optional<Return>& code) {
      if (code) ++asked;
      if (code == Return::function_not_found) ++unknown;
    };
    count(recording.codes[i]);
    for (const RecordedGpu& gpu : recording.gpus) count(gpu.codes[i]);
    if (std::ranges::any_of(recording.absent, is_name) || (unknown > 0 && unknown == asked)) names.push_back(name);
  }
  return names;
}

// Shortest text that reads back as the same number.
std::string number(double value) {
  std::array<char, 64> digits{};
  const double kept = std::clamp(value, 0.0, figure_max);
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), kept, std::chars_format::fixed).ptr;
  return {digits.data(), end};
}

std::string hexadecimal(std::uint32_t value, std::size_t width) {
  std::array<char, 8> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
  std::string text(digits.data(), end);
  for (char& c : text) c = c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c;
  return std::string(width - std::min(width, text.size()), '0') + text;
}

std::string bus_id(std::uint32_t domain, std::uint32_t bus, std::uint32_t device) {
  return hexadecimal(domain, 8) + ":" + hexadecimal(bus, 2) + ":" + hexadecimal(device, 2) + ".0";
}

class ScenarioWriter {
 public:
  ScenarioWriter(const Recording& recording, Identities identities)
      : recording_(recording), identities_(identities), absent_(absent_symbols(recording)) {}

  std::string write() {
    out_ << "# Written by `gputach record`, gputach " << build_info::version << " (" << build_info::commit << ").\n";
    key("description") << '"' << description() << "\"\n";
    write_driver();
    for (std::size_t i = 0; i < recording_.gpus.size(); ++i) write_gpu(i);
    write_faults();
    return out_.take();
  }

 private:
  TextBuffer& key(std::string_view name) { return out_ << name << " = "; }

  void text(std::string_view name, std::string_view value) {
    key(name).json_string(value.substr(0, text_bytes_max));
    out_ << '\n';
  }

  [[nodiscard]] std::string description() const {
    std::string text = recording_.origin == Origin::simulator
                           ? "A recording of the SIMULATED driver, not of real GPUs: "
                           : "A recording of real GPUs: ";
    text += std::to_string(recording_.gpus.size()) + " GPU" + (recording_.gpus.size() == 1 ? "" : "s");
    return text + ", each figure " + (moving() ? "between the lowest and highest seen." : "as it was at one moment.");
  }

  [[nodiscard]] bool moving() const {
    return std::ranges::any_of(recording_.gpus, [](const RecordedGpu& gpu) { return moving(gpu); });
  }
  static bool moving(const RecordedGpu& gpu) {
    return std::ranges::any_of(gpu.figures, [](const auto& range) { return range && range->low != range->high; });
  }

  [[nodiscard]] bool is_absent(const char* symbol) const {
    return std::ranges::any_of(absent_, [&](const char* other) { return std::string_view(other) == symbol; });
  }

  void code(std::string_view name, Return code) {
    key(name) << static_cast<int>(code) << "  # " << text_of(code) << '\n';
  }

  void write_driver() {
    out_ << "\n[driver]\n";
    text("version", recording_.driver_version);
    text("nvml_version", recording_.nvml_version);
    const auto init = recording_.codes[at(Query::init)];
    if (init && *init != Return::success) code("init", *init);
    if (!absent_.empty()) {
      key("absent") << '[';
      for (std::size_t i = 0; i < absent_.size(); ++i) out_ << (i == 0 ? "\"" : ", \"") << absent_[i] << '"';
      out_ << "]\n";
    }
    if (std::ranges::any_of(recording_.gpus, leaves_out_reserved)) key("memory_v1_total") << "\"unreserved\"\n";
  }

  static bool leaves_out_reserved(const RecordedGpu& gpu) {
    const auto& total = gpu.figure(Figure::memory_total);
    const auto& reserved = gpu.figure(Figure::memory_reserved);
    return gpu.memory_v1_total_mib && total && reserved && reserved->low > 0 &&
           *gpu.memory_v1_total_mib == total->low - reserved->low;
  }

  void write_gpu(std::size_t position) {
    const RecordedGpu& gpu = recording_.gpus[position];
    out_ << "\n[[gpu]]\n";
    if (!gpu.name.empty()) text("name", gpu.name);
    write_identity(position, gpu);
    if (moving(gpu)) key("load") << "{ low = 0, high = 1, period_s = " << number(pattern_period_s) << " }\n";
    for (std::size_t i = 0; i < gpu.figures.size(); ++i) write_figure(gpu, Figure{static_cast<unsigned char>(i)});
    if (gpu.mig != MigMode::unknown) text("mig", gpu.mig == MigMode::on ? "enabled" : "disabled");
    write_returns(gpu);
    for (const RecordedInstance& instance : gpu.instances) write_instance(instance);
  }

  void write_identity(std::size_t position, const RecordedGpu& gpu) {
    if (identities_ == Identities::real && !gpu.uuid.empty()) text("uuid", gpu.uuid);
    if (!gpu.serial.empty()) text("serial", serial_of(gpu));
    // One that is not told still has to differ from all others.
    constexpr std::uint32_t no_such_domain = 0xFFFF;
    if (gpu.pci) {
      text("pci_bus_id", bus_id(gpu.pci->domain, gpu.pci->bus, gpu.pci->device));
      const std::uint32_t device_id = gpu.pci->pci_device_id >> 16U;
      if (device_id != 0) key("pci_device_id") << "0x" << hexadecimal(device_id, 4) << '\n';
    } else {
      text("pci_bus_id", bus_id(no_such_domain, static_cast<std::uint32_t>(position), 0));
    }
    if (gpu.minor_number && *gpu.minor_number <= 0xFFFF) key("minor_number") << *gpu.minor_number << '\n';
  }

  [[nodiscard]] std::string serial_of(const RecordedGpu& gpu) const {
    if (identities_ == Identities::real) return gpu.serial;
    const auto first = std::ranges::find(recording_.gpus, gpu.serial, &RecordedGpu::serial);
    const std::string digits = std::to_string(first - recording_.gpus.begin());
    return std::string(gpu.serial.size() - std::min(gpu.serial.size(), digits.size()), '0') + digits;
  }

  void write_figure(const RecordedGpu& gpu, Figure figure) {
    const auto& range = gpu.figure(figure);
    if (!range) return;
    // What is reserved, and the size, do not follow the load.
    const bool fixed = figure == Figure::memory_total || figure == Figure::memory_reserved;
    key(figure_keys[static_cast<std::size_t>(figure)]);
    if (fixed || range->low == range->high) {
      out_ << number(range->low) << '\n';
    } else {
      out_ << "{ idle = " << number(range->low) << ", busy = " << number(range->high) << " }\n";
    }
  }

  void write_returns(const RecordedGpu& gpu) {
    bool any = false;
    const auto row = [&](Query query, Return answered) {
      if (!any) out_ << "\n[gpu.returns]\n";
      any = true;
      code(symbol_of(query), answered);
    };
    for (const QueryRule& rule : rules) {
      const auto answered = gpu.code(rule.query);
      if (!answered || *answered == implied_code(gpu, rule) || is_absent(symbol_of(rule.query))) continue;
      row(rule.query, *answered);
    }
    const auto instances = gpu.code(Query::mig_handle);
    if (gpu.instances.empty() && instances && *instances != Return::success && !is_absent(symbol_of(Query::mig_handle)))
      row(Query::mig_handle, *instances);
  }

  void write_instance(const RecordedInstance& instance) {
    out_ << "\n[[gpu.mig_instance]]\n";
    key("slot") << instance.slot << '\n';
    text("name", instance.name);
    if (identities_ == Identities::real && !instance.uuid.empty()) text("uuid", instance.uuid);
    constexpr std::string_view before_profile = " MIG ";
    if (const auto found = instance.name.rfind(before_profile); found != std::string::npos) {
      text("profile", std::string_view(instance.name).substr(found + before_profile.size()));
    }
    key("memory_total_mib") << number(instance.memory_total_mib) << '\n';
    key("memory_used_mib") << number(instance.memory_used_mib) << '\n';
  }

  // Of a call that names no device, a scenario can only say in this way how it went.
  void write_faults() {
    for (const Query query : system_queries) {
      const auto answered = recording_.codes[at(query)];
      if (!answered || *answered == Return::success || is_absent(symbol_of(query))) continue;
      out_ << "\n[[fault]]\n";
      text("call", symbol_of(query));
      code("return", *answered);
    }
    for (const StuckCall& call : recording_.stuck) write_stuck(call);
  }

  void write_stuck(const StuckCall& call) {
    const auto gpu =
        std::ranges::find_if(recording_.gpus, [&](const RecordedGpu& one) { return call.gpu == one.index; });
    if (call.gpu && gpu == recording_.gpus.end()) return;
    out_ << "\n[[fault]]\n";
    if (call.gpu) key("gpu") << (gpu - recording_.gpus.begin()) << '\n';
    text("call", call.symbol);
    key(call.how == Stuck::hung ? "hang" : "crash") << "true\n";
  }

  const Recording& recording_;
  Identities identities_;
  std::vector<const char*> absent_;
  TextBuffer out_;
};

}  // namespace

std::string scenario_text(const Recording& recording, Identities identities) {
  return ScenarioWriter(recording, identities).write();
}

}  // namespace gputach::nvml
