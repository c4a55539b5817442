#include "scenario.h"

#include <algorithm>
#include <functional>

#include "load.h"
#include "toml_reader.h"

namespace gputach::sim {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double milliseconds_max = 3.6e6;
constexpr double figure_max = 1e12;  // of anything: percent, watts, MiB

template <class T>
struct Key {
  std::string_view name;
  void (*read)(Reader&, const toml::node&, T&);
};

template <class T, std::size_t n>
void read_key(Reader& reader, const toml::key& key, const toml::node& node, const std::array<Key<T>, n>& keys, T& out) {
  for (const Key<T>& known : keys) {
    if (known.name == key.str()) return known.read(reader, node, out);
  }
  reader.error_at(key.source().begin.line, "unknown key `" + std::string(key.str()) + "`");
}

template <class T, std::size_t n>
void read_table(Reader& reader, const toml::node& node, const std::array<Key<T>, n>& keys, T& out) {
  const auto* table = node.as_table();
  if (table == nullptr) return reader.error_at(node, "expected a table");
  for (const auto& [key, value] : *table) read_key(reader, key, value, keys, out);
}

constexpr auto load_keys = std::to_array<Key<Load>>({
    {"low", [](Reader& r, const toml::node& n, Load& out) { out.low = r.number(n, 0, 1); }},
    {"high", [](Reader& r, const toml::node& n, Load& out) { out.high = r.number(n, 0, 1); }},
    {"period_s", [](Reader& r, const toml::node& n, Load& out) { out.period_s = r.number(n, 0.1, 86400); }},
});

Load read_load(Reader& reader, const toml::node& node) {
  Load load;
  if (node.is_table()) {
    read_table(reader, node, load_keys, load);
  } else {
    load.low = load.high = reader.number(node, 0, 1);
  }
  return load;
}

constexpr auto curve_keys = std::to_array<Key<Curve>>({
    {"idle", [](Reader& r, const toml::node& n, Curve& out) { out.idle = r.number(n, 0, figure_max); }},
    {"busy", [](Reader& r, const toml::node& n, Curve& out) { out.busy = r.number(n, 0, figure_max); }},
    {"noise", [](Reader& r, const toml::node& n, Curve& out) { out.noise = r.number(n, 0, figure_max); }},
    {"lag_s", [](Reader& r, const toml::node& n, Curve& out) { out.lag_s = r.number(n, 0, 3600); }},
});

Curve read_curve(Reader& reader, const toml::node& node) {
  Curve curve;
  if (const auto* table = node.as_table()) {
    read_table(reader, node, curve_keys, curve);
    if (!table->contains("busy")) curve.busy = curve.idle;
  } else {
    curve.idle = curve.busy = reader.number(node, 0, figure_max);
  }
  return curve;
}

constexpr auto mig_keys = std::to_array<Key<MigInstance>>({
    {"slot", [](Reader& r, const toml::node& n,
                MigInstance& out) { out.slot = static_cast<unsigned>(r.integer(n, 0, mig_devices_max - 1)); }},
    {"name", [](Reader& r, const toml::node& n, MigInstance& out) { out.name = r.text(n); }},
    {"uuid", [](Reader& r, const toml::node& n, MigInstance& out) { out.uuid = r.text(n); }},
    {"profile", [](Reader& r, const toml::node& n, MigInstance& out) { out.profile = r.text(n); }},
    {"gpu_instance_id", [](Reader& r, const toml::node& n,
                           MigInstance& out) { out.gpu_instance_id = static_cast<unsigned>(r.integer(n, 0, 255)); }},
    {"compute_instance_id",
     [](Reader& r, const toml::node& n, MigInstance& out) {
       out.compute_instance_id = static_cast<unsigned>(r.integer(n, 0, 255));
     }},
    {"sm_count", [](Reader& r, const toml::node& n,
                    MigInstance& out) { out.sm_count = static_cast<unsigned>(r.integer(n, 0, 1024)); }},
    {"bar1_total_mib",
     [](Reader& r, const toml::node& n, MigInstance& out) { out.bar1_total_mib = r.number(n, 0, figure_max); }},
    {"memory_total_mib",
     [](Reader& r, const toml::node& n, MigInstance& out) { out.memory_total_mib = r.number(n, 0, figure_max); }},
    {"memory_used_mib",
     [](Reader& r, const toml::node& n, MigInstance& out) { out.memory_used_mib = r.number(n, 0, figure_max); }},
});

template <class T, class Read>
void read_list(Reader& reader, const toml::node& node, std::size_t max, std::vector<T>& out, Read read) {
  const auto* array = node.as_array();
  if (array == nullptr) return reader.error_at(node, "expected a list of tables, written as [[...]]");
  for (const auto& element : *array) {
    if (reader.failed()) return;
    if (out.size() == max) return reader.error_at(element, "more than " + std::to_string(max) + " of these");
    read(element, out);
  }
}

void read_mig_instances(Reader& reader, const toml::node& node, Gpu& gpu) {
  read_list(reader, node, mig_devices_max, gpu.mig_instances, [&](const toml::node& element, auto& out) {
    MigInstance instance;
    instance.slot = static_cast<unsigned>(out.size());
    read_table(reader, element, mig_keys, instance);
    for (const MigInstance& other : out) {
      if (other.slot == instance.slot) reader.error_at(element, "two MIG instances in one slot");
    }
    out.push_back(std::move(instance));
  });
}

Mode read_mode(Reader& reader, const toml::node& node) {
  const std::string text = reader.text(node);
  if (text == "enabled") return Mode::enabled;
  if (text != "disabled") reader.error_at(node, "expected \"enabled\" or \"disabled\"");
  return Mode::disabled;
}

void read_returns(Reader& reader, const toml::node& node, Gpu& gpu) {
  const auto* table = node.as_table();
  if (table == nullptr) return reader.error_at(node, "expected a table of function = return code");
  for (const auto& [key, value] : *table) {
    gpu.returns.emplace_back(reader.symbol_named(key.str(), value), reader.code(value));
  }
}

// One [[gpu]] table stands for `count` alike boards. What tells them apart is one value or a list with one for each.
struct GpuEntry {
  Gpu gpu;
  std::int64_t count = 1;
  std::vector<std::string> serials;
  std::vector<PciAddress> pci_addresses;
  std::vector<std::int64_t> minor_numbers;
  std::vector<std::int64_t> module_ids;
};

template <class Read>
auto one_or_list(const toml::node& node, Read read) {
  std::vector<decltype(read(node))> values;
  if (const auto* array = node.as_array()) {
    for (const auto& element : *array) values.push_back(read(element));
  } else {
    values.push_back(read(node));
  }
  return values;
}

PciAddress read_pci_address(Reader& reader, const toml::node& node) {
  const std::string text = reader.text(node);
  const std::string_view digits = text;
  const bool formed = digits.size() == 16 && digits[8] == ':' && digits[11] == ':' && digits.ends_with(".0");
  const auto domain = formed ? parse_number<std::uint32_t>(digits.substr(0, 8), 16) : std::nullopt;
  const auto bus = formed ? parse_number<std::uint32_t>(digits.substr(9, 2), 16) : std::nullopt;
  const auto device = formed ? parse_number<std::uint32_t>(digits.substr(12, 2), 16) : std::nullopt;
  if (domain && bus && device) return {.domain = *domain, .bus = *bus, .device = *device};
  reader.error_at(node, "expected a PCI bus id such as \"00000008:06:00.0\"");
  return {};
}

constexpr auto gpu_keys = std::to_array<Key<GpuEntry>>({
    {"count", [](Reader& r, const toml::node& n, GpuEntry& out) { out.count = r.integer(n, 0, gpus_max); }},
    {"name", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.name = r.text(n); }},
    {"uuid", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.uuid = r.text(n); }},
    {"serial", [](Reader& r, const toml::node& n,
                  GpuEntry& out) { out.serials = one_or_list(n, [&](const toml::node& one) { return r.text(one); }); }},
    {"part_number", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.part_number = r.text(n); }},
    {"pci_bus_id",
     [](Reader& r, const toml::node& n, GpuEntry& out) {
       out.pci_addresses = one_or_list(n, [&](const toml::node& one) { return read_pci_address(r, one); });
     }},
    {"minor_number",
     [](Reader& r, const toml::node& n, GpuEntry& out) {
       out.minor_numbers = one_or_list(n, [&](const toml::node& one) { return r.integer(one, 0, 0xFFFF); });
     }},
    {"module_id",
     [](Reader& r, const toml::node& n, GpuEntry& out) {
       out.module_ids = one_or_list(n, [&](const toml::node& one) { return r.integer(one, 0, 0xFFFF); });
     }},
    {"load", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.load = read_load(r, n); }},
    {"memory_total_mib",
     [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.memory_total_mib = r.number(n, 0, figure_max); }},
    {"memory_reserved_mib",
     [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.memory_reserved_mib = r.number(n, 0, figure_max); }},
    {"mig_instance", [](Reader& r, const toml::node& n, GpuEntry& out) { read_mig_instances(r, n, out.gpu); }},
    {"returns", [](Reader& r, const toml::node& n, GpuEntry& out) { read_returns(r, n, out.gpu); }},
});

