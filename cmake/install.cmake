# cmake --install: the program with its configs, and the libraries for find_package(tplora).
include(CMakePackageConfigHelpers)

set(TPLORA_INSTALL_CONFIGS ${CMAKE_INSTALL_DATADIR}/tplora/configs)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/tplora)

set_target_properties(tplora_sim PROPERTIES EXPORT_NAME sim)
set_target_properties(tplora_verify PROPERTIES EXPORT_NAME verify)
set_target_properties(tplora_public PROPERTIES EXPORT_NAME tplora)
install(TARGETS tplora RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS tplora_sim tplora_verify tplora_public EXPORT tploraTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
# The public header and what it includes: namespace tplora, all of it (tests/check_folders.py).
install(FILES tplora/tplora.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tplora)
foreach(header sim/base/range.hpp sim/base/result.hpp sim/layout/proof_range.hpp sim/layout/verdict.hpp
        sim/model/geometry.hpp)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tplora/${folder})
endforeach()
install(DIRECTORY configs/ DESTINATION ${TPLORA_INSTALL_CONFIGS})
install(FILES completions/tplora.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tplora)
install(FILES completions/_tplora DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES completions/tplora.fish
  DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(EXPORT tploraTargets NAMESPACE tplora:: DESTINATION ${package_folder})

configure_package_config_file(cmake/tploraConfig.cmake.in
  ${CMAKE_BINARY_DIR}/tploraConfig.cmake
  INSTALL_DESTINATION ${package_folder} PATH_VARS TPLORA_INSTALL_CONFIGS)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/tploraConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/tploraConfig.cmake ${CMAKE_BINARY_DIR}/tploraConfigVersion.cmake
  DESTINATION ${package_folder})
