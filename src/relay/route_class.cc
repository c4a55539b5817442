#include "relay/route_class.h"

#include <algorithm>
#include <array>

#include "relay/path_pattern.h"

namespace gputach::relay {
namespace {

struct Row {
  std::string_view pattern;
  RouteClass route;
};

// The first row that covers a path names it. A folder covers its own name too, so exceptions stand before it.
constexpr auto rows = std::to_array<Row>({
    {"/v1/chat/completions/render", RouteClass::tokenize},
    {"/v1/chat/completions/derender", RouteClass::tokenize},
    {"/v1/chat/completions/*", RouteClass::chat},
    {"/chat/completions", RouteClass::chat},
    {"/cohere/v2/chat", RouteClass::chat},
    {"/v1/completions", RouteClass::completions},
    {"/v1/completions/*", RouteClass::tokenize},
    {"/completions", RouteClass::completions},
    {"/completion", RouteClass::completions},
    {"/infill", RouteClass::completions},
    {"/generate", RouteClass::completions},
    {"/generate_stream", RouteClass::completions},
    {"/inference/v1/generate", RouteClass::completions},
    {"/v1/responses/*", RouteClass::responses},
    {"/v1/messages/count_tokens", RouteClass::tokenize},
    {"/v1/messages", RouteClass::messages},
    {"/v1/embeddings", RouteClass::embeddings},
    {"/embeddings", RouteClass::embeddings},
    {"/embedding", RouteClass::embeddings},
    {"/v2/embed", RouteClass::embeddings},
    {"/pooling", RouteClass::pooling},
    {"/classify", RouteClass::pooling},
    {"/v1/classify", RouteClass::pooling},
    {"/score", RouteClass::pooling},
    {"/v1/score", RouteClass::pooling},
    {"/generative_scoring", RouteClass::pooling},
    {"/rerank", RouteClass::pooling},
    {"/reranking", RouteClass::pooling},
    {"/v1/rerank", RouteClass::pooling},
    {"/v1/reranking", RouteClass::pooling},
    {"/v2/rerank", RouteClass::pooling},
    {"/v1/audio/*", RouteClass::audio},
    {"/v1/realtime", RouteClass::realtime},
    {"/v1/models/*", RouteClass::models},
    {"/models", RouteClass::models},
    {"/tokenize", RouteClass::tokenize},
    {"/detokenize", RouteClass::tokenize},
    {"/tokenizer_info", RouteClass::tokenize},
    {"/apply-template", RouteClass::tokenize},
    {"/health", RouteClass::health},
    {"/health_generate", RouteClass::health},
    {"/ping", RouteClass::health},
    {"/metrics/*", RouteClass::metrics},
});

}  // namespace

std::string_view to_string(RouteClass route) {
  switch (route) {
    case RouteClass::chat: return "chat";
    case RouteClass::completions: return "completions";
    case RouteClass::responses: return "responses";
    case RouteClass::messages: return "messages";
    case RouteClass::embeddings: return "embeddings";
    case RouteClass::pooling: return "pooling";
    case RouteClass::audio: return "audio";
    case RouteClass::realtime: return "realtime";
    case RouteClass::models: return "models";
    case RouteClass::tokenize: return "tokenize";
    case RouteClass::health: return "health";
    case RouteClass::metrics: return "metrics";
    case RouteClass::other: break;
  }
  return "other";
}

RouteClass route_class(std::string_view path) {
  const auto row = std::ranges::find_if(rows, [path](const Row& r) { return covers(r.pattern, path); });
  return row == rows.end() ? RouteClass::other : row->route;
}

}  // namespace gputach::relay
