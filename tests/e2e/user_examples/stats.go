package main

import (
    "encoding/json"
    "fmt"
    "net/http"
    "time"
)

type GPUStats struct {
    Timestamp time.Time `json:"timestamp"`
    GPUs      []struct {
        Index         int     `json:"index"`
        Utilization   float64 `json:"utilization_percent"`
        Temperature   int     `json:"temperature_c"`
        MemoryUsed    int64   `json:"memory_used_mb"`
        MemoryTotal   int64   `json:"memory_total_mb"`
    } `json:"gpus"`
}

func getGPUStats() (*GPUStats, error) {
    resp, err := http.Get("http://localhost:8080/proxy/stats")
    if err != nil {
        return nil, err
    }
    defer resp.Body.Close()

    var stats GPUStats
    if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil {
        return nil, err
    }

    cacheStatus := resp.Header.Get("X-Cache")
    fmt.Printf("Cache: %s\n", cacheStatus)

    return &stats, nil
}

func main() {
    ticker := time.NewTicker(1 * time.Second)
    defer ticker.Stop()

    for range ticker.C {
        stats, err := getGPUStats()
        if err != nil {
            fmt.Printf("Error: %v\n", err)
            continue
        }

        for _, gpu := range stats.GPUs {
            fmt.Printf("GPU %d: %.1f%% @ %d°C\n",
                gpu.Index, gpu.Utilization, gpu.Temperature)
        }
    }
}
