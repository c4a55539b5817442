#include "app/doctor_surroundings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace gputach {
namespace {

namespace fs = std::filesystem;

const Environment nothing_set = [](const char*) -> const char* { return nullptr; };

// A machine made of files.
class FakeMachine {
 public:
  FakeMachine() {
    std::string pattern = fs::temp_directory_path() / "gputach-machine-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
  }
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;
  ~FakeMachine() {
    std::error_code error;
    fs::remove_all(root_, error);
  }

  void file(const std::string& path, const std::string& text = {}) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void gpu(const std::string& address, const std::string& driver) const {
    const std::string folder = "/sys/bus/pci/devices/" + address;
    file(folder + "/vendor", "0x10de\n");
    file(folder + "/class", "0x030200\n");
    if (!driver.empty()) fs::create_symlink("../../../bus/pci/drivers/" + driver, root_ + folder + "/driver");
  }
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  std::string root_;
};

TEST(DoctorSurroundings, AnEmptyMachineShowsNothing) {
  const FakeMachine machine;
  const Surroundings here = look_around(machine.root(), nothing_set);
  EXPECT_FALSE(here.pci_gpus) << "a bus that cannot be seen is not a bus without GPUs";
  EXPECT_FALSE(here.module_loaded);
  EXPECT_TRUE(here.nodes.empty());
  EXPECT_TRUE(here.library_files.empty());
  EXPECT_FALSE(here.in_container());
  EXPECT_FALSE(here.in_pod());
  EXPECT_FALSE(here.in_wsl());
}

TEST(DoctorSurroundings, GpusOnTheBusAreThoseOfNvidiaThatDisplayOrCompute) {
  const FakeMachine machine;
  machine.gpu("0000:3d:00.0", "vfio-pci");
  machine.gpu("0000:17:00.0", "");
  machine.file("/sys/bus/pci/devices/0000:17:00.1/vendor", "0x10de\n");  // a GPU's sound function
  machine.file("/sys/bus/pci/devices/0000:17:00.1/class", "0x040300\n");
  machine.file("/sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n");
  machine.file("/sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n");
  const Surroundings here = look_around(machine.root(), nothing_set);
  ASSERT_TRUE(here.pci_gpus);
  ASSERT_EQ(here.pci_gpus->size(), 2U);
  EXPECT_EQ((*here.pci_gpus)[0].address, "0000:17:00.0");
  EXPECT_EQ((*here.pci_gpus)[0].driver, "");
  EXPECT_EQ((*here.pci_gpus)[1].driver, "vfio-pci");
}

TEST(DoctorSurroundings, TheKernelModuleIsKnownByEitherFile) {
  const FakeMachine by_proc;
  by_proc.file("/proc/driver/nvidia/version",
               "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build\nGCC version: 12\n");
  EXPECT_EQ(look_around(by_proc.root(), nothing_set).module_version, "580.105.08");
  EXPECT_TRUE(look_around(by_proc.root(), nothing_set).module_loaded);
  const FakeMachine by_sys;
  by_sys.file("/sys/module/nvidia/version", "535.104.05\n");
  EXPECT_EQ(look_around(by_sys.root(), nothing_set).module_version, "535.104.05");
  EXPECT_TRUE(look_around(by_sys.root(), nothing_set).module_loaded);
}

TEST(DoctorSurroundings, NodesStandInTheOrderOfTheirNumbersAndOthersAreLeftOut) {
  const FakeMachine machine;
  for (const char* const name : {"nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "null",
                                 "nvidia-caps/nvidia-cap2", "nvidia-caps/nvidia-cap1", "nvidia-caps/other"})
    machine.file(std::string("/dev/") + name);
  ASSERT_EQ(::chmod((machine.root() + "/dev/nvidia2").c_str(), 0640), 0);
  const Surroundings here = look_around(machine.root(), nothing_set);
  std::vector<std::string> names;
  names.reserve(here.nodes.size());
  for (const DeviceNode& node : here.nodes) names.push_back(node.name);
  EXPECT_THAT(names, testing::ElementsAre("nvidiactl", "nvidia2", "nvidia10", "nvidia-caps/nvidia-cap1",
                                          "nvidia-caps/nvidia-cap2"));
  EXPECT_EQ(here.gpu_nodes().size(), 2U);
  EXPECT_EQ(here.node("nvidia2")->mode, 0640U);
  EXPECT_EQ(here.node("nvidia2")->kind, DeviceNode::Kind::other) << "a file is not a device";
  EXPECT_FALSE(here.node("nvidia2")->usable());
}

TEST(DoctorSurroundings, ARealDeviceIsUsable) {
  const FakeMachine machine;
  fs::create_directories(machine.root() + "/dev");
  fs::create_symlink("/dev/null", machine.root() + "/dev/nvidiactl");
  const Surroundings here = look_around(machine.root(), nothing_set);
  ASSERT_NE(here.node("nvidiactl"), nullptr);
  EXPECT_TRUE(here.node("nvidiactl")->usable());
}

TEST(DoctorSurroundings, AContainerIsKnownByEachOfItsSigns) {
  EXPECT_FALSE(look_around(FakeMachine().root(), nothing_set).in_container());
  for (const char* const file : {"/.dockerenv", "/run/.containerenv"}) {
    const FakeMachine machine;
    machine.file(file);
    EXPECT_THAT(look_around(machine.root(), nothing_set).container_signs, testing::ElementsAre(file));
  }
  const FakeMachine by_group;
  by_group.file("/proc/self/cgroup", "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-2.scope\n");
  EXPECT_THAT(look_around(by_group.root(), nothing_set).container_signs, testing::ElementsAre("cgroup kubepods"));
  const FakeMachine plain;
  plain.file("/proc/self/cgroup", "0::/user.slice/user-1000.slice/session-1.scope\n");
  EXPECT_FALSE(look_around(plain.root(), nothing_set).in_container());
  const Surroundings pod = look_around(plain.root(), [](const char* name) -> const char* {
    return std::string_view(name) == "KUBERNETES_SERVICE_HOST" ? "10.0.0.1" : nullptr;
  });
  EXPECT_TRUE(pod.in_container());
  EXPECT_TRUE(pod.in_pod());
}

TEST(DoctorSurroundings, CopiesOfTheLibraryAreFoundWhereTheLinkerDoesNotLook) {
  const FakeMachine machine;
  machine.file("/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1");
  EXPECT_THAT(look_around(machine.root(), nothing_set).library_files,
              testing::ElementsAre("/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1"));
}

TEST(DoctorSurroundings, VersionsAreReadFromTextsAndNames) {
  EXPECT_EQ(kernel_module_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15"),
            "535.104.05");
  EXPECT_EQ(kernel_module_version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65"), "580.65");
  for (const char* const text : {"", "Kernel Module", "Kernel Module   ", "no version 535.104.05"})
    EXPECT_EQ(kernel_module_version(text), "") << text;
  EXPECT_EQ(version_in_file_name("/usr/lib64/libnvidia-ml.so.580.105.08"), "580.105.08");
  for (const char* const path : {"", "/x/libnvidia-ml.so.1", "/x/libnvidia-ml.so", "/x/libcuda.so.580.105.08"})
    EXPECT_EQ(version_in_file_name(path), "") << path;
}

TEST(DoctorSurroundings, TheLoadedLibraryIsFoundAmongTheMappings) {
  constexpr const char* maps =
      "55d0-55d1 r--p 00000000 08:01 131 /usr/bin/gputach\n"
      "7f00-7f01 r--p 00000000 08:01 132 /usr/lib/with a space/libnvidia-ml.so.580.105.08\n"
      "7f02-7f03 rw-p 00000000 00:00 0 \n";
  EXPECT_EQ(mapped_driver_library(maps), "/usr/lib/with a space/libnvidia-ml.so.580.105.08");
  EXPECT_EQ(mapped_driver_library("55d0-55d1 r--p 00000000 08:01 131 /usr/bin/gputach"), "");
  EXPECT_EQ(mapped_driver_library(""), "");
}

}  // namespace
}  // namespace gputach
