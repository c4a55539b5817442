#include <cerrno>
#include <cstdio>
#include <cstring>

#include "app/doctor_judge.h"

// The checks that look at the machine around the driver.
namespace gputach::checks {
namespace {

constexpr const char* nothing_real = "the simulated driver needs none";

// The remedy for whoever has to give a container its GPUs.
std::string give_gpus(const Surroundings& here) {
  if (here.in_pod())
    return "Give this container the engine's GPUs: name the engine's ResourceClaim in its resources.claims, or set "
           "runtimeClassName: nvidia on the pod with NVIDIA_VISIBLE_DEVICES=all and "
           "NVIDIA_DRIVER_CAPABILITIES=utility here; the engine requests nvidia.com/gpu, this container does not.";
  return "Start the container with the NVIDIA container runtime and the capability utility, for example docker run "
         "--gpus 'all,capabilities=utility'.";
}

// Holds the capability that brings the library; an unset variable means utility and compute.
bool has_utility(const Surroundings& here) {
  const std::string* const capabilities = here.variable("NVIDIA_DRIVER_CAPABILITIES");
  if (capabilities == nullptr || capabilities->empty()) return true;
  const std::string list = "," + *capabilities + ",";
  return list.find(",utility,") != std::string::npos || list.find(",all,") != std::string::npos;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

std::string with_variables(const Surroundings& here) {
  std::string text;
  for (const char* const name : {"NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"}) {
    const std::string* const value = here.variable(name);
    text += std::string(", ") + name + (value == nullptr ? " unset" : "=" + *value);
  }
  return text;
}

bool knows_kernel_driver(const Surroundings& here) {
  return here.module_loaded || here.in_wsl();
}

// "nvidia0: Permission denied (owner 0:44, mode 660)"
std::string describe_refusal(const DeviceNode& node) {
  if (node.kind != DeviceNode::Kind::device) return node.name + " is not a device";
  char mode[16];
  std::snprintf(mode, sizeof mode, "%03o", static_cast<unsigned>(node.mode));
  return node.name + ": " + std::strerror(node.refusal) + " (owner " + std::to_string(node.owner) + ":" +
         std::to_string(node.group) + ", mode " + mode + ")";
}

std::string remedy_for_refusal(const DeviceNode& node, const Surroundings& here) {
  if (node.kind != DeviceNode::Kind::device)
    return "Remove what stands at /dev/" + node.name +
           " and start the container with the NVIDIA container runtime "
           "instead of a volume.";
  // The permission bits would say EACCES; EPERM comes from the device cgroup.
  if (node.refusal == EPERM)
    return "Restart the container: its device cgroup does not (or no longer, typically after systemctl daemon-reload) "
           "allow /dev/" +
           node.name + ".";
  const std::string group = std::to_string(node.group);
  if (here.in_pod()) return "Add group " + group + " to the pod's securityContext.supplementalGroups.";
  if (here.in_container()) return "Start the container with --group-add " + group + ".";
  return "Let user " + std::to_string(here.user) + " read and write /dev/" + node.name +
         ", for example by adding it to "
         "group " +
         group + ".";
}

std::string library_remedy(const Findings& f) {
  if (!f.library_path.empty()) return "Correct --nvml-library, or leave it out so that the installed driver is used.";
  if (f.here.in_container() && !has_utility(f.here))
    return "Add utility to NVIDIA_DRIVER_CAPABILITIES, which is " + *f.here.variable("NVIDIA_DRIVER_CAPABILITIES") +
           ": without it the container runtime leaves the library out.";
  if (!f.here.library_files.empty())
    return "Try --nvml-library " + f.here.library_files.front() +
           ", which is there; if it cannot be loaded either, install the driver again.";
  if (f.here.in_container() && knows_kernel_driver(f.here)) return give_gpus(f.here);
  if (f.here.in_container()) return "Install the NVIDIA driver on the node, then start the container anew.";
  return "Install the NVIDIA driver with its management library (Debian: libnvidia-ml1, or NVIDIA's own installer).";
}

}  // namespace

Check hardware(const Findings& f) {
  if (f.probe.simulated) return skipped(nothing_real);
  if (f.here.in_wsl()) return ok("Windows Subsystem for Linux: /dev/dxg stands for the GPU");
  if (!f.here.pci_gpus) return skipped("the PCI bus cannot be seen");
  const std::vector<PciGpu>& gpus = *f.here.pci_gpus;
  if (gpus.empty()) {
    if (f.probe.opened) return ok("no GPU on the PCI bus; the driver has some all the same");
    return failed("no NVIDIA GPU on the PCI bus", "Run gputach on a machine (a node, a virtual machine) that has one.");
  }
  std::string found = std::to_string(gpus.size()) + " on the PCI bus";
  for (const PciGpu& gpu : gpus) {
    if (gpu.driver.empty() || gpu.driver == "nvidia") continue;
    return failed(found + ", and " + gpu.address + " belongs to the driver " + gpu.driver,
                  "Bind " + gpu.address + " to the driver nvidia, unless it is meant for a virtual machine.");
  }
  return ok(std::move(found));
}

Check library(const Findings& f) {
  const ProbeReport& probe = f.probe;
  if (!probe.loaded) {
    if (probe.end == ProbeReport::End::hung)
      return failed("loading it does not end", "Look for an overloaded or vanished file system below the library.");
    if (probe.end == ProbeReport::End::died)
      return failed("loading it ends the process", "Install the driver again: the file is damaged or not NVIDIA's.");
    return failed("not loaded: " + probe.complaint, library_remedy(f));
  }
  const std::string version = version_in_file_name(probe.library_file);
  std::string found = probe.library_file + (version.empty() ? "" : ", version " + version);
  if (probe.simulated)
    return warning(found + ", simulated", "Leave out --nvml-library to read real GPUs: these figures are invented.");
  return ok(std::move(found));
}

Check kernel_driver(const Findings& f) {
  if (f.probe.simulated) return skipped(nothing_real);
  if (f.here.module_loaded)
    return ok("nvidia " + (f.here.module_version.empty() ? "of unknown version" : f.here.module_version) +
              " is loaded");
  if (f.here.in_wsl()) return ok("Windows Subsystem for Linux: the driver is that of Windows");
  if (f.probe.started()) return ok("not to be seen from here; the driver has started all the same");
  const bool gpus = f.here.pci_gpus && !f.here.pci_gpus->empty();
  const std::string where = f.here.in_container() ? " on the node" : "";
  return failed(
      "the kernel module nvidia is not loaded",
      gpus ? "Run modprobe nvidia" + where + "; if there is no such module, install the driver for this kernel."
           : "Install the NVIDIA driver" + where + " once there is a GPU.");
}

Check version_match(const Findings& f) {
  if (f.probe.simulated) return skipped(nothing_real);
  const std::string library = version_in_file_name(f.probe.library_file);
  const std::string& module = f.here.module_version;
  const std::string both = "library " + (library.empty() ? "of unknown version" : library) + ", kernel module " +
                           (module.empty() ? "of unknown version" : module);
  const bool refused = f.probe.init == nvml::Return::lib_rm_version_mismatch;
  const bool known = !library.empty() && !module.empty();
  if (refused || (known && library != module && !f.probe.started())) {
    if (f.here.in_container())
      return failed(both,
                    "Start the container anew, so that it gets the node's library; if that does not help, reload "
                    "the kernel module on the node or reboot it.");
    return failed(both,
                  "Reload the kernel module (end what uses the GPUs, then rmmod and modprobe nvidia) or reboot: "
                  "the driver was replaced while it was in use.");
  }
  if (f.probe.started()) return ok(both);
  if (!known) return skipped(both);
  return ok(both);
}

Check device_nodes(const Findings& f) {
  if (f.probe.simulated) return skipped(nothing_real);
  const Surroundings& here = f.here;
  if (!knows_kernel_driver(here) && here.nodes.empty()) {
    if (f.probe.started()) return ok("none under /dev; the driver has started all the same");
    return skipped("without a kernel driver there are none (see kernel_driver)");
  }
  const std::vector<const DeviceNode*> gpus = here.gpu_nodes();
  const bool complete = here.in_wsl() || (here.node("nvidiactl") != nullptr && !gpus.empty());
  if (!complete && !f.probe.opened) {
    const std::string missing = here.node("nvidiactl") == nullptr ? "/dev/nvidiactl" : "/dev/nvidia0 and so on";
    return failed(missing + " is missing", here.in_container() ? give_gpus(here)
                                                               : "Run nvidia-modprobe -c 0 -u (or nvidia-smi) as root, "
                                                                 "which makes the nodes.");
  }
  std::vector<std::string> usable;
  std::string refused;
  const DeviceNode* first_refused = nullptr;
  bool needed_refused = false;
  for (const DeviceNode& node : here.nodes) {
    if (node.usable()) {
      usable.push_back(node.name);
      continue;
    }
    const bool capability = node.name.starts_with("nvidia-caps/");  // for MIG alone, and readable by root alone
    if (capability) continue;
    refused += (refused.empty() ? "" : "; ") + describe_refusal(node);
    if (first_refused == nullptr) first_refused = &node;
    needed_refused = needed_refused || !f.probe.opened;
  }
  if (first_refused == nullptr) return ok(joined(usable));
  std::string remedy = remedy_for_refusal(*first_refused, here);
  return needed_refused ? failed(refused, std::move(remedy)) : warning(refused, std::move(remedy));
}

Check container(const Findings& f) {
  if (f.probe.simulated) return skipped(nothing_real);
  const Surroundings& here = f.here;
  if (!here.in_container()) return ok("no sign of a container");
  const std::string found = "in one (" + joined(here.container_signs) + ")" + with_variables(here);
  if (f.probe.opened) {
    if (has_utility(here)) return ok(found);
    return warning(found,
                   "Add utility to NVIDIA_DRIVER_CAPABILITIES: other runtimes leave the library out without it.");
  }
  if (!has_utility(here))
    return failed(found, "Add utility to NVIDIA_DRIVER_CAPABILITIES: without it the library is left out.");
  if (!here.node("nvidiactl") && !here.in_wsl()) {
    if (!here.module_loaded)
      return skipped("the machine has no driver that could be given (see kernel_driver); " + found);
    const std::string* const devices = here.variable("NVIDIA_VISIBLE_DEVICES");
    const bool asks = devices != nullptr && !devices->empty() && *devices != "none" && *devices != "void";
    if (!asks) return failed(found + ": no GPU is asked for", give_gpus(here));
    return failed(found + ": asked for, and not given",
                  "Let the container run with the NVIDIA runtime (nvidia-ctk runtime configure; in Kubernetes "
                  "runtimeClassName: nvidia), which must accept NVIDIA_VISIBLE_DEVICES from unprivileged containers.");
  }
  return ok(found);
}

Check pod_resources(const Findings& f) {
  if (!f.here.in_pod()) return skipped("not in a Kubernetes pod");
  if (f.probe.simulated) return skipped(nothing_real);
  const std::size_t nodes = f.here.gpu_nodes().size();
  if (f.probe.opened) return ok("GPUs that the driver shows in this container: " + std::to_string(f.probe.gpus));
  if (nodes > 0) return ok("GPU nodes in this container: " + std::to_string(nodes));
  return failed("this container was given no GPU",
                give_gpus(f.here) +
                    " The node must list nvidia.com/gpu as allocatable (kubectl describe node), else its "
                    "device plugin does not run.");
}

}  // namespace gputach::checks
