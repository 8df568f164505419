# A room is a folder: src/NAME/*.cc becomes the library yolov3_NAME, src/NAME/*_test.cc the test program NAME_test.
#
#   yolov3_room(NAME USES lower rooms... LINK libraries... [SOURCES_EXCLUDE files...] [TEST_LINK libraries...])
#
# Test names with "Slow" in them get the ctest label "slow", all others "fast". The target all_tests builds the test
# programs of all rooms.
include(GoogleTest OPTIONAL)

if(YOLOV3_TESTS)
  add_custom_target(all_tests)
endif()

# A room whose tests load LibTorch, which takes half a second, runs all its cases in one process: the ctest tests are
# NAME.fast and, if it has such cases, NAME.slow. tools/count_tests.sh counts the cases in gtest/NAME.LABEL.xml.
function(yolov3_whole_program_tests name tests)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${tests})  # a new Slow case must be seen
  set(slow_cases)
  foreach(file IN LISTS tests)
    file(STRINGS ${file} found REGEX "^(TEST|TYPED_TEST|INSTANTIATE).*Slow")
    list(APPEND slow_cases ${found})
  endforeach()
  foreach(label fast slow)
    if(label STREQUAL fast)
      set(filter "-*Slow*")
    elseif(slow_cases)
      set(filter "*Slow*")
    else()
      continue()
    endif()
    add_test(NAME ${name}.${label} COMMAND ${name}_test --gtest_filter=${filter}
      --gtest_output=xml:${CMAKE_BINARY_DIR}/gtest/${name}.${label}.xml)
    set_tests_properties(${name}.${label} PROPERTIES LABELS ${label} TIMEOUT 900)
  endforeach()
endfunction()

function(yolov3_discovered_tests name)
  foreach(label fast slow)
    if(label STREQUAL slow)
      set(filter "*Slow*")
    else()
      set(filter "-*Slow*")
    endif()
    gtest_discover_tests(${name}_test TEST_FILTER ${filter} TEST_PREFIX ${name}. TEST_LIST ${name}_${label}
      DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 PROPERTIES LABELS ${label} TIMEOUT 900)
  endforeach()
endfunction()

function(yolov3_room name)
  cmake_parse_arguments(ROOM "" "" "USES;LINK;SOURCES_EXCLUDE;TEST_LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  foreach(file IN LISTS ROOM_SOURCES_EXCLUDE)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
    list(REMOVE_ITEM tests ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()

  if(NOT sources)
    add_library(yolov3_${name} INTERFACE)
    return()
  endif()
  add_library(yolov3_${name} STATIC ${sources})
  set_target_properties(yolov3_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(yolov3_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM ROOM_USES PREPEND yolov3_)
  target_link_libraries(yolov3_${name} PUBLIC ${ROOM_USES} PRIVATE ${ROOM_LINK})

  if(YOLOV3_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE yolov3_${name} ${ROOM_LINK} ${ROOM_TEST_LINK} GTest::gtest GTest::gtest_main)
    target_compile_definitions(${name}_test PRIVATE YOLOV3_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    add_dependencies(all_tests ${name}_test)
    if(YOLOV3_TORCH AND (yolov3_engine IN_LIST ROOM_USES OR name STREQUAL engine))
      yolov3_whole_program_tests(${name} "${tests}")
    else()
      yolov3_discovered_tests(${name})
    endif()
  endif()
endfunction()
