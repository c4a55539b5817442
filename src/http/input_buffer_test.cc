#include "http/input_buffer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace gputach::http {
namespace {

void receive(InputBuffer& buffer, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> space = buffer.prepare();
    ASSERT_FALSE(space.empty());
    const std::size_t part = std::min(space.size(), bytes.size());
    std::ranges::copy(bytes.substr(0, part), space.begin());
    buffer.commit(part);
    bytes.remove_prefix(part);
  }
}

TEST(InputBuffer, GrowsToItsLimitAndShrinksWhenEmpty) {
  InputBuffer buffer(5000);
  EXPECT_EQ(buffer.capacity(), 0U);
  const std::string bytes(5000, 'x');
  receive(buffer, bytes);
  EXPECT_EQ(buffer.view(), bytes);
  EXPECT_TRUE(buffer.prepare().empty());
  buffer.consume(5000);
  EXPECT_EQ(buffer.prepare().size(), InputBuffer::idle_bytes);
  EXPECT_EQ(buffer.capacity(), InputBuffer::idle_bytes);
}

TEST(InputBuffer, ReusesTheRoomOfConsumedBytesBeforeItGrows) {
  InputBuffer buffer(5000);
  receive(buffer, std::string(1000, 'a') + std::string(24, 'b'));
  buffer.consume(1000);
  EXPECT_EQ(buffer.prepare().size(), 1000U);
  EXPECT_EQ(buffer.view(), std::string(24, 'b'));
  EXPECT_EQ(buffer.capacity(), InputBuffer::idle_bytes);
}

TEST(InputBuffer, CutsOutOfTheMiddle) {
  InputBuffer buffer(5000);
  receive(buffer, "xHEADbodyNEXT");
  buffer.consume(1);
  buffer.cut(4, 4);
  EXPECT_EQ(buffer.view(), "HEADNEXT");
  buffer.cut(4, 4);
  EXPECT_EQ(buffer.view(), "HEAD");
}

}  // namespace
}  // namespace gputach::http