void read_gpu_key(Reader& reader, const toml::key& key, const toml::node& node, GpuEntry& out) {
  const auto position = [&](const auto& keys, auto name) {
    return static_cast<std::size_t>(std::ranges::find(keys, key.str(), name) - keys.begin());
  };
  if (const auto metric = position(metric_keys, std::identity{}); metric < metric_keys.size()) {
    out.gpu.curves[metric] = read_curve(reader, node);
  } else if (const auto at = position(property_keys, &PropertyKey::name); at < property_keys.size()) {
    out.gpu.properties[at] = reader.integer(node, property_keys[at].min, property_keys[at].max);
  } else if (const auto feature = position(feature_keys, std::identity{}); feature < feature_keys.size()) {
    out.gpu.features[feature] = read_mode(reader, node);
  } else {
    read_key(reader, key, node, gpu_keys, out);
  }
}

void check_gpu(Reader& reader, const toml::node& node, const GpuEntry& entry) {
  const auto count = static_cast<std::size_t>(entry.count);
  const auto fits = [&](const auto& list) { return list.empty() || list.size() == count; };
  if (!entry.gpu.uuid.empty() && count > 1) reader.error_at(node, "one uuid for more than one GPU");
  if (!fits(entry.pci_addresses) || !fits(entry.minor_numbers) || !fits(entry.module_ids) ||
      (entry.serials.size() > 1 && !fits(entry.serials))) {
    reader.error_at(node, "pci_bus_id, minor_number, module_id and a list of serials need one value for each GPU");
  }
  if (!entry.gpu.mig_instances.empty() && entry.gpu.feature(Feature::mig) != Mode::enabled) {
    reader.error_at(node, "MIG instances need mig = \"enabled\"");
  }
  if (entry.gpu.memory_total_mib.value_or(infinity) < entry.gpu.memory_reserved_mib) {
    reader.error_at(node, "more memory reserved than there is");
  }
}

