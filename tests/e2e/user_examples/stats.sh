# Basic request
curl http://localhost:8080/proxy/stats

# With pretty printing
curl http://localhost:8080/proxy/stats | jq .

# Check cache status
curl -v http://localhost:8080/proxy/stats 2>&1 | grep X-Cache
