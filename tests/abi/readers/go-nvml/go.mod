module gputach/tests/abi/readers/go-nvml

go 1.19

require github.com/NVIDIA/go-nvml v0.13.4-1