// The last digits of `number` in place of each #.
std::string numbered(std::string text, std::size_t number) {
  for (auto c = text.rbegin(); c != text.rend(); ++c) {
    if (*c != '#') continue;
    *c = static_cast<char>('0' + number % 10);
    number /= 10;
  }
  return text;
}

// Board `i` of an entry, as GPU `index` of the machine.
Gpu board_of(const GpuEntry& entry, std::size_t i, std::size_t index) {
  const auto number = static_cast<unsigned>(index);
  Gpu gpu = entry.gpu;
  gpu.pci =
      entry.pci_addresses.empty() ? PciAddress{.domain = 0, .bus = number + 1, .device = 0} : entry.pci_addresses[i];
  gpu.minor_number = entry.minor_numbers.empty() ? number : static_cast<unsigned>(entry.minor_numbers[i]);
  gpu.module_id = entry.module_ids.empty() ? number + 1 : static_cast<unsigned>(entry.module_ids[i]);
  if (!entry.serials.empty()) gpu.serial = numbered(entry.serials[entry.serials.size() == 1 ? 0 : i], index);
  for (MigInstance& instance : gpu.mig_instances) {
    if (instance.name.empty()) instance.name = gpu.name + " MIG " + instance.profile;
  }
  return gpu;
}

void read_gpu(Reader& reader, const toml::node& node, std::vector<Gpu>& out) {
  const auto* table = node.as_table();
  if (table == nullptr) return reader.error_at(node, "expected a table");
  GpuEntry entry;
  for (const auto& [key, value] : *table) read_gpu_key(reader, key, value, entry);
  check_gpu(reader, node, entry);
  const auto count = static_cast<std::size_t>(entry.count);
  if (out.size() + count > gpus_max) {
    return reader.error_at(node, "more than " + std::to_string(gpus_max) + " GPUs");
  }
  for (std::size_t i = 0; i < count && !reader.failed(); ++i) {
    out.push_back(board_of(entry, i, out.size()));
    if (std::ranges::count(out, out.back().pci, &Gpu::pci) > 1) reader.error_at(node, "two GPUs at one PCI address");
  }
}

