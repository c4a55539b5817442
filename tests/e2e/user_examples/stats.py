import requests
import time

def get_gpu_stats():
    response = requests.get('http://localhost:8080/proxy/stats')
    data = response.json()
    cache_status = response.headers.get('X-Cache', 'UNKNOWN')

    print(f"Cache: {cache_status}")
    for gpu in data['gpus']:
        print(f"GPU {gpu['index']}: {gpu['utilization_percent']}% @ {gpu['temperature_c']}°C")

    return data

# Poll every second
while True:
    get_gpu_stats()
    time.sleep(1)
