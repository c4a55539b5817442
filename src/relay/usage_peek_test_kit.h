// Purpose: bodies in the forms in which engines send them, each with what is to be read in it.
// Owns: values.
// Threads: any.
// Source: the answers of vLLM 0.27, llama.cpp's server, and OpenAI's, Anthropic's and Cohere's published interfaces.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "relay/usage_peek.h"

namespace gputach::relay {

struct Seen {
  std::size_t returned = 0;  // the sum of what feed() returned
  std::uint64_t events = 0;
  std::uint64_t content_events = 0;
  Usage usage;
  std::string model;
  bool has_error = false;
  bool is_complete = false;

  bool operator==(const Seen&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Seen& seen) {
  return out << seen.events << " events, " << seen.content_events << " with content, returned " << seen.returned
             << ", prompt " << seen.usage.prompt_tokens.value_or(0) << ", completion "
             << seen.usage.completion_tokens.value_or(0) << ", model '" << seen.model << "'"
             << (seen.has_error ? ", error" : "") << (seen.is_complete ? ", complete" : "");
}

struct Golden {
  const char* name;
  BodyForm form;
  std::string body;
  Seen seen;
};

// clang-format off: events are lines, however long.

inline std::vector<Golden> openai_streams() {
  return {
      {"chat of vLLM with usage",
       BodyForm::event_stream,
       R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"org/m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"org/m","choices":[{"index":0,"delta":{"content":"Hel"},"logprobs":null,"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"org/m","choices":[{"index":0,"delta":{"content":"lo \"usage\":{\"prompt_tokens\":9999}"},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"org/m","choices":[],"usage":{"prompt_tokens":12,"total_tokens":14,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":7}}}

data: [DONE]

)",
       {2, 5, 2, {12, 2}, "org/m", false, true}},
      {"chat with running usage, reasoning and a tool call",
       BodyForm::event_stream,
       R"(data: {"model":"m","choices":[{"delta":{"role":"assistant","content":null,"reasoning_content":"Hm"}}],"usage":{"prompt_tokens":5,"completion_tokens":1}}

data: {"model":"m","choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"get","arguments":""}}]}}],"usage":{"prompt_tokens":5,"completion_tokens":4}}

data: {"model":"m","choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}}],"usage":{"prompt_tokens":5,"completion_tokens":6}}

data: [DONE]

)",
       {3, 4, 3, {5, 6}, "m", false, true}},
      {"completions of vLLM",
       BodyForm::event_stream,
       R"(data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":" a","logprobs":null,"finish_reason":null}]}

data: {"id":"cmpl-1","object":"text_completion","created":1,"model":"m","choices":[{"index":0,"text":"","finish_reason":"length"}]}

data: [DONE]

)",
       {1, 3, 1, {}, "m", false, true}},
      {"an error inside a stream that began with 200",
       BodyForm::event_stream,
       R"(data: {"model":"m","choices":[{"delta":{"content":"x"}}]}

data: {"error": {"message": "engine died", "type": "InternalServerError", "param": null, "code": 500}}

data: [DONE]

)",
       {1, 3, 1, {}, "m", true, true}},
      {"a stream that was cut off",
       BodyForm::event_stream,
       "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"con",
       {1, 1, 1, {}, "m", false, false}},
  };
}

inline std::vector<Golden> other_streams() {
  return {
      {"responses",
       BodyForm::event_stream,
       R"(event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","model":"m","error":null,"usage":null}}

event: response.output_text.delta
data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","delta":"Hi"}

event: response.output_text.done
data: {"type":"response.output_text.done","sequence_number":5,"item_id":"msg_1","text":"Hi"}

event: response.completed
data: {"type":"response.completed","sequence_number":9,"response":{"id":"resp_1","model":"m","error":null,"usage":{"input_tokens":31,"input_tokens_details":{"cached_tokens":16},"output_tokens":7,"total_tokens":38}}}

)",
       {1, 4, 1, {31, 7}, "m", false, true}},
      {"messages",
       BodyForm::event_stream,
       R"(event: message_start
data: {"type":"message_start","message":{"id":"msg_1","content":[],"model":"m","stop_reason":null,"usage":{"input_tokens":20,"output_tokens":0}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}

event: message_stop
data: {"type":"message_stop"}

)",
       {1, 6, 1, {20, 15}, "m", false, true}},
      {"chat of Cohere",
       BodyForm::event_stream,
       R"(event: content-delta
data: {"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"Hi"}}}}

event: message-end
data: {"type":"message-end","delta":{"finish_reason":"COMPLETE","usage":{"tokens":{"input_tokens":3,"output_tokens":1}}}}

data: [DONE]

)",
       {1, 3, 1, {3, 1}, "", false, true}},
  };
}

