#include "app/doctor_surroundings.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gputach {
namespace {

namespace fs = std::filesystem;

constexpr auto variables_of_interest = std::to_array<const char*>({
    "NVIDIA_VISIBLE_DEVICES",
    "NVIDIA_DRIVER_CAPABILITIES",
    "KUBERNETES_SERVICE_HOST",
    "container",
    "LD_LIBRARY_PATH",
});

// Where installers, container runtimes, the GPU operator, GKE, NixOS and WSL put the driver library.
constexpr auto library_folders = std::to_array<const char*>({
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu",
    "/run/nvidia/driver/usr/lib64",
    "/home/kubernetes/bin/nvidia/lib64",
    "/run/opengl-driver/lib",
    "/usr/lib/wsl/lib",
});

constexpr std::string_view library_name = "libnvidia-ml.so";
constexpr std::string_view nvidia_vendor = "0x10de";
constexpr std::string_view display_class = "0x03";  // PCI class of VGA and 3D controllers
constexpr std::size_t file_bytes_max = 1 << 16;
constexpr std::size_t folder_entries_max = 4096;

// The beginning of a small file; nothing when there is none.
std::optional<std::string> read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(file_bytes_max, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::string first_line(std::string text) {
  text.resize(std::min(text.size(), text.find('\n')));
  return text;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (found.size() == folder_entries_max) break;
    found.push_back(entry->path());
  }
  std::ranges::sort(found);
  return found;
}

// The number behind `prefix`, when nothing else stands there.
std::optional<unsigned> number_behind(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  unsigned number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return number;
}

std::optional<DeviceNode> node_at(const fs::path& path, std::string name) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return std::nullopt;
  DeviceNode node;
  node.name = std::move(name);
  node.kind = S_ISCHR(about.st_mode) ? DeviceNode::Kind::device : DeviceNode::Kind::other;
  node.owner = about.st_uid;
  node.group = about.st_gid;
  node.mode = about.st_mode & 07777;
  // The kernel answers for the device cgroup as well (inode_permission), as it would for an open.
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) != 0) node.refusal = errno;
  return node;
}

std::vector<DeviceNode> find_nodes(const fs::path& dev) {
  std::vector<std::pair<unsigned, std::string>> wanted;
  for (const char* const name : {"nvidiactl", "dxg"}) wanted.emplace_back(0, name);
  for (const fs::path& entry : entries_of(dev)) {
    const std::string name = entry.filename().string();
    if (const auto number = number_behind(name, "nvidia")) wanted.emplace_back(1 + *number, name);
  }
  for (const fs::path& entry : entries_of(dev / "nvidia-caps")) {
    const std::string name = entry.filename().string();
    if (const auto number = number_behind(name, "nvidia-cap"))
      wanted.emplace_back(0x10000 + *number, "nvidia-caps/" + name);
  }
  std::ranges::sort(wanted);
  std::vector<DeviceNode> nodes;
  for (auto& [order, name] : wanted) {
    if (auto node = node_at(dev / name, name)) nodes.push_back(*std::move(node));
  }
  return nodes;
}

std::optional<std::vector<PciGpu>> find_pci_gpus(const fs::path& devices) {
  std::error_code error;
  if (!fs::is_directory(devices, error)) return std::nullopt;
  std::vector<PciGpu> gpus;
  for (const fs::path& device : entries_of(devices)) {
    const auto vendor = read_text(device / "vendor");
    const auto device_class = read_text(device / "class");
    if (!vendor || !vendor->starts_with(nvidia_vendor)) continue;
    if (!device_class || !device_class->starts_with(display_class)) continue;
    const fs::path driver = fs::read_symlink(device / "driver", error);
    gpus.push_back({device.filename().string(), error ? std::string() : driver.filename().string()});
  }
  return gpus;
}

std::vector<std::string> find_libraries(const std::string& root) {
  std::vector<std::string> found;
  for (const std::string folder : library_folders) {
    std::error_code error;
    const std::string path = folder + "/" + std::string(library_name) + ".1";
    if (fs::exists(root + path, error)) found.push_back(path);
  }
  return found;
}

