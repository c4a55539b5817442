#include "scenario_store.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "embedded.h"

namespace gputach::sim {
namespace {

std::unexpected<std::string> fail_errno(const std::string& path, int error) {
  return std::unexpected(path + ": " + std::generic_category().message(error));
}

std::expected<std::string, std::string> read_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(path, errno);
  std::string text(scenario_bytes_max + 1, '\0');
  std::size_t size = 0;
  ssize_t got = 1;
  while (size < text.size() && got != 0) {
    got = ::read(fd, text.data() + size, text.size() - size);
    if (got > 0) size += static_cast<std::size_t>(got);
    if (got < 0 && errno != EINTR) break;
  }
  const int error = got < 0 ? errno : 0;
  ::close(fd);
  if (error != 0) return fail_errno(path, error);
  if (size > scenario_bytes_max) return std::unexpected(path + ": larger than " + std::to_string(scenario_bytes_max));
  text.resize(size);
  return text;
}

bool is_path(const std::string& name) {
  return name.find('/') != std::string::npos;
}

std::expected<std::string, std::string> find_embedded(const std::string& name) {
  const auto scenarios = embedded_scenarios();
  const auto found = std::ranges::find(scenarios, name, &EmbeddedScenario::name);
  if (found != scenarios.end()) return std::string(found->text);
  std::string message = "no scenario `" + name + "`; there are:";
  for (const EmbeddedScenario& scenario : scenarios) message.append(" ").append(scenario.name);
  return std::unexpected(message);
}

}  // namespace

std::expected<ScenarioSpec, std::string> parse_scenario_spec(std::string_view text) {
  const std::size_t question = std::min(text.find('?'), text.size());
  ScenarioSpec spec{.name = std::string(text.substr(0, question)), .parameters = {}};
  if (spec.name.empty()) return std::unexpected("the scenario has no name");
  for (std::size_t begin = question + 1; begin < text.size();) {
    const std::size_t end = std::min(text.find('&', begin), text.size());
    const std::string_view pair = text.substr(begin, end - begin);
    const std::size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string_view::npos) {
      return std::unexpected("scenario parameter `" + std::string(pair) + "` is not name=value");
    }
    spec.parameters.push_back({std::string(pair.substr(0, equals)), std::string(pair.substr(equals + 1))});
    begin = end + 1;
  }
  return spec;
}

ScenarioStore::ScenarioStore(std::string_view text) {
  auto spec = parse_scenario_spec(text);
  if (!spec) {
    complain(spec.error());
    return;
  }
  spec_ = std::move(*spec);
  if (is_path(spec_.name)) {
    look();
  } else {
    load(find_embedded(spec_.name));
  }
}

std::shared_ptr<const LoadedScenario> ScenarioStore::current() {
  const std::scoped_lock lock(mutex_);
  look();
  return loaded_;
}

std::shared_ptr<const LoadedScenario> ScenarioStore::current_if_valid() {
  const std::scoped_lock lock(mutex_);
  look();
  return valid_ ? loaded_ : nullptr;
}

void ScenarioStore::look() {
  if (!is_path(spec_.name)) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_look_) return;
  next_look_ = now + recheck_period;
  struct stat status{};
  if (::stat(spec_.name.c_str(), &status) != 0) {
    file_.reset();
    return load(fail_errno(spec_.name, errno));
  }
  const FileState state{status.st_ino, status.st_size,
                        std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
  if (file_ == state) return;
  file_ = state;
  load(read_file(spec_.name));
}

void ScenarioStore::load(const std::expected<std::string, std::string>& text) {
  valid_ = false;
  if (!text) return complain(text.error());
  auto scenario = parse_scenario(*text, spec_.name, spec_.parameters);
  if (!scenario) return complain(scenario.error());
  loaded_ = std::make_shared<const LoadedScenario>(std::move(*scenario));
  valid_ = true;
}

void ScenarioStore::complain(const std::string& message) {
  if (message == last_message_) return;
  last_message_ = message;
  std::fprintf(stderr, "gputach simulated driver: %s\n", message.c_str());
}

}  // namespace gputach::sim