inline std::vector<Golden> llama_and_odd_streams() {
  return {
      {"chat of llama.cpp, with timings",
       BodyForm::event_stream,
       R"(data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1,"id":"chatcmpl-1","model":"gpt-3.5-turbo","system_fingerprint":"b1","object":"chat.completion.chunk"}

data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"A"}}],"created":1,"id":"chatcmpl-1","model":"gpt-3.5-turbo","object":"chat.completion.chunk"}

data: {"choices":[],"created":1,"id":"chatcmpl-1","model":"gpt-3.5-turbo","object":"chat.completion.chunk","usage":{"completion_tokens":1,"prompt_tokens":26,"total_tokens":27},"timings":{"prompt_n":26,"prompt_ms":17.1,"predicted_n":1}}

data: [DONE]

)",
       {1, 4, 1, {26, 1}, "gpt-3.5-turbo", false, true}},
      {"llama.cpp's own completion",
       BodyForm::event_stream,
       R"(data: {"index":0,"content":" a","tokens":[1],"stop":false,"id_slot":-1,"tokens_predicted":1,"tokens_evaluated":4}

data: {"index":0,"content":"","tokens":[],"id_slot":0,"stop":true,"model":"m.gguf","tokens_predicted":8,"tokens_evaluated":4,"generation_settings":{"stream":true,"stop":[]}}

)",
       {1, 2, 1, {4, 8}, "m.gguf", false, true}},
      {"comments, other fields, data without a space and on several lines",
       BodyForm::event_stream,
       R"(: ping

retry: 10
id: 7
data

data:{"model":"m","choices":
data: [{"delta":{"content":"x"}}]}
datax: {"usage":{"prompt_tokens":1}}
 data: {"usage":{"prompt_tokens":2}}

data:
data:[DONE]

data:  [DONE]

)",
       {1, 3, 1, {}, "m", false, true}},
  };
}

inline std::vector<Golden> whole_answers() {
  return {
      {"chat",
       BodyForm::json,
       R"({"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"org/m","choices":[{"index":0,"message":{"role":"assistant","content":"\"usage\":{\"prompt_tokens\":1}, \\\"model\\\":\"no\""},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"total_tokens":40,"completion_tokens":28},"prompt_logprobs":null})",
       {0, 0, 0, {12, 28}, "org/m", false, true}},
      {"embeddings",
       BodyForm::json,
       R"({"id":"embd-1","object":"list","created":1,"model":"e","data":[{"index":0,"object":"embedding","embedding":[0.1,-2e-05,3]}],"usage":{"prompt_tokens":6,"total_tokens":6,"completion_tokens":0,"prompt_tokens_details":null}})",
       {0, 0, 0, {6, 0}, "e", false, true}},
      {"responses",
       BodyForm::json,
       R"({"id":"resp_1","error":null,"model":"m","output":[{"type":"message","content":[{"type":"output_text","text":"x"}]}],"usage":{"input_tokens":4,"output_tokens":2}})",
       {0, 0, 0, {4, 2}, "m", false, true}},
      {"messages",
       BodyForm::json,
       R"({"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"x"}],"model":"m","usage":{"input_tokens":4,"output_tokens":2}})",
       {0, 0, 0, {4, 2}, "m", false, true}},
      {"an error",
       BodyForm::json,
       R"({"error":{"message":"no such model","type":"NotFoundError","code":404}})",
       {0, 0, 0, {}, "", true, true}},
      {"an error as a string", BodyForm::json, R"({"error": "Unauthorized"})", {0, 0, 0, {}, "", true, true}},
      {"cut off", BodyForm::json, R"({"model":"m","usage":{"prompt_tokens":1)", {0, 0, 0, {}, "m", false, false}},
      {"opaque", BodyForm::opaque, R"({"model":"m","usage":{"prompt_tokens":1}})", {}},
  };
}

// clang-format on

inline std::vector<Golden> goldens() {
  std::vector<Golden> all = openai_streams();
  for (auto&& more : {other_streams(), llama_and_odd_streams(), whole_answers()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

}  // namespace gputach::relay
