#include "app/flags.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <type_traits>

#include "app/flag_values.h"
#include "base/limits.h"
#include "base/text_buffer.h"
#include "http/listen_socket.h"
#include "relay/upstream_address.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

std::unexpected<Error> bad(std::string wanted) {
  return fail(ErrorCode::invalid, std::move(wanted));
}

template <class Value, class Target>
Result<void> store(Result<Value> parsed, Target& target) {
  if (!parsed) return std::unexpected(std::move(parsed).error());
  if constexpr (std::is_same_v<Value, Duration>) {
    target = std::chrono::duration_cast<Target>(*parsed);
  } else {
    target = static_cast<Target>(*std::move(parsed));
  }
  return {};
}

// The members of http::Limits, each with the least and the most that may be set.
template <auto member, std::int64_t ms_min, std::int64_t ms_max>
Result<void> set_timeout(Config& config, std::string_view value) {
  return store(parse_duration(value, std::chrono::milliseconds(ms_min), std::chrono::milliseconds(ms_max)),
               config.limits.*member);
}

template <auto member, std::uint64_t min, std::uint64_t max>
Result<void> set_number(Config& config, std::string_view value) {
  return store(parse_number(value, min, max), config.limits.*member);
}

template <auto member, std::uint64_t min, std::uint64_t max>
Result<void> set_bytes(Config& config, std::string_view value) {
  return store(parse_bytes(value, min, max), config.limits.*member);
}

template <auto member>
Result<void> set_text(Config& config, std::string_view value) {
  config.*member = value;
  return {};
}

template <auto member>
Result<void> set_tls_file(Config& config, std::string_view value) {
  config.tls.*member = value;
  return {};
}

Result<void> set_upstream(Config& config, std::string_view value) {
  config.upstream.reset();
  if (value.empty()) return {};
  auto address = relay::parse_upstream_address(value);
  if (!address) return bad("http://ADDRESS:PORT, https://ADDRESS:PORT or unix:/PATH, such as http://127.0.0.1:8000");
  config.upstream = *std::move(address);
  return {};
}

Result<void> set_upstream_tls_verify(Config& config, std::string_view value) {
  if (value != "on" && value != "off") return bad("on or off");
  config.upstream_tls_verify = value == "on" ? http::TlsVerify::on : http::TlsVerify::off;
  return {};
}

// Each list is judged alone here; they are joined when the daemon starts.
Result<void> store_paths(const Result<relay::PathRules>& rules, std::string_view value, std::string& kept) {
  if (!rules) return bad("a list of paths: " + rules.error().context);
  kept = value;
  return {};
}
Result<void> set_allowed_paths(Config& config, std::string_view value) {
  return store_paths(relay::PathRules::parse(value, {}), value, config.allow_paths);
}
Result<void> set_denied_paths(Config& config, std::string_view value) {
  return store_paths(relay::PathRules::parse({}, value), value, config.deny_paths);
}

template <auto member, std::uint64_t min, std::uint64_t max>
Result<void> set_relay_number(Config& config, std::string_view value) {
  return store(parse_number(value, min, max), config.relay_limits.*member);
}

template <auto member, std::int64_t ms_min, std::int64_t ms_max>
Result<void> set_relay_duration(Config& config, std::string_view value) {
  return store(parse_duration(value, std::chrono::milliseconds(ms_min), std::chrono::milliseconds(ms_max)),
               config.relay_limits.*member);
}

Result<void> set_ready_requires(Config& config, std::string_view value) {
  config.ready_requires = {};
  if (value.empty()) return {};
  for (const std::string_view one : split_list(value)) {
    if (one == "engine") {
      config.ready_requires.engine = true;
    } else if (one == "gpu") {
      config.ready_requires.gpu = true;
    } else {
      return bad("a list of engine and gpu");
    }
  }
  return {};
}

