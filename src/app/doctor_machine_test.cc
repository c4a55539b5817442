#include <cerrno>

#include "app/doctor_test_kit.h"

namespace gputach {

std::vector<Situation> machine_situations() {
  std::vector<Situation> all;
  all.push_back({"healthy", healthy(), {}});
  all.push_back({"a machine without GPU and driver",
                 changed(without_library(),
                         [](Findings& f) {
                           f.here = {};
                           f.here.pci_gpus.emplace();
                         }),
                 {{"hardware", bad, "no NVIDIA GPU", "that has one"},
                  {"library", bad, "No such file", "Install the NVIDIA driver"},
                  {"kernel_driver", bad, "not loaded", "once there is a GPU"}}});
  all.push_back({"a GPU without driver",
                 changed(without_library(),
                         [](Findings& f) {
                           f.here = {};
                           f.here.pci_gpus = std::vector<PciGpu>{{"0000:17:00.0", "nouveau"}};
                         }),
                 {{"hardware", bad, "belongs to the driver nouveau", "Bind 0000:17:00.0"},
                  {"library", bad, "No such file", "Install"},
                  {"kernel_driver", bad, "not loaded", "modprobe nvidia"}}});
  all.push_back({"library without kernel module",
                 changed(init_answers(Return::driver_not_loaded),
                         [](Findings& f) {
                           f.here.module_loaded = false;
                           f.here.module_version.clear();
                           f.here.nodes.clear();
                         }),
                 {{"kernel_driver", bad, "not loaded", "modprobe nvidia"},
                  {"driver_start", bad, "Driver Not Loaded (9)", "modprobe nvidia"}}});
  all.push_back(
      {"the library stands where the linker does not look",
       changed(without_library(),
               [](Findings& f) { f.here.library_files = {"/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1"}; }),
       {{"library", bad, "No such file", "--nvml-library /run/nvidia/driver/usr/lib64/libnvidia-ml.so.1"}}});
  all.push_back({"a wrong --nvml-library",
                 changed(without_library(), [](Findings& f) { f.library_path = "/nowhere"; }),
                 {{"library", bad, "not loaded", "Correct --nvml-library"}}});
  all.push_back({"nodes missing",
                 changed(init_answers(Return::unknown), [](Findings& f) { f.here.nodes.clear(); }),
                 {{"device_nodes", bad, "/dev/nvidiactl is missing", "nvidia-modprobe"},
                  {"driver_start", bad, "Unknown Error (999)", "dmesg"}}});
  all.push_back({"nodes that this user may not use",
                 changed(init_answers(Return::no_permission),
                         [](Findings& f) {
                           for (DeviceNode& n : f.here.nodes) {
                             n.refusal = EACCES;
                             n.mode = 0660;
                             n.group = 44;
                           }
                         }),
                 {{"device_nodes", bad, "nvidiactl: Permission denied (owner 0:44, mode 660)", "group 44"},
                  {"driver_start", bad, "Insufficient Permissions (4)", "device_nodes"}}});
  all.push_back({"one node of two that this user may not use",
                 changed(healthy(), [](Findings& f) { f.here.nodes.back().refusal = EACCES; }),
                 {{"device_nodes", doubtful, "nvidia1: Permission denied", "/dev/nvidia1"}}});
  all.push_back(
      {"library and module of two releases",
       changed(init_answers(Return::lib_rm_version_mismatch), [](Findings& f) { f.here.module_version = "570.86.10"; }),
       {{"version_match", bad, "580.105.08, kernel module 570.86.10", "reboot"},
        {"driver_start", bad, "(18)", "version_match"}}});
  all.push_back({"versions that do not say so, and yet differ",
                 init_answers(Return::lib_rm_version_mismatch),
                 {{"version_match", bad, "580.105.08", "Reload"}, {"driver_start", bad, "(18)", "version_match"}}});
  return all;
}

std::vector<Situation> container_situations() {
  const auto nothing_given = [](Findings& f) { f.here.nodes.clear(); };
  std::vector<Situation> all;
  all.push_back({"a healthy container", in_container(healthy(), {{"NVIDIA_VISIBLE_DEVICES", "all"}}), {}});
  all.push_back({"a healthy pod whose GPUs came by CDI", in_pod(healthy()), {}});
  all.push_back({"a container that asks for no GPU",
                 in_container(changed(without_library(), nothing_given)),
                 {{"library", bad, "No such file", "NVIDIA container runtime"},
                  {"device_nodes", bad, "missing", "docker run"},
                  {"container", bad, "no GPU is asked for", "docker run"}}});
  all.push_back({"a container that asks, without the runtime",
                 in_container(changed(without_library(), nothing_given), {{"NVIDIA_VISIBLE_DEVICES", "all"}}),
                 {{"library", bad, "No such file", "container runtime"},
                  {"device_nodes", bad, "missing", "docker run"},
                  {"container", bad, "asked for, and not given", "nvidia-ctk runtime configure"}}});
  all.push_back(
      {"a container without the capability utility",
       in_container(without_library(),
                    {{"NVIDIA_VISIBLE_DEVICES", "all"}, {"NVIDIA_DRIVER_CAPABILITIES", "compute,video"}}),
       {{"library", bad, "No such file", "Add utility"}, {"container", bad, "=compute,video", "Add utility"}}});
  all.push_back({"a pod without GPUs",
                 in_pod(changed(without_library(), nothing_given)),
                 {{"library", bad, "No such file", "ResourceClaim"},
                  {"device_nodes", bad, "missing", "ResourceClaim"},
                  {"container", bad, "no GPU is asked for", "runtimeClassName"},
                  {"pod_resources", bad, "no GPU", "device plugin"}}});
  all.push_back({"a container whose devices were revoked",
                 in_container(changed(init_answers(Return::unknown),
                                      [](Findings& f) {
                                        for (DeviceNode& n : f.here.nodes) n.refusal = EPERM;
                                      })),
                 {{"device_nodes", bad, "Operation not permitted", "Restart the container"},
                  {"driver_start", bad, "(999)", "Restart the container"}}});
  all.push_back({"a folder where a device should be",
                 in_container(changed(init_answers(Return::unknown),
                                      [](Findings& f) { f.here.nodes.back().kind = DeviceNode::Kind::other; })),
                 {{"device_nodes", bad, "nvidia1 is not a device", "Remove"},
                  {"driver_start", bad, "(999)", "Restart the container"}}});
  all.push_back({"no GPUs in a pod", in_pod(no_gpus()), {{"gpus", bad, "0 GPUs", "nvidia.com/gpu"}}});
  return all;
}

}  // namespace gputach
