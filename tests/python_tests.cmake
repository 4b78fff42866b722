# Every `def test_...` of a python file is a test of its own, by all its parameters. `prefix` and
# `environment` are for a second round under other conditions. outcome.py makes the exit code.
set(finhold_tests_folder ${CMAKE_CURRENT_LIST_DIR})
function(finhold_python_file label prefix timeout file environment)
  get_filename_component(name ${file} NAME_WE)
  string(REPLACE "test_" "" name ${name})
  file(STRINGS ${file} lines REGEX "^def test_")
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^def (test_[A-Za-z0-9_]+).*" "\\1" function "${line}")
    string(REPLACE "test_" "" behaviour ${function})
    set(test ${prefix}.${name}.${behaviour})
    add_test(NAME ${test}
             COMMAND ${Python3_EXECUTABLE} -B -m pytest -q -p no:cacheprovider -p outcome
                     ${file}::${function})
    set_tests_properties(${test} PROPERTIES
      LABELS ${label} TIMEOUT ${timeout} SKIP_RETURN_CODE 77
      ENVIRONMENT "FINHOLD=$<TARGET_FILE:finhold>;PYTHONPATH=${finhold_tests_folder};${environment}")
  endforeach()
endfunction()
