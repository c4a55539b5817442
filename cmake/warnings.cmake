add_library(gputach_options INTERFACE)
target_compile_options(gputach_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Woverloaded-virtual
  -Wold-style-cast -Wcast-align -Wformat=2 -Wimplicit-fallthrough)
if(GPUTACH_WERROR)
  target_compile_options(gputach_options INTERFACE -Werror)
endif()
