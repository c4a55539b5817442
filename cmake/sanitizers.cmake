if(GPUTACH_SANITIZE)
  add_compile_options(-fsanitize=${GPUTACH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GPUTACH_SANITIZE})
endif()
