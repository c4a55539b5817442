#include "relay/path_presets.h"

#include <array>

namespace gputach::relay {
namespace {

constexpr PathDecision allow = PathDecision::allow;
constexpr PathDecision deny = PathDecision::deny;

// vLLM asks for its key (--api-key) below /v1, /v2, /inference and /cohere, and nowhere else.
constexpr auto vllm_safe = std::to_array<PathPresetRow>({
    {"/v1/load_lora_adapter", deny, "changes the engine: loads weights from a path that the caller names"},
    {"/v1/unload_lora_adapter", deny, "changes the engine: takes a model away from those who use it"},
    {"/v1/*", allow, "the API that clients are meant to use; guarded by the engine's key"},
    {"/v2/*", allow, "embeddings and ranks in Cohere's form; guarded by the engine's key"},
    {"/inference/*", allow, "tokens in, tokens out; guarded by the engine's key"},
    {"/cohere/*", allow, "chat in Cohere's form; guarded by the engine's key"},

    {"/invocations", deny, "the same inference as /v1, without the key"},
    {"/generative_scoring", deny, "inference without the key"},
    {"/pooling", deny, "inference without the key"},
    {"/classify", deny, "inference without the key"},
    {"/score", deny, "inference without the key; /v1/score asks for it"},
    {"/rerank", deny, "inference without the key; /v1/rerank asks for it"},

    {"/tokenize", deny, "work on texts of any length without the key, on the processor that also streams tokens"},
    {"/detokenize", deny, "as /tokenize"},
    {"/tokenizer_info", deny, "tells the chat template, which may hold a system prompt, without the key"},

    {"/pause", deny, "stops all generation"},
    {"/resume", deny, "undoes what an operator stopped"},
    {"/is_paused", deny, "belongs to /pause; of no use to clients"},
    {"/sleep", deny, "takes the model off the GPU"},
    {"/wake_up", deny, "puts the model back while others may use the memory"},
    {"/is_sleeping", deny, "belongs to /sleep; of no use to clients"},
    {"/abort_requests", deny, "ends other clients' requests"},
    {"/collective_rpc", deny, "calls any method of the workers by name"},
    {"/server_info", deny, "tells the whole configuration and environment"},
    {"/reset_prefix_cache", deny, "makes everyone's next prompt slow, or their running requests start again"},
    {"/reset_mm_cache", deny, "makes everyone's next image slow"},
    {"/reset_encoder_cache", deny, "makes everyone's next image slow"},

    {"/init_weight_transfer_engine", deny, "makes the workers connect to where the caller says"},
    {"/start_weight_update", deny, "begins to replace the weights"},
    {"/start_draft_weight_update", deny, "begins to replace the weights of the draft model"},
    {"/update_weights", deny, "replaces the weights"},
    {"/finish_weight_update", deny, "puts replaced weights into use"},
    {"/get_world_size", deny, "belongs to weight updates; of no use to clients"},

    {"/start_profile", deny, "slows every request and fills a disk"},
    {"/stop_profile", deny, "belongs to /start_profile"},
    {"/scale_elastic_ep", deny, "adds or removes GPUs; requests get 503 meanwhile"},
    {"/is_scaling_elastic_ep", deny, "belongs to /scale_elastic_ep; of no use to clients"},
    {"/fault_tolerance/*", deny, "tells which ranks failed, and acts on them"},

    {"/health", allow, "probes and load balancers ask it; an empty body"},
    {"/ping", allow, "the same under SageMaker's name"},
    {"/version", allow, "one version string, which support asks for first"},
    {"/load", allow, "one number, for load balancers"},
    {"/metrics*", allow, "scraped by Prometheus, and served for all that begins so; no prompt or key is in it"},
    {"/docs", allow, "the published description of the API"},
    {"/redoc", allow, "the published description of the API"},
    {"/openapi.json", allow, "the published description of the API"},
});

}  // namespace

std::span<const PathPresetRow> path_preset(std::string_view name) {
  if (name == "vllm-safe") return vllm_safe;
  return {};
}

}  // namespace gputach::relay
