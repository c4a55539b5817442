if(GPUTACH_SANITIZE)
  # The vptr check opens a pipe for each question, and calls a good object bad when descriptors have run out, which is
  # what one test is about.
  add_compile_options(-fsanitize=${GPUTACH_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GPUTACH_SANITIZE})
  # g++ 12 inlines one half of Asio's pair of operators for coroutine frames here and calls it unequal to the other; the
  # address sanitizer checks the pair itself.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-mismatched-new-delete)
  endif()
endif()
