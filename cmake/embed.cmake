# Text files into a C++ source, so that the program needs none of them where it runs.
#
#   yolov3_embed(TARGET header NAME file NAME file ...)   adds NAME() -> std::string_view, as `header` declares them
#
# As a script (-P) it writes one such source: OUT, HEADER, ITEMS ("NAME|FILE" separated by commas).
if(CMAKE_SCRIPT_MODE_FILE)
  set(source "// Made by cmake/embed.cmake.\n#include \"${HEADER}\"\n\nnamespace yolov3 {\n")
  string(REPLACE "," ";" items "${ITEMS}")
  foreach(item IN LISTS items)
    string(REPLACE "|" ";" item "${item}")
    list(GET item 0 name)
    list(GET item 1 file)
    file(READ "${file}" text)
    string(FIND "${text}" ")embedded\"" clash)
    if(NOT clash EQUAL -1)
      message(FATAL_ERROR "${file}: )embedded\" cannot be in it")
    endif()
    string(APPEND source "\nstd::string_view ${name}() {\n  return R\"embedded(${text})embedded\";\n}\n")
  endforeach()
  string(APPEND source "\n}  // namespace yolov3\n")
  file(WRITE "${OUT}" "${source}")
  return()
endif()

set(YOLOV3_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(yolov3_embed target header)
  set(items)
  set(files)
  set(rest ${ARGN})
  while(rest)
    list(POP_FRONT rest name file)
    list(APPEND items "${name}|${file}")
    list(APPEND files ${file})
  endwhile()
  list(JOIN items "," items)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}_embedded.cc)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DHEADER=${header} "-DITEMS=${items}" -P ${YOLOV3_EMBED_SCRIPT}
    DEPENDS ${files} ${YOLOV3_EMBED_SCRIPT} VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()
