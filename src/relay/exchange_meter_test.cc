#include "relay/exchange_meter.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "relay/traffic_test_kit.h"

namespace gputach::relay {
namespace {

using namespace std::chrono_literals;

Instant at(Duration since_start) {
  return Instant(1h) + since_start;
}

TEST(ExchangeMeter, MeasuresAStreamedExchangeFromItsBytes) {
  Traffic traffic;
  traffic.set_models(std::vector<std::string>{"m"});
  ExchangeMeter meter(traffic, RouteClass::chat, BodyForm::json, at(0ms));
  meter.request_body(R"({"model":"m","stream":true})");
  EXPECT_EQ(meter.requested_model(), "m");
  EXPECT_EQ(series(traffic), "active_requests: 1\n");
  meter.answer(200, BodyForm::event_stream, at(20ms));
  const std::string role = "data: {\"choices\":[{\"delta\":{\"content\":\"\"}}]}\n\n";
  const std::string last = "data: {\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n";
  const std::string token = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
  meter.response_body(role, at(30ms));
  meter.response_body(token, at(100ms));
  meter.response_body(token, at(130ms));
  meter.response_body(token + token + token, at(150ms));
  meter.response_body(last, at(151ms));
  meter.finish(Outcome::complete, at(160ms));
  meter.finish(Outcome::client_abort, at(170ms));
  EXPECT_TRUE(meter.is_finished());
  EXPECT_EQ(series(traffic),
            "requests_total chat 2xx: 1\nduration_seconds chat 2xx: 1/160000\n"
            "request_body_bytes_total chat 2xx: 27\nresponse_body_bytes_total chat 2xx: " +
                std::to_string(role.size() + 5 * token.size() + last.size()) +
                "\n"
                "first_byte_seconds chat: 1/20000\nfirst_token_seconds m: 1/100000\ntoken_gap_seconds m: 4/50000\n"
                "prompt_tokens_total m: 9\ncompletion_tokens_total m: 5\n");
}

TEST(ExchangeMeter, TheAnswersModelStandsInWhereTheRequestsIsNotKnown) {
  Traffic traffic;
  traffic.set_models(std::vector<std::string>{"m"});
  {
    ExchangeMeter meter(traffic, RouteClass::chat, BodyForm::opaque, at(0ms));
    meter.answer(200, BodyForm::json, at(1ms));
    meter.response_body(R"({"model":"m","usage":{"prompt_tokens":1}})", at(1ms));
    meter.finish(Outcome::complete, at(1ms));
  }
  {
    ExchangeMeter meter(traffic, RouteClass::chat, BodyForm::json, at(0ms));
    meter.request_body(R"({"model":"invented by a client"})");
    meter.answer(404, BodyForm::json, at(1ms));
    meter.response_body(R"({"error":{"message":"no such model"},"usage":{"prompt_tokens":2}})", at(1ms));
    meter.finish(Outcome::complete, at(1ms));
  }
  const std::string text = series(traffic);
  EXPECT_NE(text.find("prompt_tokens_total m: 1\nprompt_tokens_total other: 2\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("invented"), std::string::npos);
  EXPECT_EQ(text.find("stream_errors_total"), std::string::npos) << text;
}

TEST(ExchangeMeter, AClientThatLeavesAfterTheLastWordHasHadItAll) {
  Traffic traffic;
  for (const char* body : {"data: {}\n\n", "data: [DONE]\n\n"}) {
    ExchangeMeter meter(traffic, RouteClass::chat, BodyForm::opaque, at(0ms));
    meter.answer(200, BodyForm::event_stream, at(1ms));
    meter.response_body(body, at(1ms));
    meter.finish(Outcome::client_abort, at(1ms));
  }
  EXPECT_TRUE(series(traffic).contains("aborts_total client: 1\n")) << series(traffic);
}

TEST(ExchangeMeter, CountsFailuresByWhoIsToBlame) {
  Traffic traffic;
  {
    ExchangeMeter meter(traffic, RouteClass::completions, BodyForm::opaque, at(0ms));
    meter.gateway_error(GatewayFault::refused, 502);
    meter.finish(Outcome::complete, at(1ms));
  }
  {
    ExchangeMeter meter(traffic, RouteClass::completions, BodyForm::opaque, at(0ms));
    meter.finish(Outcome::client_abort, at(2ms));
  }
  {
    ExchangeMeter meter(traffic, RouteClass::completions, BodyForm::opaque, at(0ms));
    meter.answer(200, BodyForm::event_stream, at(3ms));
    meter.response_body("data: {\"error\":{\"code\":500}}\n\n", at(3ms));
    meter.gateway_error(GatewayFault::response_incomplete, 0);
    meter.finish(Outcome::engine_abort, at(4ms));
  }
  {
    const ExchangeMeter dropped(traffic, RouteClass::completions, BodyForm::opaque, at(0ms));
  }
  EXPECT_EQ(series(traffic),
            "requests_total completions none: 1\nrequests_total completions 2xx: 1\n"
            "requests_total completions 5xx: 1\nduration_seconds completions none: 1/2000\n"
            "duration_seconds completions 2xx: 1/4000\nduration_seconds completions 5xx: 1/1000\n"
            "response_body_bytes_total completions 2xx: 30\nfirst_byte_seconds completions: 1/3000\n"
            "aborts_total client: 1\naborts_total engine: 1\nstream_errors_total other: 1\n"
            "gateway_errors_total connection_refused: 1\ngateway_errors_total http_response_incomplete: 1\n");
}

}  // namespace
}  // namespace gputach::relay
