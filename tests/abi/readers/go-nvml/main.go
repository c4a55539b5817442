// Prints everything that gputach asks of the driver, as the Go binding go-nvml understands it: the same JSON as
// ../read_with_pynvml.py.
//
// usage: go-nvml LIBRARY
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

const migSlotsMax = 16

type page map[string]any

func refused(code nvml.Return) page { return page{"return": int(code)} }

// answer is the value, or the code of the refusal.
func answer(value any, code nvml.Return) any {
	if code != nvml.SUCCESS {
		return refused(code)
	}
	return value
}

func readMemory(device nvml.Device, out page) {
	v1, code := device.GetMemoryInfo()
	out["nvmlDeviceGetMemoryInfo"] = answer(page{"total": v1.Total, "free": v1.Free, "used": v1.Used}, code)
	v2, code := device.GetMemoryInfo_v2()
	out["nvmlDeviceGetMemoryInfo_v2"] =
		answer(page{"total": v2.Total, "reserved": v2.Reserved, "free": v2.Free, "used": v2.Used}, code)
}

func readIdentity(device nvml.Device, out page) {
	name, code := device.GetName()
	out["nvmlDeviceGetName"] = answer(name, code)
	uuid, code := device.GetUUID()
	out["nvmlDeviceGetUUID"] = answer(uuid, code)
}

func readInstance(parent nvml.Device, slot int) page {
	device, code := parent.GetMigDeviceHandleByIndex(slot)
	if code != nvml.SUCCESS {
		return refused(code)
	}
	out := page{}
	readIdentity(device, out)
	readMemory(device, out)
	return out
}

func readTemperature(device nvml.Device, out page) {
	versioned, code := device.GetTemperatureV().V1()
	out["nvmlDeviceGetTemperatureV"] = answer(versioned.Temperature, code)
	plain, code := device.GetTemperature(nvml.TEMPERATURE_GPU)
	out["nvmlDeviceGetTemperature"] = answer(plain, code)
}

func readLoad(device nvml.Device, out page) {
	rates, code := device.GetUtilizationRates()
	out["nvmlDeviceGetUtilizationRates"] = answer(page{"gpu": rates.Gpu, "memory": rates.Memory}, code)
	share, period, code := device.GetEncoderUtilization()
	out["nvmlDeviceGetEncoderUtilization"] = answer(page{"utilization": share, "period_us": period}, code)
	share, period, code = device.GetDecoderUtilization()
	out["nvmlDeviceGetDecoderUtilization"] = answer(page{"utilization": share, "period_us": period}, code)
	fan, code := device.GetFanSpeed()
	out["nvmlDeviceGetFanSpeed"] = answer(fan, code)
}

func readPower(device nvml.Device, out page) {
	power, code := device.GetPowerUsage()
	out["nvmlDeviceGetPowerUsage"] = answer(power, code)
	limit, code := device.GetPowerManagementLimit()
	out["nvmlDeviceGetPowerManagementLimit"] = answer(limit, code)
	limit, code = device.GetEnforcedPowerLimit()
	out["nvmlDeviceGetEnforcedPowerLimit"] = answer(limit, code)
}

func readMig(device nvml.Device, out page) {
	current, pending, code := device.GetMigMode()
	out["nvmlDeviceGetMigMode"] = answer(page{"current": current, "pending": pending}, code)
	slots, code := device.GetMaxMigDeviceCount()
	out["nvmlDeviceGetMaxMigDeviceCount"] = answer(slots, code)
	if code != nvml.SUCCESS {
		slots = 0
	}
	instances := []page{}
	for slot := 0; slot < slots && slot < migSlotsMax; slot++ {
		instances = append(instances, readInstance(device, slot))
	}
	out["instances"] = instances
}

func readGpu(library nvml.Interface, index int) page {
	device, code := library.DeviceGetHandleByIndex(index)
	if code != nvml.SUCCESS {
		return refused(code)
	}
	out := page{}
	readIdentity(device, out)
	readMemory(device, out)
	readTemperature(device, out)
	readLoad(device, out)
	readPower(device, out)
	readMig(device, out)
	return out
}

func readLibrary(library nvml.Interface) page {
	if code := library.Init(); code != nvml.SUCCESS {
		return page{"init": refused(code)}
	}
	out := page{"init": 0}
	driver, code := library.SystemGetDriverVersion()
	out["nvmlSystemGetDriverVersion"] = answer(driver, code)
	version, code := library.SystemGetNVMLVersion()
	out["nvmlSystemGetNVMLVersion"] = answer(version, code)
	count, code := library.DeviceGetCount()
	out["nvmlDeviceGetCount"] = answer(count, code)
	texts := page{"999": library.ErrorString(999)}
	for code := nvml.Return(0); code <= 30; code++ {
		texts[strconv.Itoa(int(code))] = library.ErrorString(code)
	}
	out["texts"] = texts
	gpus := []page{}
	for index := 0; index < count; index++ {
		gpus = append(gpus, readGpu(library, index))
	}
	out["gpus"] = gpus
	out["shutdown"] = answer(0, library.Shutdown())
	return out
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-nvml LIBRARY")
		os.Exit(2)
	}
	encoder := json.NewEncoder(os.Stdout)
	if err := encoder.Encode(readLibrary(nvml.New(nvml.WithLibraryPath(os.Args[1])))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
