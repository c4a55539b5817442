// Purpose: what every exported function does around its answer: find the engine, check the arguments, copy out.
// Owns: the engine, while the library is loaded; defined in fake_nvml.cc.
// Threads: any, at the same time.
// Fails: as NVML does, with a return code.
#pragma once

#include <atomic>
#include <cstring>
#include <string_view>

#include "engine.h"
#include "sources/nvml/abi.h"

namespace gputach::sim {

using nvml::Device;
using nvml::Return;

extern std::atomic<Engine*> engine;  // null once the library is being unloaded
extern std::atomic<int> calls_inside;

// Marks a call as inside before it takes the engine, so that unload() either sees it or hides the engine from it.
class Call {
 public:
  Call() {
    ++calls_inside;
    engine_ = engine;
  }
  ~Call() { --calls_inside; }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  template <class Body>
  Return run(Body body) {
    return engine_ == nullptr ? Return::uninitialized : body(*engine_);
  }

 private:
  Engine* engine_;
};

template <class... T>
Return pointers(const T*... all) {
  return ((all != nullptr) && ...) ? Return::success : Return::invalid_argument;
}

template <class T>
Return versioned(const T* out, std::uint32_t version) {
  if (out == nullptr) return Return::invalid_argument;
  return out->version == version ? Return::success : Return::argument_version_mismatch;
}

inline Return copy_text(std::string_view text, char* out, std::uint32_t size) {
  if (text.size() >= size) return Return::insufficient_size;
  std::memcpy(out, text.data(), text.size());
  out[text.size()] = '\0';
  return Return::success;
}

template <class Pick>
Return device_text(Symbol symbol, Device device, char* out, std::uint32_t size, Pick pick) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol, device, pointers(out));
    return access ? copy_text(pick(*access), out, size) : access.error();
  });
}

template <class Pick>
Return system_text(Symbol symbol, char* out, std::uint32_t size, Pick pick) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol, pointers(out));
    return access ? copy_text(pick(access->loaded->scenario.driver), out, size) : access.error();
  });
}

template <class Read>
Return device_u32(Symbol symbol, Device device, std::uint32_t* out, Read read) {
  return Call().run([&](Engine& sim) {
    const auto access = sim.enter(symbol, device, pointers(out));
    if (!access) return access.error();
    const std::expected<std::int64_t, Return> value = read(*access);
    if (!value) return value.error();
    *out = static_cast<std::uint32_t>(*value);
    return Return::success;
  });
}

}  // namespace gputach::sim
