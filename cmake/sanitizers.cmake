if(GPUTACH_SANITIZE)
  # The vptr check opens a pipe for each question, and calls a good object bad when descriptors have run out, which is
  # what one test is about.
  add_compile_options(-fsanitize=${GPUTACH_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer
    -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GPUTACH_SANITIZE})
endif()
