// Purpose: what the machine shows of its GPUs without asking the driver: files, device nodes, environment, as data.
// Owns: values only.
// Threads: main.
// Fails: never; what cannot be seen is empty.
// Source: NVIDIA driver README chapter "Additional information about nvidia-drm and /proc" for /proc/driver/nvidia;
//         nvidia-container-toolkit 1.18 for the variables and for what a container is given.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gputach {

// A file under /dev. Only the permission is asked for: opening a GPU's node would start the GPU.
struct DeviceNode {
  enum class Kind : unsigned char { device, other };  // other: a folder or a file that stands where a device should

  std::string name;  // "nvidia0", "nvidia-caps/nvidia-cap1"
  Kind kind = Kind::device;
  uid_t owner = 0;
  gid_t group = 0;
  std::uint32_t mode = 0;  // permission bits
  int refusal = 0;         // errno of asking to read and write; 0 when that is allowed

  [[nodiscard]] bool usable() const { return kind == Kind::device && refusal == 0; }
};

struct PciGpu {
  std::string address;
  std::string driver;  // empty: none is bound
};

struct Surroundings {
  // Nothing when the bus cannot be seen, which is not the same as a bus without GPUs.
  std::optional<std::vector<PciGpu>> pci_gpus;
  bool module_loaded = false;
  std::string module_version;              // empty: not told
  std::vector<DeviceNode> nodes;           // in the order of their numbers
  std::vector<std::string> library_files;  // copies of the driver library in the usual places and a few others
  std::vector<std::string> container_signs;
  std::map<std::string, std::string, std::less<>> environment;  // what is set of `variables_of_interest`
  uid_t user = 0;

  [[nodiscard]] const DeviceNode* node(std::string_view name) const;
  [[nodiscard]] std::vector<const DeviceNode*> gpu_nodes() const;  // nvidia0, nvidia1 ...
  [[nodiscard]] const std::string* variable(std::string_view name) const;
  [[nodiscard]] bool in_container() const { return !container_signs.empty(); }
  [[nodiscard]] bool in_pod() const { return variable("KUBERNETES_SERVICE_HOST") != nullptr; }
  // The Windows Subsystem for Linux: one node for everything, and no kernel module of NVIDIA's.
  [[nodiscard]] bool in_wsl() const { return node("dxg") != nullptr; }
};

// `root` stands before every path, so that a test can bring its own machine. `environment` is getenv or a stand-in.
using Environment = std::function<const char*(const char* name)>;
[[nodiscard]] Surroundings look_around(const std::string& root, const Environment& environment);

// The pure parts.

// "580.105.08" of the first line of /proc/driver/nvidia/version; empty when there is none.
[[nodiscard]] std::string kernel_module_version(std::string_view proc_text);
// "580.105.08" of ".../libnvidia-ml.so.580.105.08"; empty when the name tells no version.
[[nodiscard]] std::string version_in_file_name(std::string_view path);
// The driver library among the files that /proc/self/maps lists; empty when it is not there.
[[nodiscard]] std::string mapped_driver_library(std::string_view maps_text);

}  // namespace gputach
