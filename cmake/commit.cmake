# Writes OUTPUT with the commit of the sources in SOURCE, empty where git knows none; only if that has changed.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=40 --exclude=*
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE unknown)
if(unknown)
  set(commit "")
endif()
set(text "#include \"verify/cli/commit.hpp\"\n\nnamespace tplora::core {\n\nconst char* commit() {\n  return \"${commit}\";\n}\n\n}  // namespace tplora::core\n")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${OUTPUT} "${text}")
endif()
