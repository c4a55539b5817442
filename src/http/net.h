// Purpose: private to this folder: the only header that includes Boost, with the concrete types used here. A concrete
//          executor spares the virtual calls and allocations of any_io_executor.
// Owns: nothing.
// Threads: everything here belongs to the io thread.
// Source: Boost.Asio 1.81 and later.
#pragma once

// The thread sanitizer does not understand fences, and g++ warns of that. Asio's are spare here: one thread runs the
// handlers, and the mutex of its queue orders what others post.
#ifdef __SANITIZE_THREAD__
#define BOOST_ASIO_DISABLE_FENCED_BLOCK 1
#endif

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace gputach::http::net {

namespace asio = boost::asio;

using Executor = asio::io_context::executor_type;
using Protocol = asio::generic::stream_protocol;  // TCP or Unix
using Socket = asio::basic_stream_socket<Protocol, Executor>;
using Acceptor = asio::basic_socket_acceptor<Protocol, Executor>;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
using ErrorCode = boost::system::error_code;
template <class T = void>
using Awaitable = asio::awaitable<T, Executor>;

using UseAwaitable = asio::use_awaitable_t<Executor>;
// What resumes a coroutine that waits for an event of our own. (any_completion_handler of Boost 1.81 would be the
// natural type, but its constructor calls itself without end when it is moved.)
using Resume = asio::async_result<UseAwaitable, void()>::handler_type;

// co_await f(..., use_tuple) yields a tuple that begins with the error code; nothing is thrown.
inline constexpr asio::as_tuple_t<UseAwaitable> use_tuple{UseAwaitable{}};

}  // namespace gputach::http::net
