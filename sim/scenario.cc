#include "scenario.h"

#include <algorithm>

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

MigMode read_mig_mode(Reader& reader, const toml::node& node) {
  const std::string text = reader.text(node);
  if (text == "enabled") return MigMode::enabled;
  if (text != "disabled") reader.error_at(node, "expected \"enabled\" or \"disabled\"");
  return MigMode::disabled;
}

void read_returns(Reader& reader, const toml::node& node, Gpu& gpu) {
  const auto* table = node.as_table();
  if (table == nullptr) return reader.error_at(node, "expected a table of function = return code");
  for (const auto& [key, value] : *table) {
    gpu.returns.emplace_back(reader.symbol_named(key.str(), value), reader.code(value));
  }
}

// One [[gpu]] table stands for `count` alike boards.
struct GpuEntry {
  Gpu gpu;
  std::int64_t count = 1;
};

constexpr auto gpu_keys = std::to_array<Key<GpuEntry>>({
    {"count", [](Reader& r, const toml::node& n, GpuEntry& out) { out.count = r.integer(n, 0, gpus_max); }},
    {"name", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.name = r.text(n); }},
    {"uuid", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.uuid = r.text(n); }},
    {"load", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.load = read_load(r, n); }},
    {"memory_total_mib",
     [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.memory_total_mib = r.number(n, 0, figure_max); }},
    {"memory_reserved_mib",
     [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.memory_reserved_mib = r.number(n, 0, figure_max); }},
    {"mig", [](Reader& r, const toml::node& n, GpuEntry& out) { out.gpu.mig = read_mig_mode(r, n); }},
    {"mig_instance", [](Reader& r, const toml::node& n, GpuEntry& out) { read_mig_instances(r, n, out.gpu); }},
    {"returns", [](Reader& r, const toml::node& n, GpuEntry& out) { read_returns(r, n, out.gpu); }},
});

void read_gpu(Reader& reader, const toml::node& node, std::vector<Gpu>& out) {
  const auto* table = node.as_table();
  if (table == nullptr) return reader.error_at(node, "expected a table");
  GpuEntry entry;
  for (const auto& [key, value] : *table) {
    const auto* const metric = std::ranges::find(metric_keys, key.str());
    if (metric == metric_keys.end()) {
      read_key(reader, key, value, gpu_keys, entry);
    } else {
      entry.gpu.curves[static_cast<std::size_t>(metric - metric_keys.begin())] = read_curve(reader, value);
    }
  }
  if (!entry.gpu.uuid.empty() && entry.count > 1) reader.error_at(node, "one uuid for more than one GPU");
  if (!entry.gpu.mig_instances.empty() && entry.gpu.mig != MigMode::enabled) {
    reader.error_at(node, "MIG instances need mig = \"enabled\"");
  }
  if (entry.gpu.memory_total_mib.value_or(infinity) < entry.gpu.memory_reserved_mib) {
    reader.error_at(node, "more memory reserved than there is");
  }
  if (out.size() + static_cast<std::size_t>(entry.count) > gpus_max) {
    return reader.error_at(node, "more than " + std::to_string(gpus_max) + " GPUs");
  }
  out.insert(out.end(), static_cast<std::size_t>(entry.count), entry.gpu);
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