constexpr auto fault_keys = std::to_array<Key<Fault>>({
    {"gpu", [](Reader& r, const toml::node& n, Fault& out) { out.gpus = r.gpus(n); }},
    {"call", [](Reader& r, const toml::node& n, Fault& out) { out.calls = r.symbols(n); }},
    {"except", [](Reader& r, const toml::node& n, Fault& out) { out.except = r.symbols(n); }},
    {"after_s", [](Reader& r, const toml::node& n, Fault& out) { out.after_s = r.number(n, 0, infinity); }},
    {"for_s", [](Reader& r, const toml::node& n, Fault& out) { out.for_s = r.number(n, 0, infinity); }},
    {"every",
     [](Reader& r, const toml::node& n, Fault& out) { out.every = static_cast<unsigned>(r.integer(n, 1, 1'000'000)); }},
    {"delay_ms", [](Reader& r, const toml::node& n, Fault& out) { out.delay_ms = r.number(n, 0, milliseconds_max); }},
    {"hang", [](Reader& r, const toml::node& n, Fault& out) { out.hang = r.flag(n); }},
    {"hold_lock", [](Reader& r, const toml::node& n, Fault& out) { out.hold_lock = r.flag(n); }},
    {"crash", [](Reader& r, const toml::node& n, Fault& out) { out.crash = r.flag(n); }},
    {"value",
     [](Reader& r, const toml::node& n, Fault& out) {
       out.value = r.integer(n, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
     }},
    {"return", [](Reader& r, const toml::node& n, Fault& out) { out.result = r.code(n); }},
});

void read_fault(Reader& reader, const toml::node& node, std::vector<Fault>& out) {
  Fault fault;
  read_table(reader, node, fault_keys, fault);
  const auto* table = node.as_table();
  if (table == nullptr) return;
  constexpr std::array effects{"return", "delay_ms", "hang", "crash", "value"};
  if (!table->contains("call")) reader.error_at(node, "a fault names its `call`, or \"*\" for all of a GPU");
  if (std::ranges::none_of(effects, [&](const char* key) { return table->contains(key); })) {
    reader.error_at(node, "a fault without return, delay_ms, hang, crash or value does nothing");
  }
  out.push_back(std::move(fault));
}

constexpr auto driver_keys = std::to_array<Key<Driver>>({
    {"version", [](Reader& r, const toml::node& n, Driver& out) { out.version = r.text(n); }},
    {"nvml_version", [](Reader& r, const toml::node& n, Driver& out) { out.nvml_version = r.text(n); }},
    {"init", [](Reader& r, const toml::node& n, Driver& out) { out.init = r.code(n); }},
    {"init_delay_ms",
     [](Reader& r, const toml::node& n, Driver& out) { out.init_delay_ms = r.number(n, 0, milliseconds_max); }},
    {"first_handle_delay_ms",
     [](Reader& r, const toml::node& n, Driver& out) { out.first_handle_delay_ms = r.number(n, 0, milliseconds_max); }},
    {"memory_v1_total",
     [](Reader& r, const toml::node& n, Driver& out) {
       const std::string text = r.text(n);
       if (text != "all" && text != "unreserved") r.error_at(n, "expected \"all\" or \"unreserved\"");
       out.memory_v1_total = text == "all" ? MemoryV1Total::all : MemoryV1Total::unreserved;
     }},
    {"process_entry_bytes",
     [](Reader& r, const toml::node& n, Driver& out) {
       out.process_entry_bytes = static_cast<unsigned>(r.integer(n, 16, 32));
       if (out.process_entry_bytes % 8 != 0) r.error_at(n, "an entry of processes has 16, 24 or 32 bytes");
     }},
    {"absent", [](Reader& r, const toml::node& n, Driver& out) { out.absent = r.symbols(n); }},
});

constexpr auto scenario_keys = std::to_array<Key<Scenario>>({
    {"description",
     [](Reader& r, const toml::node& n, Scenario& out) {
       if (const auto* text = n.as_string()) return void(out.description = text->get());
       r.error_at(n, "expected a string");
     }},
    {"seed",
     [](Reader& r, const toml::node& n, Scenario& out) {
       out.seed = static_cast<std::uint64_t>(r.integer(n, 0, std::numeric_limits<std::int64_t>::max()));
     }},
    {"parameters", [](Reader&, const toml::node&, Scenario&) {}},  // read before everything else
    {"driver", [](Reader& r, const toml::node& n, Scenario& out) { read_table(r, n, driver_keys, out.driver); }},
    {"gpu",
     [](Reader& r, const toml::node& n, Scenario& out) {
       read_list(r, n, gpus_max, out.gpus, [&](const toml::node& gpu, auto& list) { read_gpu(r, gpu, list); });
     }},
    {"fault",
     [](Reader& r, const toml::node& n, Scenario& out) {
       read_list(r, n, faults_max, out.faults,
                 [&](const toml::node& fault, auto& list) { read_fault(r, fault, list); });
     }},
});

void give_uuids(Scenario& scenario) {
  for (unsigned index = 0; index < scenario.gpus.size(); ++index) {
    Gpu& gpu = scenario.gpus[index];
    if (gpu.uuid.empty()) gpu.uuid = uuid_from("GPU-", scenario.seed, index, 0);
    for (MigInstance& instance : gpu.mig_instances) {
      if (instance.uuid.empty()) instance.uuid = uuid_from("MIG-", scenario.seed, index, instance.slot + 1);
    }
  }
}

}  // namespace

std::expected<Scenario, std::string> parse_scenario(std::string_view text, std::string_view source,
                                                    const std::vector<Parameter>& parameters) {
  Reader reader(source);
  const toml::parse_result parsed = toml::parse(text, source);
  if (!parsed) {
    reader.error_at(parsed.error().source().begin.line, parsed.error().description());
    return std::unexpected(reader.take_error());
  }
  const toml::table& root = parsed.table();
  const toml::table no_parameters;
  const toml::table* defaults = root["parameters"].as_table();
  reader.parameters(defaults == nullptr ? no_parameters : *defaults, parameters);
  Scenario scenario;
  read_table(reader, root, scenario_keys, scenario);
  if (reader.failed()) return std::unexpected(reader.take_error());
  give_uuids(scenario);
  return scenario;
}

}  // namespace gputach::sim
