// Fetch GPU stats every second
async function fetchGPUStats() {
  const response = await fetch('http://vllm-chill:8080/proxy/stats');
  const data = await response.json();

  console.log('GPU Stats:', data);
  console.log('Cache:', response.headers.get('X-Cache'));

  return data;
}

// Poll every second
setInterval(fetchGPUStats, 1000);