std::vector<std::string> find_container_signs(const std::string& root, const Surroundings& here) {
  std::vector<std::string> signs;
  std::error_code error;
  for (const char* const file : {"/.dockerenv", "/run/.containerenv"})
    if (fs::exists(root + file, error)) signs.emplace_back(file);
  if (const std::string* kind = here.variable("container")) signs.push_back("container=" + *kind);
  if (here.in_pod()) signs.emplace_back("KUBERNETES_SERVICE_HOST");
  const std::string groups = read_text(root + "/proc/self/cgroup").value_or("");
  for (const char* const runtime : {"kubepods", "docker", "containerd", "crio", "libpod", "lxc"}) {
    if (groups.find(runtime) == std::string::npos) continue;
    signs.push_back(std::string("cgroup ") + runtime);
    break;
  }
  return signs;
}

}  // namespace

const DeviceNode* Surroundings::node(std::string_view name) const {
  const auto found = std::ranges::find(nodes, name, &DeviceNode::name);
  return found == nodes.end() ? nullptr : &*found;
}

std::vector<const DeviceNode*> Surroundings::gpu_nodes() const {
  std::vector<const DeviceNode*> found;
  for (const DeviceNode& node : nodes)
    if (number_behind(node.name, "nvidia")) found.push_back(&node);
  return found;
}

const std::string* Surroundings::variable(std::string_view name) const {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : &found->second;
}

Surroundings look_around(const std::string& root, const Environment& environment) {
  Surroundings here;
  for (const char* const name : variables_of_interest)
    if (const char* const value = environment(name)) here.environment.emplace(name, value);
  here.user = ::geteuid();
  here.pci_gpus = find_pci_gpus(root + "/sys/bus/pci/devices");
  std::error_code error;
  const auto proc_text = read_text(root + "/proc/driver/nvidia/version");
  here.module_loaded = proc_text || fs::is_directory(root + "/sys/module/nvidia", error);
  here.module_version = kernel_module_version(proc_text.value_or(""));
  if (here.module_version.empty())
    here.module_version = first_line(read_text(root + "/sys/module/nvidia/version").value_or(""));
  here.nodes = find_nodes(root + "/dev");
  here.library_files = find_libraries(root);
  here.container_signs = find_container_signs(root, here);
  return here;
}

std::string kernel_module_version(std::string_view proc_text) {
  proc_text = proc_text.substr(0, proc_text.find('\n'));
  constexpr std::string_view before = "Kernel Module";
  const std::size_t start = proc_text.find(before);
  if (start == std::string_view::npos) return {};
  proc_text.remove_prefix(start + before.size());
  while (!proc_text.empty()) {
    const std::size_t skip = std::min(proc_text.find_first_not_of(' '), proc_text.size());
    proc_text.remove_prefix(skip);
    const std::string_view word = proc_text.substr(0, proc_text.find(' '));
    if (!word.empty() && word.find_first_not_of("0123456789.") == std::string_view::npos) return std::string(word);
    proc_text.remove_prefix(word.size());
  }
  return {};
}

std::string version_in_file_name(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (!name.starts_with(library_name) || name.size() <= library_name.size() + 1) return {};
  const std::string_view version = name.substr(library_name.size() + 1);
  return version.find('.') == std::string_view::npos ? std::string() : std::string(version);  // ".1" is the ABI
}

std::string mapped_driver_library(std::string_view maps_text) {
  while (!maps_text.empty()) {
    const std::string_view line = maps_text.substr(0, maps_text.find('\n'));
    maps_text.remove_prefix(std::min(line.size() + 1, maps_text.size()));
    const std::size_t slash = line.rfind('/');
    if (slash != std::string_view::npos && line.substr(slash + 1).starts_with(library_name))
      return std::string(line.substr(line.find('/')));
  }
  return {};
}

}  // namespace gputach
