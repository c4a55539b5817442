// Purpose: the scenario in force: an embedded one by name, or a file that is read again whenever it changes, so that a
//          test starts and ends faults in a running process.
// Owns: the scenario; what current() gives stays valid and unchanged for as long as it is held.
// Threads: any, at the same time.
// Fails: what cannot be read is said on standard error, once per message; the last good scenario stays in force.
#pragma once

#include <sys/stat.h>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scenario.h"

namespace gputach::sim {

inline constexpr const char* default_scenario = "h100x8-busy";

// Looks at a file's inode, size and time stamp at most this often.
inline constexpr auto recheck_period = std::chrono::milliseconds(20);

// "hang?gpu=3&after_s=0.5"
struct ScenarioSpec {
  std::string name;  // a path when it holds a slash
  std::vector<Parameter> parameters;
};
[[nodiscard]] std::expected<ScenarioSpec, std::string> parse_scenario_spec(std::string_view text);

struct LoadedScenario {
  explicit LoadedScenario(Scenario read) : scenario(std::move(read)), fault_hits(scenario.faults.size()) {}

  const Scenario scenario;
  mutable std::vector<std::atomic<std::uint64_t>> fault_hits;  // by fault: calls that matched, for `every`
};

class ScenarioStore {
 public:
  explicit ScenarioStore(std::string_view spec);

  // Null when there never was a valid one.
  [[nodiscard]] std::shared_ptr<const LoadedScenario> current();

  // As current(), but null also when the newest state of the file is not valid.
  [[nodiscard]] std::shared_ptr<const LoadedScenario> current_if_valid();

 private:
  struct FileState {
    ino_t inode = 0;
    off_t size = -1;
    std::int64_t modified_ns = 0;
    bool operator==(const FileState&) const = default;
  };

  void look();
  void load(const std::expected<std::string, std::string>& text);
  void complain(const std::string& message);

  std::mutex mutex_;
  ScenarioSpec spec_;
  std::optional<FileState> file_;
  std::chrono::steady_clock::time_point next_look_{};
  std::shared_ptr<const LoadedScenario> loaded_;
  bool valid_ = false;
  std::string last_message_;
};

}  // namespace gputach::sim
