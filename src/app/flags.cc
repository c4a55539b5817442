#include "app/flags.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "base/limits.h"
#include "base/text_buffer.h"
#include "http/listen_socket.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

std::unexpected<Error> bad(std::string wanted) {
  return fail(ErrorCode::invalid, std::move(wanted));
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

template <class T>
bool parse_whole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

Result<Duration> parse_duration(std::string_view text, Duration min, Duration max, std::string_view range) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  const double scale = unit == "ms" ? 1e6 : unit == "s" ? 1e9 : unit == "m" ? 60e9 : 0;
  const std::string wanted = "a duration with its unit between " + std::string(range);
  if (error != std::errc() || scale == 0 || !(number >= 0) || number * scale > 1e15) return bad(wanted);
  const Duration value(static_cast<std::int64_t>(number * scale));
  if (value < min || value > max) return bad(wanted);
  return value;
}

Result<void> set_listen(Config& config, std::string_view value) {
  config.listen.clear();
  for (const std::string_view address : split(value)) {
    if (!http::parse_listen_address(address)) return bad("ADDRESS:PORT, such as 127.0.0.1:8080 or [::]:8080");
    config.listen.emplace_back(address);
  }
  return {};
}

Result<void> set_nvml_library(Config& config, std::string_view value) {
  config.nvml_library = value;
  return {};
}

Result<void> set_devices(Config& config, std::string_view value) {
  config.devices = {};
  if (value.empty()) return {};
  for (const std::string_view device : split(value)) {
    unsigned index = 0;
    if (parse_whole(device, index) && index < limits::gpus_max) {
      config.devices.indices.push_back(index);
    } else if (device.starts_with("GPU-") && device.size() > 4) {
      config.devices.uuids.emplace_back(device);
    } else {
      return bad("GPU indices (0 to 63) or UUIDs (GPU-...), separated by commas");
    }
  }
  return {};
}

Result<void> set_nvml_timeout(Config& config, std::string_view value) {
  const auto parsed = parse_duration(value, 100ms, 60s, "100ms and 60s");
  if (!parsed) return std::unexpected(parsed.error());
  config.nvml_timeout = *parsed;
  return {};
}

Result<void> set_cache_ttl(Config& config, std::string_view value) {
  const auto parsed = parse_duration(value, 0ms, 60s, "0s and 60s");
  if (!parsed) return std::unexpected(parsed.error());
  config.cache_ttl = *parsed;
  return {};
}

// What may stand in a header line: visible ASCII (RFC 6454 section 7.1 allows no more).
Result<void> set_cors_origin(Config& config, std::string_view value) {
  if (!std::ranges::all_of(value, [](char c) { return c > ' ' && c < '\x7f' && c != ','; }))
    return bad("one origin such as https://example.org, * for any, or nothing for none");
  config.cors_origin = value;
  return {};
}

Result<void> set_connections_max(Config& config, std::string_view value) {
  if (!parse_whole(value, config.connections_max) || config.connections_max == 0 || config.connections_max > 1'000'000)
    return bad("a number between 1 and 1000000");
  return {};
}

Result<void> set_log_level(Config& config, std::string_view value) {
  constexpr std::array<std::string_view, 4> names = {"debug", "info", "warning", "error"};
  const auto found = std::ranges::find(names, value);
  if (found == names.end()) return bad("debug, info, warning or error");
  config.log_level = static_cast<LogLevel>(found - names.begin());
  return {};
}

// One line, whatever bytes the value holds.
std::unexpected<Error> refuse_value(const Given& given, std::string_view wanted) {
  TextBuffer text;
  text << given.origin << ": ";
  text.json_string(given.value.substr(0, limits::label_bytes_max));
  text << " is not " << wanted;
  return fail(ErrorCode::invalid, text.take());
}

constexpr auto table = std::to_array<Flag>({
    {"listen", "HOST:PORT", "[::]:8080", FlagUse::serving,
     "Addresses to serve on, separated by commas; port 0 picks a free one.", set_listen},
    {"nvml-library", "PATH", "", FlagUse::driver,
     "The driver library to load instead of the installed libnvidia-ml.so.1.", set_nvml_library},
    {"devices", "LIST", "", FlagUse::driver,
     "GPUs to show, as indices or UUIDs separated by commas; all of them when empty.", set_devices},
    {"nvml-timeout", "DURATION", "2s", FlagUse::asking,
     "How long a request waits for the driver before it is answered with an error.", set_nvml_timeout},
    {"cache-ttl", "DURATION", "1s", FlagUse::serving, "How long one reading of the GPUs answers all requests.",
     set_cache_ttl},
    {"cors-origin", "ORIGIN", "*", FlagUse::serving,
     "The origin whose browser pages may read /proxy/stats; empty for none.", set_cors_origin},
    {"connections-max", "NUMBER", "4096", FlagUse::serving, "Client connections at a time; more are answered with 503.",
     set_connections_max},
    {"log-level", "LEVEL", "info", FlagUse::driver, "The least severe log lines to write: debug, info, warning, error.",
     set_log_level},
});

}  // namespace

std::span<const Flag> flags() {
  return table;
}

std::string variable_of(const Flag& flag) {
  std::string name = "GPUTACH_";
  for (const char c : flag.name)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Result<Config> make_config(std::span<const Given> given) {
  Config config;
  for (const Flag& flag : table)
    if (const auto set = flag.set(config, flag.default_value); !set) return std::unexpected(set.error());
  for (const Given& one : given) {
    const auto flag = std::ranges::find(table, one.flag, &Flag::name);
    if (flag == table.end()) return fail(ErrorCode::invalid, "there is no flag --" + std::string(one.flag));
    if (const auto set = flag->set(config, one.value); !set) return refuse_value(one, set.error().context);
  }
  return config;
}

std::vector<std::string> worker_arguments(std::span<const Given> given) {
  std::vector<std::string> arguments = {"worker"};
  for (const Given& one : given) {
    const auto flag = std::ranges::find(table, one.flag, &Flag::name);
    if (flag == table.end() || flag->use != FlagUse::driver) continue;
    arguments.push_back("--" + std::string(flag->name));
    arguments.push_back(one.value);
  }
  return arguments;
}

std::string flags_page() {
  std::string page =
      "# Flags\n\nPrinted by `gputach docs flags`. A flag on the command line goes before its environment variable.\n"
      "Durations carry their unit: `500ms`, `1s`, `2m`.\n\n| flag | variable | default | meaning "
      "|\n|---|---|---|---|\n";
  for (const Flag& flag : table) {
    page +=
        "| `--" + std::string(flag.name) + " " + std::string(flag.value_name) + "` | `" + variable_of(flag) + "` | ";
    page += flag.default_value.empty() ? "" : "`" + std::string(flag.default_value) + "`";
    page += " | " + std::string(flag.help) + " |\n";
  }
  return page;
}

}  // namespace gputach