Result<void> set_drain_timeout(Config& config, std::string_view value) {
  return store(parse_duration(value, 0s, 24h), config.drain_timeout);
}

Result<void> set_addresses(std::vector<std::string>& addresses, std::string_view value) {
  addresses.clear();
  for (const std::string_view address : split_list(value)) {
    if (!http::parse_listen_address(address))
      return bad("HOST:PORT, tls:HOST:PORT or unix:PATH, such as 127.0.0.1:8080, tls:[::]:8443 or unix:/run/gputach");
    addresses.emplace_back(address);
  }
  return {};
}

Result<void> set_listen(Config& config, std::string_view value) {
  return set_addresses(config.listen, value);
}

Result<void> set_private_listen(Config& config, std::string_view value) {
  config.private_listen.clear();
  if (value.empty()) return {};
  return set_addresses(config.private_listen, value);
}

Result<void> set_token_files(Config& config, std::string_view value) {
  return store(parse_token_files(value), config.token_files);
}

Result<void> set_access_log(Config& config, std::string_view value) {
  if (value.empty()) return bad("off, stderr or a file to write to");
  config.access_log = value;
  return {};
}

Result<void> set_devices(Config& config, std::string_view value) {
  config.devices = {};
  if (value.empty()) return {};
  for (const std::string_view device : split_list(value)) {
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
  return store(parse_duration(value, 100ms, 60s), config.nvml_timeout);
}

Result<void> set_cache_ttl(Config& config, std::string_view value) {
  return store(parse_duration(value, 0ms, 60s), config.cache_ttl);
}

// What may stand in a header line: visible ASCII (RFC 6454 section 7.1 allows no more).
Result<void> set_cors_origin(Config& config, std::string_view value) {
  if (!std::ranges::all_of(value, [](char c) { return c > ' ' && c < '\x7f' && c != ','; }))
    return bad("one origin such as https://example.org, * for any, or nothing for none");
  config.cors_origin = value;
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

bool needs_tls(const std::vector<std::string>& addresses) {
  return std::ranges::any_of(addresses, [](const std::string& address) {
    return http::parse_listen_address(address)->kind == http::ListenKind::tls;
  });
}

// What no flag can judge by itself.
Result<void> check_together(const Config& config) {
  const bool certificate = !config.tls.certificate.empty();
  if (certificate != !config.tls.key.empty())
    return bad(certificate ? "--tls-certificate needs --tls-key" : "--tls-key needs --tls-certificate");
  if (!certificate && (needs_tls(config.listen) || needs_tls(config.private_listen)))
    return bad("a tls: address needs --tls-certificate and --tls-key");
  return {};
}

using http::Limits;
using http::TlsFiles;
using relay::RelayLimits;
using enum Reload;

// clang-format off
constexpr auto table = std::to_array<Flag>({
    {"listen", "ADDRESSES", "[::]:8080", FlagUse::serving, restart,
     "Addresses to serve on, separated by commas: HOST:PORT, tls:HOST:PORT, unix:PATH; port 0 picks a free one.",
     set_listen},
    {"private-listen", "ADDRESSES", "", FlagUse::serving, restart,
     "Further addresses, in the same forms, that also serve what clients of the engine must not see.", set_private_listen},
    {"tls-certificate", "FILE", "", FlagUse::serving, restart,
     "Certificate and the chain above it (PEM) for tls: addresses; read again when it changes. Counted in http.tls.", set_tls_file<&TlsFiles::certificate>},
    {"tls-key", "FILE", "", FlagUse::serving, restart,
     "The key of that certificate (PEM), without a password; read again when it changes.", set_tls_file<&TlsFiles::key>},
    {"token-files", "LIST", "", FlagUse::serving, live,
     "EXPOSURE=FILE, separated by commas: who asks for what has this exposure (contract, read, sensitive, admin) has to "
     "send the bearer token that the file holds.", set_token_files},
    {"nvml-library", "PATH", "", FlagUse::driver, restart,
     "The driver library to load instead of the installed libnvidia-ml.so.1.", set_text<&Config::nvml_library>},
    {"devices", "LIST", "", FlagUse::driver, restart,
     "GPUs to show, as indices or UUIDs separated by commas; all of them when empty.", set_devices},
    {"nvml-timeout", "DURATION", "2s", FlagUse::asking, restart,
     "How long a request waits for the driver before it is answered with an error. Counted as passes.failed.timed_out.",
     set_nvml_timeout},
    {"cache-ttl", "DURATION", "1s", FlagUse::serving, live, "How long one reading of the GPUs answers all requests.",
     set_cache_ttl},
    {"cors-origin", "ORIGIN", "*", FlagUse::serving, live,
     "The origin whose browser pages may read /proxy/stats; empty for none.", set_cors_origin},
    {"connections-max", "NUMBER", "4096", FlagUse::serving, live,
     "Client connections at a time; more are answered with 503. Counted as http.limits.connections_max.",
     set_number<&Limits::connections_max, 1, 1'000'000>},
    {"head-bytes-max", "BYTES", "16KiB", FlagUse::serving, live,
     "Bytes of a request's line and fields; more are answered with 431. Counted as http.limits.head_bytes_max.",
     set_bytes<&Limits::head_bytes_max, 1 << 10, 1 << 20>},
    {"body-bytes-max", "BYTES", "64KiB", FlagUse::serving, live,
     "Bytes of a request's body that are read though nobody wants them; more are answered with 413. Counted as "
     "http.limits.body_bytes_max.", set_bytes<&Limits::body_drain_bytes_max, 0, 16 << 20>},
    {"requests-per-connection-max", "NUMBER", "0", FlagUse::serving, live,
     "Requests after which a connection is closed; 0 for no limit. Counted as http.limits.requests_per_connection_max.",
     set_number<&Limits::requests_per_connection_max, 0, 1'000'000'000>},
    {"pipelined-before-yield", "NUMBER", "64", FlagUse::serving, live,
     "Requests sent without waiting that one connection has answered before others get a turn. Counted as "
     "http.limits.pipelined_before_yield.",
     set_number<&Limits::pipelined_before_yield, 1, 10'000>},
    {"head-timeout", "DURATION", "10s", FlagUse::serving, live,
     "From the first byte of a request's head to its last, then 408; also for a body, and for a TLS handshake. Counted as "
     "http.limits.head_timeout and body_timeout, and in http.tls.", set_timeout<&Limits::head_timeout, 100, 3'600'000>},
    {"idle-timeout", "DURATION", "75s", FlagUse::serving, live,
     "How long a connection may wait between requests. Counted as http.limits.idle_timeout.",
     set_timeout<&Limits::idle_timeout, 100, 3'600'000>},
    {"write-timeout", "DURATION", "30s", FlagUse::serving, live,
     "How long a client may take no byte of its answer. Counted as http.limits.write_timeout.",
     set_timeout<&Limits::write_timeout, 100, 3'600'000>},
    {"upstream", "URL", "", FlagUse::serving, restart,
     "The engine that gets every request outside of /proxy/: http://ADDRESS:PORT, https://ADDRESS:PORT or unix:/PATH. "
     "None: they are 404.", set_upstream},
    {"upstream-ca", "FILE", "", FlagUse::serving, restart,
     "Who may have signed the certificate of an engine behind https (PEM); whom the system trusts when empty.",
     set_text<&Config::upstream_ca>},
    {"upstream-tls-verify", "WHETHER", "on", FlagUse::serving, restart,
     "off: the certificate of an engine behind https is not looked at, and anybody on the way could be the engine.",
     set_upstream_tls_verify},
    {"allow-paths", "LIST", "", FlagUse::serving, restart,
     "Paths of the engine that clients may reach, separated by commas: /exact, /folder/*, /beginning*, preset:vllm-safe; all of them when empty.",
     set_allowed_paths},
    {"deny-paths", "LIST", "", FlagUse::serving, restart,
     "Paths of the engine that clients may not reach, in the same form; denied wins over allowed.",
     set_denied_paths},
    {"upstream-connections-max", "NUMBER", "1024", FlagUse::serving, restart,
     "Connections to the engine at a time; further requests wait for one of them.",
     set_relay_number<&RelayLimits::connections_max, 1, 100'000>},
    {"upstream-queue-max", "NUMBER", "1024", FlagUse::serving, restart,
     "Requests that wait for a connection to the engine; more are answered with 503. Counted as "
     "gateway_errors_total, connection_limit_reached, of /proxy/v1/proxy.",
     set_relay_number<&RelayLimits::queue_max, 0, 100'000>},
    {"upstream-queue-timeout", "DURATION", "10s", FlagUse::serving, restart,
     "How long a request waits for a connection to the engine, then 503.",
     set_relay_duration<&RelayLimits::queue_wait_max, 100, 3'600'000>},
    {"upstream-connect-timeout", "DURATION", "2s", FlagUse::serving, restart,
     "How long the engine may take to accept a connection, then 504.",
     set_relay_duration<&RelayLimits::connect_timeout, 100, 60'000>},
    {"upstream-reuse-within", "DURATION", "2500ms", FlagUse::serving, restart,
     "How long an idle connection to the engine is used again; below the engine's own limit (vLLM: 5s).",
     set_relay_duration<&RelayLimits::reuse_within, 0, 3'600'000>},
    {"body-timeout", "DURATION", "60s", FlagUse::serving, restart,
     "How long a client may send nothing in the middle of a body for the engine, then 408.",
     set_relay_duration<&RelayLimits::body_timeout, 100, 3'600'000>},
    {"ready-requires", "LIST", "", FlagUse::serving, restart,
     "What /proxy/readyz asks for beyond a server that serves: engine (its /health), gpu (fresh figures), or both.",
     set_ready_requires},
    {"drain-timeout", "DURATION", "30s", FlagUse::serving, restart,
     "How long answers of the engine may go on after SIGTERM.", set_drain_timeout},
    {"access-log", "WHERE", "off", FlagUse::serving, restart,
     "One line of JSON for each request: off, stderr, or the file to add to, which SIGHUP opens again. Lines left out are "
     "counted as access_log.dropped.", set_access_log},
    {"log-level", "LEVEL", "info", FlagUse::driver, live,
     "The least severe log lines to write: debug, info, warning, error.", set_log_level},
    {"config", "FILE", "", FlagUse::asking, restart,
     "A TOML file with values for these flags, read again on SIGHUP.", set_text<&Config::config_file>},
});
// clang-format on

}  // namespace

std::span<const Flag> flags() {
  return table;
}

std::string_view to_string(Reload reload) {
  return reload == live ? "live" : "restart";
}

const Flag* find_flag(std::string_view name) {
  const auto found = std::ranges::find(table, name, &Flag::name);
  return found == table.end() ? nullptr : &*found;
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
    const Flag* flag = find_flag(one.flag);
    if (flag == nullptr) return fail(ErrorCode::invalid, "there is no flag --" + std::string(one.flag));
    if (const auto set = flag->set(config, one.value); !set) return refuse_value(one, set.error().context);
  }
  if (const auto sound = check_together(config); !sound) return std::unexpected(sound.error());
  return config;
}

std::vector<std::string> worker_arguments(std::span<const Given> given) {
  std::vector<std::string> arguments = {"worker"};
  for (const Given& one : given) {
    const Flag* flag = find_flag(one.flag);
    if (flag == nullptr || flag->use != FlagUse::driver) continue;
    arguments.push_back("--" + std::string(flag->name));
    arguments.push_back(one.value);
  }
  return arguments;
}

}  // namespace gputach
