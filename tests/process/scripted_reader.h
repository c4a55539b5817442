// Purpose: a driver that behaves as a word on the command line says, for tests of real worker processes.
// Threads: as DeviceReader.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "sources/device_reader.h"

namespace gputach {

class ScriptedReader final : public DeviceReader {
 public:
  explicit ScriptedReader(std::string script) : script_(std::move(script)) {}

  Result<unsigned> open() override {
    if (script_ == "refuse") return fail(ErrorCode::not_initialized, "NVML not initialized");
    if (script_ == "crash-in-open") ::kill(::getpid(), SIGKILL);
    if (script_ == "hang-in-open") pause_for_ever();
    return 4u;
  }
  bool prepare_device(unsigned slot, Entity& out) override {
    if (script_ == "hide-all") return false;
    if (script_ == "slow-start") pause(300);
    fill(slot, out);
    return script_ != "hide-one" || slot != 1;
  }
  void read_device(unsigned slot, Entity& out) override {
    if (script_ == "crash-in-read") ::kill(::getpid(), SIGKILL);
    if (script_ == "hang-all") pause_for_ever();
    if (script_ == "hang-one" && slot == 1) pause_for_ever();
    if (script_ == "slow-one" && slot == 1) pause(400);
    if (script_ == "slow-only" && slot != 1) pause_for_ever();
    if (script_ == "slow-only" && slot == 1) pause(500);
    if (script_ == "write-garbage") (void)!::write(3, "\xff\xff\xff\xff garbage", 12);
    fill(slot, out);
    if (script_ == "lose-driver") out.condition = Status::failed;
  }
  bool needs_restart() const override { return script_ == "lose-driver"; }
  bool simulated() const override { return true; }
  const std::string& why() const override { return script_; }

 private:
  static void pause(int ms) { ::poll(nullptr, 0, ms); }
  static void pause_for_ever() {
    for (;;) pause(60'000);
  }
  static void fill(unsigned slot, Entity& out) {
    out.index = slot;
    out.name = "Scripted";
    out.uuid = "GPU-" + std::to_string(slot);
    out.condition = Status::ok;
    for (Reading& reading : out.readings) reading = Reading::of(0.5);
  }

  std::string script_;
};

}  // namespace gputach
