// Purpose: which content coding an answer may have: what Accept-Encoding says, as a choice between the two we make.
// Owns: nothing.
// Threads: any; pure, no allocation.
// Fails: never; a field that cannot be understood means identity, which every client takes.
// Source: RFC 9110 sections 12.5.3 (Accept-Encoding), 12.4.2 (weights), 8.4.1.3 (x-gzip), 5.3 (repeated fields).
#pragma once

#include <span>

#include "http/message.h"

namespace gputach::http {

enum class Coding : unsigned char { identity, gzip };
inline constexpr std::size_t coding_count = 2;

// gzip when the client takes it and does not prefer identity. A coding named twice counts with its lower weight.
[[nodiscard]] Coding choose_coding(std::span<const Field> fields);

}  // namespace gputach::http
