// Purpose: the GPUs and the driver below all worker processes: how long each call takes, and what is wrong when.
// Units: Duration.
// Owns: its devices and the driver's global lock.
// Threads: one.
#pragma once

#include <vector>

#include "simulate/timeline.h"

namespace gputach::simulate {

class Hardware {
 public:
  explicit Hardware(Timeline& timeline);

  [[nodiscard]] unsigned devices() const { return static_cast<unsigned>(windows_.size()); }
  // Not selected, for the whole schedule; all of them until the repair where nothing is to be seen.
  [[nodiscard]] bool hidden(unsigned device) const;
  [[nodiscard]] bool lost(unsigned device) const { return in_window(device, Kind::lost); }
  // How long a call that begins now is out.
  [[nodiscard]] Duration call(unsigned device);
  [[nodiscard]] Duration first_handle(unsigned device);
  // Whether nothing was wrong with this device, or slow with any other, or locked, since then: only hangs elsewhere.
  [[nodiscard]] bool only_others_hung_since(unsigned device, Instant since) const;

 private:
  enum class Kind : unsigned char { hang, hang_with_lock, slow, lost };
  struct Window {
    Kind kind;
    Instant from, to;
  };
  void brew_storm(Duration span);
  [[nodiscard]] bool in_window(unsigned device, Kind kind) const;

  Timeline& timeline_;
  std::vector<std::vector<Window>> windows_;  // of each device
  std::vector<bool> hidden_;
  bool all_hidden_until_healed_ = false;
  Instant locked_until_{};
};

}  // namespace gputach::simulate
