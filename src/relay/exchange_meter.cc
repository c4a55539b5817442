#include "relay/exchange_meter.h"

#include <algorithm>

namespace gputach::relay {
namespace {

std::string_view value_of(std::span<const http::Field> fields, std::string_view name) {
  const auto found =
      std::ranges::find_if(fields, [name](const http::Field& f) { return http::equal_without_case(f.name, name); });
  return found == fields.end() ? std::string_view{} : found->value;
}

}  // namespace

BodyForm body_form(std::span<const http::Field> fields) {
  return body_form(value_of(fields, "Content-Type"), value_of(fields, "Content-Encoding"));
}

ExchangeMeter::ExchangeMeter(Traffic& traffic, RouteClass route, BodyForm request_form, Instant now)
    : traffic_(traffic), request_(request_form), began_(now), route_(route) {
  traffic_.add_active();
}

ExchangeMeter::~ExchangeMeter() {
  if (!finished_) traffic_.remove_active();
}

void ExchangeMeter::request_body(std::string_view bytes) {
  request_bytes_ += bytes.size();
  request_.feed(bytes);
}

void ExchangeMeter::answer(int status, BodyForm form, Instant now) {
  status_ = status;
  response_.emplace(form);
  // An engine with a key shows this list to its clients and not to us.
  if (route_ == RouteClass::models && status == 200 && form == BodyForm::json)
    reported_ = std::make_unique<ModelNames>();
  traffic_.first_byte(route_, now - began_);
}

// Events that arrive together: one gap, and then others of no length.
void ExchangeMeter::response_body(std::string_view bytes, Instant now) {
  response_bytes_ += bytes.size();
  if (reported_) reported_->feed(bytes);
  if (!response_) return;
  std::size_t events = response_->feed(bytes);
  if (events == 0) return;
  if (last_content_) {
    traffic_.token_gap(model(), now - *last_content_);
  } else {
    traffic_.first_token(model(), now - began_);
  }
  if (events > 1) traffic_.token_gap(model(), Duration::zero(), events - 1);
  last_content_ = now;
}

void ExchangeMeter::gateway_error(GatewayFault fault, int status) {
  traffic_.gateway_error(fault);
  if (status_ == 0) status_ = status;
}

void ExchangeMeter::finish(Outcome outcome, Instant now) {
  if (finished_) return;
  finished_ = true;
  // Clients that have read the last word of a stream close before its last chunk.
  if (outcome == Outcome::client_abort && response_ && response_->is_complete()) outcome = Outcome::complete;
  traffic_.remove_active();
  if (reported_ && outcome == Outcome::complete && !reported_->names().empty()) traffic_.set_models(reported_->names());
  traffic_.exchange(route_, status_, now - began_, request_bytes_, response_bytes_);
  if (outcome == Outcome::client_abort) traffic_.abort(Side::client);
  if (outcome == Outcome::engine_abort) traffic_.abort(Side::engine);
  if (!response_) return;
  if (response_->usage() != Usage{}) traffic_.tokens(model(), response_->usage());
  if (response_->has_error() && status_ / 100 == 2) traffic_.stream_error(model());
}

// The request's word first: it is what the client waits for. The answer's stands in where the request was too long to
// be read that far. What is not a label yet may become one with the next piece.
Traffic::Model ExchangeMeter::model() {
  if (model_.is_other()) model_ = traffic_.model(request_.model());
  if (model_.is_other() && response_) model_ = traffic_.model(response_->model());
  return model_;
}

}  // namespace gputach::relay
