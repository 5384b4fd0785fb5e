// What the tests of trees in tar files share. Nothing is kept: the files lie in the folder of whoever asks.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/command.h"
#include "images/make/archive_writer.h"

namespace rookery::images {

inline constexpr std::int64_t kDate = 1700000000;

inline void write_tar(const std::filesystem::path& path, const std::vector<ImageFile>& files,
                      std::int64_t date = kDate) {
  auto writer = ArchiveWriter::create(path, ArchiveWriter::Format::tar, date);
  BOOST_REQUIRE(writer);
  for (const ImageFile& file : files) BOOST_REQUIRE(writer->add(file));
  BOOST_REQUIRE(writer->finish());
}

// What a program wrote that ran in the folder, and succeeded.
inline std::string tool(const std::filesystem::path& folder, std::vector<std::string> argv) {
  const auto done = run_checked({std::move(argv), folder});
  BOOST_REQUIRE_MESSAGE(done, done.error().message);
  return done->output;
}

}  // namespace rookery::images
